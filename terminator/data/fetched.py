"""Published sets as `terminator data fetch` leaves them: decoded, a safetensors file each in the user's cache folder.

Jobs map it into memory. It is written in pieces and renamed when it is whole, so that none trusts half a file, and it
holds a checksum of its content, which is compared whenever the file's size or times have changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from torch import Tensor

from terminator.data.cache import cache_folder, remembered, stamp
from terminator.data.config import DataConfig
from terminator.entry import typed
from terminator.errors import UserError

PIECE = 1 << 24  # bytes of the file that are in memory at once while its checksum is made


class Facts(NamedTuple):
    """What is known of a fetched set without reading it: its fingerprint, and the number of images of each split."""

    fingerprint: str
    sizes: dict[str, int]


class Array(NamedTuple):
    """An array to write, in pieces: `dtype` as safetensors names it."""

    dtype: str
    shape: tuple[int, ...]
    size: int
    pieces: Iterable[np.ndarray[Any, Any]]


def images_array(count: int, shape: Iterable[int], pieces: Iterable[np.ndarray[Any, Any]]) -> Array:
    """`count` images of `shape`, uint8."""
    whole = (count, *shape)
    return Array("U8", whole, prod(whole), pieces)


def labels_array(labels: np.ndarray[Any, Any]) -> Array:
    """Labels (n), int64."""
    return Array("I64", labels.shape, labels.nbytes, [labels])


def location(config: DataConfig) -> Path:
    """The set's file. It may not be there yet."""
    settings = [config.repository, config.image_column, config.label_column, list(config.image_shape), config.classes]
    name = str(config.repository).replace("/", "--")
    digest = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]
    return cache_folder() / "fetched" / f"{name}-{digest}.safetensors"


def facts(config: DataConfig) -> Facts | None:
    """What is known of the fetched set; None where it was not fetched, or `data.folder` stands in its place.

    Raises UserError, saying how to make it anew, where its file is truncated or altered.
    """
    path = location(config)
    if config.folder is not None or config.repository is None or not path.exists():
        return None
    try:
        return Facts(*remembered(f"fetched {path}", [stamp(path)], lambda: _verify(path)))
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        anew = f"make it anew with `{typed('data')} fetch {config.name}` where there is network"
        raise UserError(f"data.name={config.name}: {path} is damaged ({str(error).splitlines()[0]}); {anew}") from error


def read(config: DataConfig, splits: Iterable[str]) -> dict[str, tuple[Tensor, Tensor]]:
    """Images (n, C, H, W) uint8 and labels (n) int64 of these splits of a set that `facts` knows, mapped into memory.

    Writing to them changes the memory alone.
    """
    with safe_open(location(config), framework="pt") as file:
        return {split: (file.get_tensor(split), file.get_tensor(f"{split}_labels")) for split in splits}


def write(config: DataConfig, arrays: Mapping[str, Array], known: Facts) -> None:
    """Write the set's file, in place of the one that is there. Raises UserError where that cannot be done."""
    path = location(config)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            draft = Path(folder) / path.name
            _write(draft, arrays, known)
            os.replace(draft, path)
    except OSError as error:
        raise UserError(f"data.name={config.name}: {path} cannot be written: {error.strerror}") from error


def _write(path: Path, arrays: Mapping[str, Array], known: Facts) -> None:
    tensors, end = {}, 0
    for name, array in arrays.items():
        offsets, end = [end, end + array.size], end + array.size
        tensors[name] = {"dtype": array.dtype, "shape": array.shape, "data_offsets": offsets}

    def header(checksum: str) -> bytes:
        plain = json.dumps({"__metadata__": {"facts": json.dumps(known), "sha256": checksum}, **tensors}).encode()
        plain += b" " * (-len(plain) % 8)
        return len(plain).to_bytes(8, "little") + plain

    sha = hashlib.sha256()
    with path.open("wb") as file:
        file.write(header(sha.hexdigest()))
        for array in arrays.values():
            for piece in array.pieces:
                content = np.ascontiguousarray(piece).data
                sha.update(content)
                file.write(content)
        file.seek(0)
        file.write(header(sha.hexdigest()))


def _verify(path: Path) -> list[Any]:
    with safe_open(path, framework="pt") as file:  # which refuses a truncated one
        metadata = file.metadata()
    sha = hashlib.sha256()
    with path.open("rb") as content:
        content.seek(8 + int.from_bytes(content.read(8), "little"))
        while piece := content.read(PIECE):
            sha.update(piece)
    if sha.hexdigest() != metadata["sha256"]:
        raise ValueError("its checksum is another")
    return list(json.loads(metadata["facts"]))
