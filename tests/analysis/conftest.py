from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def _no_wait_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """These ledgers need not survive a power cut, and waiting for the disk is most of what writing them costs."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
