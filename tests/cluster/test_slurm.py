"""What SLURM's commands answer; where it matters how, by a command that pretends to be one of them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from terminator.cluster.slurm import SlurmAwayError, SlurmRefusedError, ask, ask_once, failure, seconds
from terminator.errors import UserError

NOWHERE = """sbatch: error: resolve_ctls_from_dns_srv: res_nsearch error: Unknown host
sbatch: error: fetch_config: DNS SRV lookup failed
sbatch: fatal: Could not establish a configuration source
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0:07", 7), ("9:59", 599), ("1:02:03", 3723), ("2-01:02:03", 176523), ("UNLIMITED", None), ("N/A", None)],
)
def test_slurms_times(text: str, expected: int | None) -> None:
    assert seconds(text) == expected


def test_what_a_command_wrote_tells_a_refusal_from_an_absence() -> None:
    refusal = failure(
        "sbatch", "sbatch: error: invalid partition specified: x\nallocation failure: Invalid partition\n"
    )
    assert isinstance(refusal, SlurmRefusedError)
    assert str(refusal) == "sbatch: invalid partition specified: x; allocation failure: Invalid partition"
    away = failure("squeue", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n")
    assert isinstance(away, SlurmAwayError)
    assert isinstance(failure("sbatch", ""), SlurmRefusedError)
    with pytest.raises(SlurmRefusedError, match=r"ls: .*nowhere"):
        ask_once("ls", "/nowhere")
    with pytest.raises(UserError, match="no such_a_command on this machine"):
        ask_once("such_a_command")


@pytest.fixture
def sbatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file whose text `sbatch` writes to standard error before it fails; each call adds a line to `calls`."""
    command, words = tmp_path / "sbatch", tmp_path / "words"
    command.write_text(f"#!/bin/sh\necho call >> {tmp_path}/calls\ncat {words} >&2\nexit 1\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return words


def test_no_controller_is_said_at_once_with_slurms_words(sbatch: Path) -> None:
    sbatch.write_text(NOWHERE)
    began = time.monotonic()
    with pytest.raises(SlurmAwayError) as caught:
        ask("sbatch", patience=60.0)
    assert time.monotonic() - began < 10
    assert str(caught.value) == (
        "no SLURM controller can be reached from here (sbatch: resolve_ctls_from_dns_srv: res_nsearch error: "
        "Unknown host; fetch_config: DNS SRV lookup failed; fatal: Could not establish a configuration source)"
    )


def test_a_controller_that_is_away_is_asked_again(sbatch: Path) -> None:
    sbatch.write_text("sbatch: error: Unable to contact slurm controller (connect failure)\n")
    with pytest.raises(SlurmAwayError, match=r"^SLURM does not answer \(sbatch: Unable to contact slurm controller"):
        ask("sbatch", patience=2.9)
    assert (sbatch.parent / "calls").read_text().count("call") == 2


def test_a_refusal_is_slurms_own_words(sbatch: Path) -> None:
    sbatch.write_text("sbatch: error: invalid partition specified: gpu\n")
    with pytest.raises(SlurmRefusedError, match=r"^sbatch: invalid partition specified: gpu$"):
        ask("sbatch", patience=60.0)
