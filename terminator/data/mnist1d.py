"""MNIST-1D (Greydanus and Kobak, ICML 2024), made by its authors' package."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import fields
from importlib.metadata import version

import numpy as np
import torch
from torch import Tensor

from terminator.data.cache import Arrays, generated, generated_fingerprint
from terminator.data.config import TEMPLATE_LENGTH, DataConfig, Mnist1dConfig


def read(config: DataConfig) -> dict[str, tuple[Tensor, Tensor]]:
    """Splits `train` and `test`: sequences (n, 1, L) float32, together of mean 0 and variance 1, and labels (n)."""
    arrays, count = generated("mnist1d", *_recipe(config)), config.test_images
    sequences, labels = torch.from_numpy(arrays["sequences"]), torch.from_numpy(arrays["labels"])
    return {"train": (sequences[:-count], labels[:-count]), "test": (sequences[-count:], labels[-count:])}


def fingerprint(config: DataConfig) -> str:
    """A hash of all sequences and labels."""
    return generated_fingerprint("mnist1d", *_recipe(config))


def _recipe(config: DataConfig) -> tuple[str, Callable[[], Arrays]]:
    """All that the sequences depend on, and what makes them and their labels, the training ones first; that
    takes seconds, and some more to import pyplot."""
    assert isinstance(config, Mnist1dConfig)
    own = {field.name for field in fields(Mnist1dConfig)} - {field.name for field in fields(DataConfig)}
    settings = {name: getattr(config, name) for name in sorted(own)} | {"length": config.image_shape[1]}
    versions = {name: version(name) for name in ("mnist1d", "numpy", "scipy")}
    return json.dumps([settings, versions]), lambda: _make(config)


def _make(config: Mnist1dConfig) -> Arrays:
    from mnist1d.data import get_dataset_args, make_dataset  # it imports matplotlib.pyplot

    arguments = get_dataset_args()
    arguments.num_samples = config.num_samples
    arguments.train_split = 1.0  # in their order; `read` splits them
    arguments.template_len = TEMPLATE_LENGTH
    arguments.padding = list(config.padding)
    arguments.scale_coeff = config.scale_coeff
    arguments.max_translation = config.max_translation
    arguments.corr_noise_scale = config.corr_noise_scale
    arguments.iid_noise_scale = config.iid_noise_scale
    arguments.shear_scale = config.shear_scale
    arguments.shuffle_seq = config.shuffle_seq
    arguments.final_seq_length = config.image_shape[1]
    arguments.seed = config.generator_seed
    before = random.getstate(), np.random.get_state()
    try:
        made = make_dataset(arguments)
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
    return {"sequences": made["x"][:, None].astype(np.float32), "labels": made["y"].astype(np.int64)}
