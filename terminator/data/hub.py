"""Where published sets lie on this machine: a local folder of Parquet files, or the cache of Hugging Face `datasets`.

Imports no torch, so that a plan can look before anything runs.
"""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from terminator.data.config import DataConfig
from terminator.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa


def check_available(config: DataConfig) -> None:
    """Raise the UserError that loading would raise where the set is not on this machine, without decoding images."""
    if config.facts.hub_name is not None:
        find_tables(config)


def find_tables(config: DataConfig) -> dict[str, pa.Table]:
    """The undecoded tables of `train` and `test`. Never touches the network.

    Raises UserError, saying what to fetch and how, where the set is neither in `data.folder` nor in the cache.
    """
    if config.folder is not None:
        return {split: _read_folder(config, Path(config.folder), split) for split in ("train", "test")}
    return _read_cache(config)


def _read_folder(config: DataConfig, folder: Path, split: str) -> pa.Table:
    import pyarrow.parquet as pq

    # The hub has NAME/train-00000-of-00001.parquet, its converted branch NAME/train/0000.parquet.
    named = re.compile(rf"(^|/){split}[-./]")
    files = sorted(path for path in folder.rglob("*.parquet") if named.search(path.relative_to(folder).as_posix()))
    if not files:
        name = config.facts.hub_name
        raise UserError(
            f"data.folder={folder}: no {split}*.parquet under it; fetch them with "
            f"`hf download {name} --repo-type dataset --local-dir {folder}`"
        )
    import pyarrow as pa

    columns = [config.facts.image_column, config.facts.label_column]
    try:
        return pa.concat_tables([pq.read_table(file, columns=columns) for file in files])
    except (pa.ArrowException, OSError) as error:
        why = str(error).splitlines()[0]
        raise UserError(f"data.folder={folder}: cannot read the {split} split: {why}") from error


def _read_cache(config: DataConfig) -> dict[str, pa.Table]:
    # Read at the import of huggingface_hub: a job must neither fetch on its own nor hang on a dead network.
    os.environ["HF_HUB_OFFLINE"] = "1"
    import datasets

    datasets.utils.logging.set_verbosity_error()  # it warns that an offline cache may be old
    name = config.facts.hub_name
    try:
        loaded = datasets.load_dataset(name)
    except (OSError, ValueError) as error:
        raise UserError(
            f"data.name={config.name.value}: not in the cache of Hugging Face datasets; fetch it with "
            f"`python -c \"import datasets; datasets.load_dataset('{name}')\"`, or set data.folder to a folder of its "
            "Parquet files"
        ) from error
    return {split: loaded[split].data.table for split in ("train", "test")}


def load_published(config: DataConfig) -> dict[str, tuple[Tensor, Tensor]]:
    """Splits `train` and `test`, each (images (n, C, H, W) uint8, labels (n) int64). Raises what `find_tables` does."""
    return {split: decode(table, config, split) for split, table in find_tables(config).items()}


def decode(table: pa.Table, config: DataConfig, split: str) -> tuple[Tensor, Tensor]:
    """Images (n, C, H, W), uint8, and labels (n), int64. Raises UserError where the set's facts say otherwise."""
    from PIL import Image

    facts = config.facts
    channels, height, width = facts.image_shape
    cells = table.column(facts.image_column).to_pylist()
    images = np.empty((len(cells), height, width, channels), dtype=np.uint8)
    for index, cell in enumerate(cells):
        try:
            image = Image.open(io.BytesIO(cell["bytes"])).convert("L" if channels == 1 else "RGB")
        except (OSError, TypeError) as error:
            raise UserError(f"data.name={config.name.value}: image {index} of the {split} split is damaged") from error
        if image.size != (width, height):
            size = f"{image.size[0]}×{image.size[1]}"
            raise UserError(
                f"data.name={config.name.value}: image {index} of the {split} split is {size}, must be {width}×{height}"
            )
        images[index] = np.asarray(image).reshape(height, width, channels)
    labels = torch.from_numpy(table.column(facts.label_column).to_numpy().astype(np.int64))
    if len(labels) == 0 or labels.min() < 0 or labels.max() >= facts.classes:
        name, classes = config.name.value, facts.classes
        raise UserError(f"data.name={name}: labels of the {split} split must be there, from 0 to {classes - 1}")
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), labels
