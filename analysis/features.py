"""What a trained network computes inside, as `python -m terminator.inspect` has exported it."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from terminator.analysis.statistics.tests import FloatArray
from terminator.entry import typed
from terminator.errors import UserError

NAME = "features.npz"


@dataclass(frozen=True)
class Features:
    """One run's features; `image`, `hyper_kernels` and `maps` are those of one test image.

    `kernels`: each block's K_g, (C, *pixels). `hyper_kernels`: K̂ = Z ⊙ K_g, alike. `maps`: each block's output, alike.
    `mean`, `std`: of each block's output over the test images, all channels and pixels; (blocks,). `facts`: the run's
    key, data set and slow loss.
    """

    image: FloatArray
    kernels: tuple[FloatArray, ...]
    hyper_kernels: tuple[FloatArray, ...]
    maps: tuple[FloatArray, ...]
    mean: FloatArray
    std: FloatArray
    facts: dict[str, Any]

    @property
    def farthest_from_zero(self) -> float:
        """The largest |mean| / std of a block."""
        return float(np.max(np.abs(self.mean) / self.std))


def features_path(root: Path, key: str) -> Path:
    """Where a run's features are."""
    return root / "runs" / key / NAME


def read_features(root: Path, key: str) -> Features | None:
    """A run's features; None where they have not been exported. Raises UserError for a damaged file."""
    path = features_path(root, key)
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as archive:
            return Features(
                image=archive["image"],
                kernels=_numbered(archive, "kernel"),
                hyper_kernels=_numbered(archive, "hyper_kernel"),
                maps=_numbered(archive, "map"),
                mean=archive["mean"],
                std=archive["std"],
                facts=json.loads(str(archive["facts"])),
            )
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: no features ({error}): {typed('inspect')} {key} writes it anew") from None


def _numbered(archive: Any, name: str) -> tuple[FloatArray, ...]:
    """The arrays `<name>.0`, `<name>.1`, … in order."""
    count = sum(each.rpartition(".")[0] == name for each in archive.files)
    return tuple(archive[f"{name}.{number}"] for number in range(count))
