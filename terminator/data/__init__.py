"""Images as tensors: loading, fixed splits, whole-batch augmentation."""

from terminator.data.config import DataConfig, DatasetFacts

__all__ = ["describe"]


def describe(config: DataConfig) -> DatasetFacts:
    """Image shape and classes of a data set, without loading it."""
    return config.facts
