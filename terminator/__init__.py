"""Terminator (arXiv 2401.17948) and the suite that ablates it. `terminator.load(run)`: a trained network back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from terminator.entry import heed_interrupts

if TYPE_CHECKING:
    from terminator.loading import load as load

heed_interrupts()


def __getattr__(name: str) -> Any:
    """`load` on its first use, as it takes PyTorch."""
    if name == "load":
        from terminator.loading import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
