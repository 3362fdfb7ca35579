"""Published sets: fetched, in a local folder of Parquet files, or in the cache of Hugging Face `datasets`."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from terminator.data import fetched
from terminator.data.cache import remembered, stamp
from terminator.data.config import DataConfig
from terminator.entry import typed
from terminator.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

PUBLISHED = {"train": ("train",), "test": ("test", "valid", "validation")}  # the names of a split, the first there is
ROWS = 1000  # of a table, that are in memory at once
BUFFER = 1 << 20  # bytes of a Parquet file, whose row groups may be as large as the set


def read(config: DataConfig) -> dict[str, tuple[Tensor, Tensor]]:
    """Splits `train` and `test`, each (images (n, C, H, W) uint8, labels (n) int64). Never touches the network.

    Raises UserError where the set is not on this machine, saying how to fetch it, and where an image or a label is not
    what the configuration says. A fetched set is mapped into memory.
    """
    if fetched.facts(config):
        return fetched.read(config, PUBLISHED)
    return {split: _decode(config, split) for split in PUBLISHED}


def fetch(config: DataConfig) -> fetched.Facts:
    """Download the set with Hugging Face `datasets`, and leave it decoded in the user's cache folder.

    One that is there intact is left as it is. Raises UserError where it cannot be had or written, and where an image
    or a label is not what the configuration says.
    """
    try:
        if known := fetched.facts(config):
            return known
    except UserError:
        fetched.location(config).unlink()  # damaged
    try:
        _load(str(config.repository))
    except Exception as error:  # whatever its libraries for the network and for files raise
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        why = next(iter(str(cause).splitlines()), type(cause).__name__)
        raise UserError(f"data.name={config.name}: cannot fetch {config.repository}: {why}") from error
    arrays: dict[str, fetched.Array] = {}
    for split in PUBLISHED:
        labels = _labels(config, split)
        arrays[split] = fetched.images_array(len(labels), config.image_shape, _images(config, split))
        arrays[f"{split}_labels"] = fetched.labels_array(labels)
    sizes = {split: arrays[split].shape[0] for split in PUBLISHED}
    fetched.write(config, arrays, known := fetched.Facts(_hash(config), sizes))
    return known


def fingerprint(config: DataConfig) -> str:
    """A hash of the encoded images and the labels of all splits, in their order. Raises what finding them raises.

    It is kept in the user's cache folder beside the sizes and times of the files that hold them, so that only new or
    changed files are read.
    """
    if known := fetched.facts(config):
        return known.fingerprint
    files = [stamp(path) for paths in _files(config).values() for path in paths]
    source = f"{config.folder or config.repository} {config.image_column} {config.label_column}"
    return str(remembered(source, files, lambda: _hash(config)))


def count(config: DataConfig, split: str) -> int:
    """How many images the split has, soon known: they are not decoded. Raises what finding them raises."""
    known = fetched.facts(config)
    return known.sizes[split] if known else sum(map(len, _batches(config, split, [config.label_column])))


def _hash(config: DataConfig) -> str:
    digest = hashlib.sha256()
    for split in PUBLISHED:
        labels = list(_cells(config, split, config.label_column))
        digest.update(f"{split} {len(labels)}\0".encode())
        for cell in _cells(config, split, config.image_column):
            content = (cell or {}).get("bytes") or b""
            digest.update(len(content).to_bytes(8, "big") + content)
        digest.update(json.dumps(labels).encode())
    return digest.hexdigest()[:16]


def _files(config: DataConfig) -> dict[str, list[Path]]:
    """The files of each split, in order."""
    if config.folder is not None:
        return {split: _in_folder(config, Path(config.folder), split) for split in PUBLISHED}
    cached = _splits(config.name, str(config.repository))
    return {split: [Path(file["filename"]) for file in cached[split].cache_files] for split in PUBLISHED}


def _in_folder(config: DataConfig, folder: Path, split: str) -> list[Path]:
    found = sorted((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*.parquet"))
    for name in PUBLISHED[split]:
        # The hub has NAME/train-00000-of-00001.parquet, its converted branch NAME/train/0000.parquet.
        named = re.compile(rf"(^|/){name}[-./]")
        if files := [path for inside, path in found if named.search(inside)]:
            return files
    fetch = f"hf download {config.repository} --repo-type dataset --local-dir {folder}"
    rule = f"; fetch them with `{fetch}`" if config.repository else ""
    raise UserError(f"data.folder={folder}: no {split}*.parquet under it{rule}")


def _batches(config: DataConfig, split: str, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The columns of the split, images not decoded, some rows at a time."""
    if config.folder is not None:
        files = _in_folder(config, Path(config.folder), split)
        yield from read_parquet(files, columns, f"data.folder={config.folder}", split)
        return
    table = _splits(config.name, str(config.repository))[split].data.table
    _check_columns(columns, table.column_names, f"data.name={config.name}", split, str(config.repository))
    yield from table.select(columns).to_batches(max_chunksize=ROWS)


