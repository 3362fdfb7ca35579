"""What ends a run without a result. Standard library only, so that a failing import of PyTorch can be told as well."""

from __future__ import annotations


class Diverged(RuntimeError):  # noqa: N818 — the word of the ledger's reason and the table
    """The loss is infinite or not a number; the message says since which step."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: Python's, a GPU's, or the main memory behind a tensor."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
