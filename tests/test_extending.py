"""Every example of docs/extending.md, applied to a copy of the checkout and run."""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from PIL import Image

CHECKOUT = Path(__file__).resolve().parent.parent
PAGE = (CHECKOUT / "docs" / "extending.md").read_text("utf-8")
BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUICK = ["training.epochs=1", "seed=0", "tracking.enabled=false"]
END = "-- end of a command --\n"
# Commands that must succeed, as if typed after `python -m terminator.run`.
COMMANDS = f"""
import json, sys
from terminator.run.command import main
for line in sys.stdin:
    sys.argv[1:] = json.loads(line)
    main()
    print({END!r}, end="", flush=True)
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout with all examples in it."""
    copy = tmp_path_factory.mktemp("extending")
    for folder in ("terminator", "analysis", "conf", "sweeps", "slurm", "hydra_plugins"):
        shutil.copytree(CHECKOUT / folder, copy / folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for kind, title, text in BLOCK.findall(PAGE):
        if kind == "diff":
            apply(text, copy)
        else:
            assert title, f"a block without a file: {text[:40]}"
            (copy / title).parent.mkdir(parents=True, exist_ok=True)
            (copy / title).write_text(text, "utf-8")
    images = copy / "images"
    images.mkdir()
    for split, count in (("train", 200), ("test", 40)):
        parquet.write_table(shapes(count), images / f"{split}-00000-of-00001.parquet")
    return copy


def apply(diff: str, root: Path) -> None:
    """Apply a diff without line numbers: the lines that it keeps and removes must stand in the file once."""
    first, *lines = diff.splitlines()
    path = root / first.removeprefix("--- a/")
    before = "\n".join(line[1:] for line in lines if not line.startswith("+"))
    after = "\n".join(line[1:] for line in lines if not line.startswith("-"))
    content = path.read_text("utf-8")
    assert content.count(before) == 1, f"{path.name} has {content.count(before)} places for the diff:\n{diff}"
    path.write_text(content.replace(before, after), "utf-8")


def shapes(count: int) -> pa.Table:
    """Black squares in light noise, in the left half or in the right."""
    generator = np.random.default_rng(count)
    pictures, kinds = [], []
    for index in range(count):
        pixels = generator.integers(200, 255, (8, 8), dtype=np.uint8)
        pixels[2:6, 4 * (index % 2) : 4 * (index % 2) + 3] = 0
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        pictures.append({"bytes": file.getvalue(), "path": None})
        kinds.append(index % 2)
    return pa.table({"picture": pictures, "kind": kinds})


@pytest.fixture(scope="module")
def run(checkout: Path) -> Iterator[Callable[..., str]]:
    """What a command prints; all in one process, as each would take seconds to start."""
    command = [sys.executable, "-c", COMMANDS]
    with subprocess.Popen(command, cwd=checkout, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout

        def call(*words: str) -> str:
            print(json.dumps(words), file=process.stdin, flush=True)
            lines = []
            for line in process.stdout or ():
                if line == END:
                    return "".join(lines)
                lines.append(line)
            raise AssertionError(f"exit code {process.wait()}; stderr says why: {words}")

        yield call


def test_a_network_on_a_data_set_in_an_ablation(checkout: Path, run: Callable[..., str]) -> None:
    words = ["--config-dir", "configs", "-m", "ablation=gate", "model=mine", "data=shapes", "recipe=digits", *QUICK]
    table = run(*words)
    assert re.search(r"full .*\n(.*\n)*.*no_gate", table)
    assert "gate: worst seeds" in table  # the new table
    (page,) = checkout.rglob("report.html")
    printed = re.findall(r"<code>python (-m terminator.run --config-dir [^<]*)</code>", page.read_text("utf-8"))
    assert f"--config-dir {checkout / 'configs'} -m ablation=gate" in unescape(printed[0])
    assert "done already" in run(*shlex.split(unescape(printed[-1]))[2:])  # it repeats the very run


def test_a_branch_an_axis_and_a_scheduler(run: Callable[..., str]) -> None:
    words = ["-m", "ablation=cubed,clipping", "model.channels=[12]", "model.depth=1", "sweep.workers=1", *QUICK]
    table = run(*words, "model.previous_blocks=[[]]")
    assert all(variant in table for variant in ("cubed", "max_gradient_norm=1.0", "max_gradient_norm=10.0"))


def test_the_page_names_every_row_of_its_table() -> None:
    for anchor in re.findall(r"\]\(#([\w-]+)\)", PAGE):
        assert f"\n## {anchor.replace('-', ' ')}\n" in PAGE.lower()
