"""What a watcher sees: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import io

import pytest

from terminator.progress import Progress

ROW = {"epoch": 1, "train_loss": 2.34567, "train_accuracy": 0.25, "validation_accuracy": 0.5, "epoch_seconds": 1.25}
LINE = "epoch 1/2  loss 2.3457  train 25.00 %  validation 50.00 %  1.2 s"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def follow(watcher: io.StringIO | None) -> None:
    with Progress(watcher) as progress:
        progress.begin(epochs=2, steps_per_epoch=10, done=3)
        for done in range(4, 11):
            progress.step(done)
        progress.epoch(ROW)


def test_plain_lines_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    watcher = io.StringIO()
    follow(watcher)
    lines = ["resuming after 0 epochs and 3 steps", LINE]
    assert watcher.getvalue().splitlines() == lines
    assert capsys.readouterr().out.splitlines() == lines


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TERM", "xterm")
    watcher = Terminal()
    follow(watcher)
    assert "epoch 2/2" in watcher.getvalue()
    assert "\x1b[" in watcher.getvalue()  # it redraws itself
    assert LINE in watcher.getvalue()
    assert LINE in capsys.readouterr().out  # the log stays plain and complete


def test_nobody_watching(capsys: pytest.CaptureFixture[str]) -> None:
    follow(None)
    assert LINE in capsys.readouterr().out
