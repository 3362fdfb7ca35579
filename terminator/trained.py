"""A trained network with its preprocessing: what `terminator.load` returns, and the file that it is exported to."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as serialized
from torch import Tensor, nn

from terminator.config import Evaluation, RunConfig, to_plain
from terminator.data.load import as_sequences
from terminator.data.splits import Data, Split
from terminator.errors import UserError, storage_errors
from terminator.ledger import files
from terminator.model.normalisation import PopulationStatistics, gather_population_statistics
from terminator.model.ops import at_least_float32
from terminator.text import counted
from terminator.training.evaluation import autocast

METADATA = "terminator"  # the key, in a safetensors file's metadata, of what is not a tensor
SCHEMA = 1
NETWORK, POPULATION = "network.", "population."  # what names of tensors begin with
FEW = 16  # images whose own statistics are a poor stand-in for those of a batch


class TrainedNetwork(nn.Module):
    """A trained network with its preprocessing, in evaluation mode: raw images in, logits or labels out.

    `network`: the bare one, from standardised images to `Output`. `mean`, `std`: of the training pixels, (C, 1, …).
    `dtype`: of the images as the data set has them. `classes`: the labels' names. `config`: the run's configuration.
    `key`, `metrics`: of the run. `origin`: the code and the environment that it was frozen with, as in spec.json.
    """

    def __init__(
        self,
        network: nn.Module,
        config: RunConfig,
        *,
        mean: Tensor,
        std: Tensor,
        dtype: torch.dtype,
        classes: Sequence[str],
        key: str,
        metrics: dict[str, Any],
        origin: dict[str, Any],
    ) -> None:
        super().__init__()
        self.network, self.config, self.dtype = network, config, dtype
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.classes = tuple(classes)
        self.key, self.metrics, self.origin = key, metrics, origin
        self.eval()

    def forward(self, images: Any) -> Tensor:
        """Raw images, a tensor or an array (n, C, H, W) as the data set has them, or one (C, H, W) → logits
        (n, classes) float32, on the images' device. Of a network on sequences also (n, C, L).

        As the run evaluated its test split: without gradients, with its number format and its CPU threads, in as few
        batches of at most `training.evaluation_batch_size` as there can be. With `training.evaluation=batch` images
        are standardised together with the others of their batch, so that a prediction depends on them: give as many
        as there are, or load with `evaluation="population"`. Raises UserError for images of another shape or type.
        """
        raw = self._checked(images)
        if len(raw) < FEW and self.places() and self.config.training.evaluation is Evaluation.batch:
            rule = "standardised by their own statistics alone, predictions are poor; load with evaluation='population'"
            warnings.warn(f"{counted(len(raw), 'image')} at once: {rule}", stacklevel=2)
        split = Split(raw, torch.zeros(len(raw)))
        with self._as_evaluated():
            logits = [self._logits(batch.images) for batch in split.even_batches(self._largest_batch)]
        return torch.cat(logits).to(raw.device)

    def predict(self, images: Any) -> Tensor:
        """The label of each raw image, as an index into `classes`: `forward`'s images → (n) int64."""
        return self(images).argmax(1)  # type: ignore[no-any-return]

    def standardise(self, images: Tensor) -> Tensor:
        """What `network` takes: raw images, float32, by the training pixels' mean and standard deviation."""
        return (images.float() - self.mean) / self.std

    @torch.no_grad()
    def kernels(self) -> list[Tensor]:
        """K_g of each block that has one, (C, *pixels); none of a network without hyper-kernels."""
        image = torch.zeros(1, *self.config.data.input_shape, device=self.mean.device)
        return [kernel[0] for kernel in self.network(image).kernels]

    def save(self, path: Path | str) -> Path:
        """Export to a new safetensors file, which `terminator.load` reads without ledger and data. Returns its path.

        Raises UserError where the file exists or cannot be written.
        """
        path = Path(path)
        if path.exists():
            raise UserError(f"{path}: exists already; choose another name")
        facts = {
            "schema": SCHEMA,
            "key": self.key,
            "config": to_plain(self.config),
            "dtype": str(self.dtype).removeprefix("torch."),
            "classes": self.classes,
            "metrics": self.metrics,
            **self.origin,
        }
        state = self.network.state_dict()
        tensors = {f"{NETWORK}{name}": value for name, value in state.items()} | {"mean": self.mean, "std": self.std}
        for name, place in self.places().items():
            if place.count:
                count = torch.tensor(place.count)
                parts = {"mean": place.mean, "variance": place.variance, "count": count}
                tensors |= {f"{POPULATION}{name}.{part}": value for part, value in parts.items()}
        if odd := next((name for name, value in tensors.items() if not isinstance(value, Tensor)), None):
            raise UserError(f"{path}: {odd.removeprefix(NETWORK)}: of the network's state, is no tensor")
        whole = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
        content = serialized(whole, {"format": "pt", METADATA: json.dumps(facts, ensure_ascii=False)})
        temporary = files.temporary_path(path)
        with storage_errors(path.absolute().parent):
            try:
                temporary.write_bytes(content)
                os.replace(temporary, path)
            except (FileNotFoundError, NotADirectoryError):
                raise UserError(f"{path}: there is no folder {path.parent}") from None
            finally:
                temporary.unlink(missing_ok=True)
        return path

    def gather_statistics(self, data: Data) -> None:
        """The statistics of all training images, which `training.evaluation=population` standardises by."""
        size = self.config.training.batch_size
        with self._as_evaluated():
            gather_population_statistics(
                self.network, (self.standardise(batch.images) for batch in data.train.even_batches(size))
            )

    @property
    def _largest_batch(self) -> int:
        return self.config.training.evaluation_batch_size

    def _logits(self, images: Tensor) -> Tensor:
        return at_least_float32(self.network(self.standardise(images.to(self.mean.device)))[0])

    @contextmanager
    def _as_evaluated(self) -> Iterator[None]:
        """What the run was evaluated under, and after it the process's own settings again."""
        threads = torch.get_num_threads()
        fixed = getattr(self.network, "fixed_kernels", nullcontext)
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        torch.set_num_threads(self.config.machine.threads)
        try:
            with torch.no_grad(), autocast(self.mean.device, self.config.training.precision), exact, fixed():
                yield
        finally:
            torch.set_num_threads(threads)

    def _checked(self, images: Any) -> Tensor:
        raw = torch.as_tensor(images)
        data = self.config.data
        shapes = dict.fromkeys((tuple(data.image_shape), data.input_shape))
        raw = raw[None] if tuple(raw.shape) in shapes else raw
        if tuple(raw.shape[1:]) not in shapes or len(raw) == 0:
            listed = " or ".join(str(("n", *shape)).replace("'", "") for shape in shapes)
            raise UserError(f"images of {tuple(raw.shape)}: must be {listed}, as {data.name} has them")
        if raw.dtype != self.dtype:
            names = [str(each).removeprefix("torch.") for each in (raw.dtype, self.dtype)]
            raise UserError(f"images of {names[0]}: must be {names[1]}, with the values that {data.name} has")
        return raw if tuple(raw.shape[1:]) == data.input_shape else as_sequences(raw, data.sequence)  # type: ignore[arg-type]

    def places(self) -> dict[str, PopulationStatistics]:
        modules = self.network.named_modules()
        return {name: module for name, module in modules if isinstance(module, PopulationStatistics)}

    def _apply(self, fn: Any, recurse: bool = True) -> TrainedNetwork:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for place in self.places().values():  # which are no buffers, as no checkpoint holds them
            place.mean, place.variance = fn(place.mean), fn(place.variance)
        return self
