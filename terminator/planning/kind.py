"""Whether an ablation's question is about the data that were chosen."""

from __future__ import annotations

from terminator.data.config import FACTS, DataConfig, Dataset
from terminator.errors import UserError
from terminator.settings import AblationConfig, DataKind


def kind_of(dataset: Dataset) -> DataKind:
    """What its samples are."""
    return DataKind.sequence if len(FACTS[dataset].image_shape) == 2 else DataKind.image


def check_kind(name: str, ablation: AblationConfig, data: DataConfig) -> None:
    """Raises UserError, with the data that would do, where the ablation asks about data of another kind."""
    asked, held = ablation.data_kind, kind_of(data.name)
    if asked is None or asked is held:
        return
    *others, last = [f"data={dataset.value}" for dataset in Dataset if kind_of(dataset) is asked]
    raise UserError(
        f"ablation={name}: asks about {asked.value}s; data={data.name.value} holds {held.value}s; "
        f"add {', '.join(others)} or {last}"
    )
