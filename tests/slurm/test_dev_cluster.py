from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil

from tests.conftest import Nobody
from tests.slurm.conftest import DEV_CLUSTER, Cluster


def test_two_nodes_hand_out_four_gpus(cluster: Cluster, tmp_path: Path) -> None:
    wait = f"until [ $(ls {tmp_path} | wc -l) = 4 ]; do sleep 0.1; done"  # so that all run at once
    script = f"echo $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES > {tmp_path}/$SLURM_ARRAY_TASK_ID; {wait}"
    cluster.run("sbatch", "--output=/dev/null", "--gpus-per-node=1", "--array=0-3", f"--wrap={script}")
    cluster.wait(lambda: len(list(tmp_path.iterdir())) == 4)
    assert sorted(path.read_text() for path in tmp_path.iterdir()) == ["n1 0\n", "n1 1\n", "n2 0\n", "n2 1\n"]


def test_a_job_outlives_its_slurmd(cluster: Cluster, tmp_path: Path) -> None:
    script = f"sleep 2; touch {tmp_path}/done"
    job = cluster.run("sbatch", "--parsable", "--output=/dev/null", "--nodelist=n2", f"--wrap={script}").strip()
    cluster.wait(lambda: cluster.run("squeue", "-h", "-j", job, "-t", "R"))
    cluster.daemon("down", "n2")
    cluster.wait(lambda: (tmp_path / "done").exists())
    cluster.daemon("up", "n2")
    cluster.wait(lambda: not cluster.run("squeue", "-h", "-j", job))


def test_stop_leaves_neither_processes_nor_files(start_cluster: object, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    subprocess.run([sys.executable, DEV_CLUSTER, "start", "--dir", folder], check=True)
    cluster = Cluster(folder)
    number = tmp_path / "pid"
    cluster.run(
        "sbatch", "--output=/dev/null", f"--wrap=echo $$ > {number}.new; mv {number}.new {number}; exec sleep 99"
    )
    cluster.wait(number.exists)
    subprocess.run([sys.executable, DEV_CLUSTER, "stop", "--dir", folder], check=True)
    assert not folder.exists()
    command_line = Path(f"/proc/{number.read_text().strip()}/cmdline")
    assert not command_line.exists() or command_line.read_bytes() == b""  # empty: a zombie that nobody has reaped


def test_starting_twice_is_refused_in_one_line(cluster: Cluster) -> None:
    command = [sys.executable, str(DEV_CLUSTER), "start", "--dir", str(cluster.folder)]
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 1
    assert again.stderr.splitlines() == [
        f"dev-cluster: {cluster.folder} holds a cluster already: stop it first, or give another --dir"
    ]


def test_the_database_is_its_users_alone(start_cluster: object, nobody: Nobody) -> None:
    folder = nobody.folder / "c"
    subprocess.run([sys.executable, DEV_CLUSTER, "start", "--accounting", "--dir", folder], check=True)
    try:
        ask = ("mariadb", "--no-defaults", f"--socket={folder}/mariadb.socket", "--execute=select 1", "--user")
        subprocess.run([*ask, "root"], check=True)
        for user in ("root", "mysql", "slurm", "nobody", ""):
            assert "(13)" in nobody.run(*ask, user).stderr  # errno's permission denied
        folder.chmod(0o755)
        for user in ("root", "mysql", "slurm", "nobody", ""):
            assert "Access denied for user" in nobody.run(*ask, user).stderr
        database = psutil.Process(int((folder / "mariadbd.process").read_text().split()[0]))
        assert database.net_connections("inet") == []
    finally:
        folder.chmod(0o700)
        subprocess.run([sys.executable, DEV_CLUSTER, "stop", "--dir", folder], check=True)
