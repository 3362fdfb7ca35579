"""Export what a trained network computes inside: `python -m terminator.inspect ABLATION` (or run keys).

Writes ROOT/runs/<key>/features.npz, which `analysis` reads without torch: hyper-kernels and feature maps of every block
for one test image, and the features' mean and standard deviation by depth over the whole test split.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from terminator.config import Protocol, from_plain
from terminator.data.load import load
from terminator.entry import Parser, typed
from terminator.errors import UserError
from terminator.ledger import Ledger, Run, default_root, files
from terminator.model.build import build
from terminator.model.networks.terminator import BlockOutput, SFNEBlock, Terminator
from terminator.training.checkpoint import DamagedCheckpoint, load_checkpoint
from terminator.training.evaluation import evaluate
from terminator.training.randomness import generator_for

DESCRIPTION = """Export what networks compute, as features.npz beside the result: hyper-kernels and feature maps
of every block for one test image, and the features' mean and spread by depth. Reports and claims draw on it.

  terminator inspect branches --variant full no_local    the first finished run of each of two variants
  terminator inspect 04fa5bee5dcb8950                    a run by its key"""


class Recorder:
    """Watches a network's blocks: the first image's features, and sums over all images for means and spreads."""

    def __init__(self, blocks: Sequence[nn.Module]) -> None:
        count = len(blocks)
        self.images = [0] * count
        self.sums = torch.zeros(3, count, dtype=torch.float64)  # of 1, x and x² over images, channels and pixels
        self.arrays: dict[str, np.ndarray[Any, Any]] = {}
        self._handles = [block.register_forward_hook(self._watch(number)) for number, block in enumerate(blocks)]

    def stop(self) -> None:
        """Take the hooks off the blocks."""
        for handle in self._handles:
            handle.remove()

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and biased standard deviation of each block's output; (blocks,) each."""
        count, total, squares = self.sums
        mean = total / count
        return mean, (squares / count - mean.square()).clamp_min(0).sqrt()

    def _watch(self, number: int) -> Any:
        def record(block: SFNEBlock, inputs: tuple[Any, ...], output: BlockOutput) -> None:
            features = output.features.detach().double()
            self.sums[:, number] += torch.stack(
                [torch.tensor(features.numel()).double(), features.sum().cpu(), features.square().sum().cpu()]
            )
            if f"map.{number}" in self.arrays:
                return
            self.arrays[f"map.{number}"] = _array(output.features[0])
            if output.kernel is not None:
                hyper = inputs[0] * output.kernel if block.config.global_context else output.kernel
                self.arrays[f"kernel.{number}"] = _array(output.kernel[0])
                self.arrays[f"hyper_kernel.{number}"] = _array(hyper[0])

        return record


def export_features(run: Run) -> Path:
    """Write a run's features.npz, from the weights of its best epoch; return its path.

    Raises UserError where the run has no result, no Terminator, or no readable checkpoint.
    """
    result = run.result()
    if result is None:
        raise UserError(f"run {run.key}: has no result yet")
    config = from_plain(run.spec().config)
    data = load(config.data, hold_out=config.training.protocol is Protocol.holdout)
    generator = generator_for(config.seed, "weights")
    network = build(config.model, image_shape=config.data.input_shape, classes=config.data.classes, generator=generator)
    if not isinstance(network, Terminator):
        raise UserError(f"run {run.key}: model.architecture={config.model.architecture}: only a terminator has blocks")
    network.load_state_dict(_best_weights(run, result.attempt))
    recorder = Recorder(list(network.blocks))
    evaluate(network, data.test, data, config.training, predict=network, between_batches=lambda: None)
    recorder.stop()
    mean, std = recorder.moments()
    described = {"key": run.key, "dataset": config.data.name, "slow_loss": config.objective.slow_loss.value}
    arrays = {**recorder.arrays, "image": data.test.images[0].numpy(), "mean": _array(mean), "std": _array(std)}
    return _write(run.folder / "features.npz", arrays, described)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line: an ablation's first finished run of each variant, or runs by their keys."""
    parser = Parser(prog=typed("inspect"), description=DESCRIPTION)
    parser.add_argument("names", nargs="+", metavar="ABLATION|KEY")
    parser.add_argument("--variant", nargs="+", help="of the ablation, only these variants")
    parser.add_argument("--root", help="output root (default: $TERMINATOR_ROOT, else ./outputs)")
    given = parser.parse_args(arguments)
    ledger = Ledger(default_root(given.root))
    try:
        for name in given.names:
            for run in _runs(ledger, name, given.variant):
                print(export_features(run))
    except UserError as error:
        print(f"terminator: {error}", file=sys.stderr)
        sys.exit(2)


def _runs(ledger: Ledger, name: str, variants: Sequence[str] | None) -> list[Run]:
    """The run of that key, or the first finished run of each of an ablation's variants."""
    if ledger.run(name).frozen():
        return [ledger.run(name)]
    (ablation,) = (each for each in ledger.sweep(name).ablations if each.name == name)
    names = [variant.name for variant in ablation.variants]
    for unknown in set(variants or ()) - set(names):
        raise UserError(f"variant={unknown}: no variant of {name}; choose from {', '.join(names)}")
    chosen = [variant for variant in ablation.variants if variants is None or variant.name in variants]
    runs = [[ledger.run(key) for key in variant.runs.values()] for variant in chosen]
    finished = [next((run for run in each if run.result() is not None), None) for each in runs]
    return [run for run in finished if run is not None]


def _best_weights(run: Run, attempt: int) -> dict[str, Tensor]:
    path = run.attempt_folder(attempt) / "checkpoint.pt"
    try:
        weights: dict[str, Tensor] = load_checkpoint(path)["state"]["best"]["weights"]
    except (DamagedCheckpoint, KeyError, TypeError) as error:
        raise UserError(f"run {run.key}: {path} cannot be read ({error})") from None
    return weights


def _array(tensor: Tensor) -> np.ndarray[Any, Any]:
    return tensor.detach().cpu().float().numpy()


def _write(path: Path, arrays: dict[str, np.ndarray[Any, Any]], facts: dict[str, Any]) -> Path:
    temporary = files.temporary_path(path)
    with open(temporary, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays, facts=np.array(json.dumps(facts)))
    os.replace(temporary, path)
    return path


if __name__ == "__main__":
    main()
