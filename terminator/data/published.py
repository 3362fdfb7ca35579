"""From the Parquet rows of a published set to tensors."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from terminator.data.config import DataConfig
from terminator.data.tables import find_tables
from terminator.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa


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
