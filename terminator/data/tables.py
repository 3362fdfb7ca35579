"""Where published sets lie on this machine: a local folder of Parquet files, or the cache of Hugging Face `datasets`.

Imports no torch, so that a plan can look before anything runs.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

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
