"""What slurm/dev-cluster trusts: no folder, key or command that another user has had a hand in."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Nobody

DEV_CLUSTER = Path(__file__).parents[1] / "slurm" / "dev-cluster"


def dev_cluster(*words: object) -> tuple[int, str]:
    """The exit code and the errors of a command."""
    done = subprocess.run([sys.executable, DEV_CLUSTER, *map(str, words)], capture_output=True, text=True)
    return done.returncode, done.stderr


@pytest.mark.parametrize("words", [("start",), ("up", "n1"), ("down", "n1"), ("stop",), ("status",)], ids="".join)
def test_the_folder_of_another_user_is_refused(nobody: Nobody, words: tuple[str, ...]) -> None:
    """He would have his commands run, and processes of his choice ended."""
    nobody.folder.chmod(0o1777)
    folder, ran = nobody.folder / "c", nobody.folder / "ran"
    victim = subprocess.Popen(["sleep", "60"])
    since = Path(f"/proc/{victim.pid}/stat").read_text().split()[21]
    files = {"slurm.conf": "", "daemons.json": json.dumps({"n1": ["touch", str(ran)]})}
    if words[0] in ("down", "stop"):
        files["n1.process"] = f"{victim.pid} {since}"
    script = "".join(f"echo '{text}' > {folder}/{name}; " for name, text in files.items())
    nobody.run("sh", "-c", f"mkdir -m 700 {folder} {folder}/log; {script}")
    assert (folder / "daemons.json").stat().st_uid == nobody.ID
    code, said = dev_cluster(*words, "--dir", folder)
    try:
        assert victim.poll() is None
    finally:
        victim.kill()
        victim.wait()
    assert (code, ran.exists(), folder.exists()) == (1, False, True)
    assert said == (
        f"dev-cluster: {folder} must be a folder of your own that no one else can enter (mode 700); its owner is "
        f"{nobody.ID}, its mode 700: give another --dir\n"
    )


def test_a_folder_that_others_can_enter_or_replace_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "open" / "c"
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    code, said = dev_cluster("status", "--dir", folder)
    assert (code, "no one else can enter" in said) == (1, True), said
    folder.chmod(0o700)
    folder.parent.chmod(0o777)
    code, said = dev_cluster("status", "--dir", folder)
    line = f"dev-cluster: {folder.parent} must not be another's, or open for others to write in, as {folder} is in it; "
    assert (code, said.startswith(line)) == (1, True), said
    assert list(folder.iterdir()) == []


def test_a_key_is_never_readable_by_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def chmod(*given: object) -> None:
        raise AssertionError("too late")

    monkeypatch.syspath_prepend(DEV_CLUSTER.parent)
    write = runpy.run_path(str(DEV_CLUSTER))["write"]
    for change in ("chmod", "fchmod"):
        monkeypatch.setattr(os, change, chmod)
    write(tmp_path / "munge.key", b"key", 0o400)
    assert (tmp_path / "munge.key").stat().st_mode & 0o777 == 0o400