def _cells(config: DataConfig, split: str, column: str) -> Iterator[Any]:
    return (cell for batch in _batches(config, split, [column]) for cell in batch.column(column).to_pylist())


def read_parquet(files: Sequence[Path], columns: list[str], where: str, split: str) -> Iterator[pa.RecordBatch]:
    """The columns of all files, some rows at a time. Raises UserError that begins with `where` for a file without them
    or a damaged one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        for file in files:
            with pq.ParquetFile(file, pre_buffer=False, buffer_size=BUFFER) as content:
                _check_columns(columns, content.schema_arrow.names, where, split, file.name)
                yield from content.iter_batches(ROWS, columns=columns)
    except (pa.ArrowException, OSError) as error:
        why = str(error).splitlines()[0]
        raise UserError(f"{where}: cannot read the {split} split: {why}") from error


def _check_columns(columns: list[str], found: list[str], where: str, split: str, source: str) -> None:
    if not set(columns) <= set(found):
        remedy = "set data.image_column and data.label_column"
        rule = f"{source} needs {', '.join(columns)}; found {', '.join(found)}; {remedy}"
        raise UserError(f"{where}: cannot read the {split} split: {rule}")


@functools.lru_cache(maxsize=8)
def _splits(name: str, repository: str) -> dict[str, Any]:
    """The set's tables in the cache of `datasets`. Raises UserError where it is not there."""
    # Read at the import of huggingface_hub: a job must neither fetch on its own nor hang on a dead network.
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        found = _load(repository)
    except (OSError, ValueError) as error:
        raise UserError(
            f"data.name={name}: not on this machine; run `{typed('data')} fetch {name}` where there is network, "
            "or set data.folder to a folder of its Parquet files"
        ) from error
    splits = {split: next((found[each] for each in names if each in found), None) for split, names in PUBLISHED.items()}
    for split, table in splits.items():
        if table is None:
            raise UserError(f"data.name={name}: {repository} has no {split} split; it has {', '.join(found)}")
    return splits


def _load(repository: str) -> dict[str, Any]:
    import datasets

    datasets.utils.logging.set_verbosity_error()  # it warns that an offline cache may be old
    return dict(datasets.load_dataset(repository))


def _images(config: DataConfig, split: str) -> Iterator[np.ndarray[Any, Any]]:
    """The images, decoded one by one: (C, H, W) uint8."""
    from PIL import Image

    channels, height, width = config.image_shape
    for index, cell in enumerate(_cells(config, split, config.image_column)):
        where = f"data.name={config.name}: image {index} of the {split} split"
        try:
            image = Image.open(io.BytesIO(cell["bytes"])).convert("L" if channels == 1 else "RGB")
        except (OSError, TypeError) as error:
            raise UserError(f"{where} is damaged") from error
        if image.size != (width, height):
            raise UserError(f"{where} is {image.size[0]}×{image.size[1]}, must be {width}×{height}")
        yield np.asarray(image).reshape(height, width, channels).transpose(2, 0, 1)


def _labels(config: DataConfig, split: str) -> np.ndarray[Any, Any]:
    """The labels (n), int64."""
    labels = np.array(list(_cells(config, split, config.label_column)), dtype=np.int64)
    if len(labels) == 0 or labels.min() < 0 or labels.max() >= config.classes:
        rule = f"must be from 0 to {config.classes - 1}, at least one"
        raise UserError(f"data.name={config.name}: labels of the {split} split {rule}")
    return labels


def _decode(config: DataConfig, split: str) -> tuple[Tensor, Tensor]:
    labels = _labels(config, split)
    images = np.empty((len(labels), *config.image_shape), dtype=np.uint8)
    for index, image in enumerate(_images(config, split)):
        images[index] = image
    return torch.from_numpy(images), torch.from_numpy(labels)
