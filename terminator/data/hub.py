"""Published sets: a local folder of Parquet files, or the cache of Hugging Face `datasets`."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from terminator.data.cache import remembered, stamp
from terminator.data.config import DataConfig
from terminator.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

SPLITS = ("train", "test")


def read(config: DataConfig) -> dict[str, tuple[Tensor, Tensor]]:
    """Splits `train` and `test`, each (images (n, C, H, W) uint8, labels (n) int64). Never touches the network.

    Raises UserError where the set is neither in `data.folder` nor in the cache, saying what to fetch and how, and
    where an image or a label is not what the configuration says.
    """
    return {split: _decode(_table(config, split), config, split) for split in SPLITS}


def fingerprint(config: DataConfig) -> str:
    """A hash of the encoded images and the labels of all splits, in their order. Raises what finding them raises.

    It is kept in the user's cache folder beside the sizes and times of the files that hold them, so that only new or
    changed files are read.
    """
    files = [stamp(path) for paths in _files(config).values() for path in paths]
    source = f"{config.folder or config.repository} {config.image_column} {config.label_column}"
    return str(remembered(source, files, lambda: _hash(config)))


def _hash(config: DataConfig) -> str:
    digest = hashlib.sha256()
    for split in SPLITS:
        table = _table(config, split)
        digest.update(f"{split} {len(table)}\0".encode())
        for cell in table.column(config.image_column).to_pylist():
            content = (cell or {}).get("bytes") or b""
            digest.update(len(content).to_bytes(8, "big") + content)
        digest.update(json.dumps(table.column(config.label_column).to_pylist()).encode())
    return digest.hexdigest()[:16]


def _files(config: DataConfig) -> dict[str, list[Path]]:
    """The files of each split, in order."""
    if config.folder is not None:
        return {split: _in_folder(config, Path(config.folder), split) for split in SPLITS}
    cached = _cached(config.name, str(config.repository))
    return {split: [Path(file["filename"]) for file in cached[split].cache_files] for split in SPLITS}


def _in_folder(config: DataConfig, folder: Path, split: str) -> list[Path]:
    # The hub has NAME/train-00000-of-00001.parquet, its converted branch NAME/train/0000.parquet.
    named = re.compile(rf"(^|/){split}[-./]")
    files = sorted(path for path in folder.rglob("*.parquet") if named.search(path.relative_to(folder).as_posix()))
    if not files:
        fetch = f"hf download {config.repository} --repo-type dataset --local-dir {folder}"
        rule = f"; fetch them with `{fetch}`" if config.repository else ""
        raise UserError(f"data.folder={folder}: no {split}*.parquet under it{rule}")
    return files


def _table(config: DataConfig, split: str) -> pa.Table:
    """The split's images, not decoded, and labels."""
    if config.folder is None:
        return _cached(config.name, str(config.repository))[split].data.table
    files = _in_folder(config, Path(config.folder), split)
    return read_parquet(files, [config.image_column, config.label_column], f"data.folder={config.folder}", split)


def read_parquet(files: Sequence[Path], columns: list[str], where: str, split: str) -> pa.Table:
    """The columns of all files. Raises UserError that begins with `where` for a file without them or a damaged one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        for file in files:
            if not set(columns) <= set(found := pq.read_schema(file).names):
                remedy = "set data.image_column and data.label_column"
                rule = f"{file.name} needs {', '.join(columns)}; found {', '.join(found)}; {remedy}"
                raise UserError(f"{where}: cannot read the {split} split: {rule}")
        return pa.concat_tables([pq.read_table(file, columns=columns) for file in files])
    except (pa.ArrowException, OSError) as error:
        why = str(error).splitlines()[0]
        raise UserError(f"{where}: cannot read the {split} split: {why}") from error


@functools.lru_cache(maxsize=8)
def _cached(name: str, repository: str) -> Any:
    # Read at the import of huggingface_hub: a job must neither fetch on its own nor hang on a dead network.
    os.environ["HF_HUB_OFFLINE"] = "1"
    import datasets

    datasets.utils.logging.set_verbosity_error()  # it warns that an offline cache may be old
    try:
        return datasets.load_dataset(repository)
    except (OSError, ValueError) as error:
        raise UserError(
            f"data.name={name}: not in the cache of Hugging Face datasets; fetch it with "
            f"`python -c \"import datasets; datasets.load_dataset('{repository}')\"`, or set data.folder to a folder "
            "of its Parquet files"
        ) from error


def _decode(table: pa.Table, config: DataConfig, split: str) -> tuple[Tensor, Tensor]:
    from PIL import Image

    channels, height, width = config.image_shape
    cells = table.column(config.image_column).to_pylist()
    images = np.empty((len(cells), height, width, channels), dtype=np.uint8)
    for index, cell in enumerate(cells):
        where = f"data.name={config.name}: image {index} of the {split} split"
        try:
            image = Image.open(io.BytesIO(cell["bytes"])).convert("L" if channels == 1 else "RGB")
        except (OSError, TypeError) as error:
            raise UserError(f"{where} is damaged") from error
        if image.size != (width, height):
            raise UserError(f"{where} is {image.size[0]}×{image.size[1]}, must be {width}×{height}")
        images[index] = np.asarray(image).reshape(height, width, channels)
    labels = torch.from_numpy(table.column(config.label_column).to_numpy().astype(np.int64))
    if len(labels) == 0 or labels.min() < 0 or labels.max() >= config.classes:
        rule = f"must be from 0 to {config.classes - 1}, at least one"
        raise UserError(f"data.name={config.name}: labels of the {split} split {rule}")
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), labels
