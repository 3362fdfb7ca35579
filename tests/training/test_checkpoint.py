"""Checkpoints: whole or not there, and never believed when damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from terminator.training.checkpoint import DamagedCheckpoint, load_checkpoint, save_checkpoint

CONTENT = {"weights": torch.arange(1000.0), "epoch": 3, "betas": (0.5, 0.95), "best": None}


def test_round_trip_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"epoch": 2})
    save_checkpoint(path, CONTENT)
    loaded = load_checkpoint(path)
    assert torch.equal(loaded.pop("weights"), CONTENT["weights"])
    assert loaded == {"epoch": 3, "betas": (0.5, 0.95), "best": None}
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_save_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"epoch": 1})
    with pytest.raises(AttributeError, match="pickle"):
        save_checkpoint(path, {"epoch": lambda: 2})
    assert load_checkpoint(path) == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_every_flipped_bit_and_missing_end_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, CONTENT)
    intact = path.read_bytes()
    for place in range(0, len(intact), 97):
        path.write_bytes(intact[:place] + bytes([intact[place] ^ 16]) + intact[place + 1 :])
        try:
            loaded = load_checkpoint(path)
        except DamagedCheckpoint:
            continue
        assert torch.equal(loaded["weights"], CONTENT["weights"])  # the bit was in padding
        assert loaded["betas"] == (0.5, 0.95)
    for size in (0, 1, len(intact) // 2, len(intact) - 1):
        path.write_bytes(intact[:size])
        with pytest.raises(DamagedCheckpoint):
            load_checkpoint(path)
