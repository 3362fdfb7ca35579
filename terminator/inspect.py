"""Export what a trained network computes inside: `terminator inspect ABLATION` (or runs by their keys).

Writes ROOT/runs/<key>/features.npz, which `analysis` reads without torch: hyper-kernels and feature maps of every block
for one test image, and the features' mean and standard deviation by depth over the whole test split.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from terminator.entry import Parser, start, typed
from terminator.errors import UserError
from terminator.ledger import Ledger, Run, Variant, default_root, files
from terminator.ledger.names import sweep_names
from terminator.loading import load_run, one_line_each
from terminator.model.networks.terminator import BlockOutput, SFNEBlock, Terminator
from terminator.text import did_you_mean
from terminator.training.evaluation import evaluate

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

    Raises UserError where the run is of another network, and where it cannot be loaded (see terminator.load).
    """
    trained, data = load_run(run)
    network, config = trained.network, trained.config
    if not isinstance(network, Terminator):
        raise UserError(f"run {run.key}: model.architecture={config.model.architecture}: only a terminator has blocks")
    recorder = Recorder(list(network.blocks))
    evaluate(network, data.test, data, config.training, predict=network, between_batches=lambda: None)
    recorder.stop()
    mean, std = recorder.moments()
    described = {"key": run.key, "dataset": config.data.name, "slow_loss": config.objective.slow_loss.value}
    arrays = {**recorder.arrays, "image": data.test.images[0].numpy(), "mean": _array(mean), "std": _array(std)}
    return _write(run.folder / "features.npz", arrays, described)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line: an ablation's first finished run of each variant, or runs by key or VARIANT/SEED."""
    parser = Parser(prog=typed("inspect"), description=DESCRIPTION)
    parser.add_argument(
        "names",
        nargs="+",
        metavar="ABLATION|RUN",
        help="an ablation or a sweep; or a run, by key, VARIANT/SEED or SWEEP:VARIANT/SEED",
    )
    parser.add_argument("--variant", nargs="+", help="of the ablation, only these variants")
    parser.add_argument("--root", help="output root (default: $TERMINATOR_ROOT, else ./outputs)")
    given = parser.parse_args(arguments)
    ledger = Ledger(default_root(given.root))
    with one_line_each():
        for name in given.names:
            for run in _runs(ledger, name, given.variant):
                print(export_features(run))


RUN = re.compile(r"[0-9a-f]+|.+/\d+")  # how a run key begins, or VARIANT/SEED


def _runs(ledger: Ledger, name: str, variants: Sequence[str] | None) -> list[Run]:
    """The run called so, or the first finished run of each variant: of that ablation, or of all of that sweep's."""
    sweeps = ledger.sweeps()
    known = sweep_names(sweeps)
    if name not in known and RUN.fullmatch(name):
        return [ledger.find_run(name)]
    if not any(each.startswith(name) for each in known):
        places = (place for sweep in sweeps for place in sweep.names().values())
        listed = f"{did_you_mean(name, [*known, *places])}choose from {', '.join(known)}" if known else "there are none"
        expected = "must be an ablation, a sweep, or a run by VARIANT/SEED or how its key begins"
        raise UserError(f"{name}: {expected}, with results in {ledger.root}; {listed}")
    sweep = ledger.sweep(name)
    compared = [each for each in sweep.ablations if not each.is_tuning]
    ablations = [each for each in sweep.ablations if each.name == name] or compared
    found: dict[str, Variant] = {}
    for variant in (variant for ablation in ablations for variant in ablation.variants):
        found.setdefault(variant.name, variant)
    for unknown in set(variants or ()) - found.keys():
        raise UserError(f"variant={unknown}: no variant of {name}; choose from {', '.join(found)}")
    chosen = [variant for variant in found.values() if variants is None or variant.name in variants]
    runs = [[ledger.run(key) for key in variant.runs.values()] for variant in chosen]
    finished = [next((run for run in each if run.result() is not None), None) for each in runs]
    return [run for run in finished if run is not None]


def _array(tensor: Tensor) -> np.ndarray[Any, Any]:
    return tensor.detach().cpu().float().numpy()


def _write(path: Path, arrays: dict[str, np.ndarray[Any, Any]], facts: dict[str, Any]) -> Path:
    temporary = files.temporary_path(path)
    with open(temporary, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays, facts=np.array(json.dumps(facts)))
    os.replace(temporary, path)
    return path


if __name__ == "__main__":
    start(main)
