"""A trained network back from its run, or from a file that it was exported to: `terminator.load`, `terminator export`.

Nothing is unpickled: checkpoints are read with PyTorch's `weights_only`, exported files are safetensors.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from omegaconf.errors import OmegaConfBaseException
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from terminator.config import Evaluation, Protocol, RunConfig, Source, from_plain
from terminator.data.config import DataConfig
from terminator.data.folder import describe
from terminator.data.load import fingerprint
from terminator.data.load import load as load_data
from terminator.data.splits import Data
from terminator.entry import Parser, start, typed
from terminator.errors import UserError
from terminator.ledger import Code, Ledger, Result, Run, default_root, provenance
from terminator.ledger.provenance import package_version
from terminator.model.build import build
from terminator.model.networks.custom import CustomConfig
from terminator.run_key import code_hash
from terminator.trained import METADATA, NETWORK, POPULATION, SCHEMA, TrainedNetwork
from terminator.training.checkpoint import DamagedCheckpoint, load_checkpoint
from terminator.training.randomness import generator_for

DESCRIPTION = """Export a trained network to a file that terminator.load reads anywhere.

  terminator export full/0 --to model.safetensors"""
COMPARED = ("terminator-ablations", "torch")  # packages whose version may change predictions


def load(
    run: str | Path,
    *,
    root: str | None = None,
    evaluation: str | None = None,
    target: str | None = None,
    device: str | torch.device = "auto",
) -> TrainedNetwork:
    """The network of a finished run, with the weights that its test accuracy was measured with; or an exported one.

    `run`: the run's key or how it begins, `VARIANT/SEED`, or `SWEEP:VARIANT/SEED` where several sweeps have different
    ones (`.key` of what is returned says which it is), its folder, or a safetensors file of `terminator export`.
    `root`: the output root, by default $TERMINATOR_ROOT, else ./outputs. `evaluation`: `batch` or `population` in place
    of the run's `training.evaluation`. `device`: `auto` takes a GPU where there is one.
    `target`: module:name of a network from outside the suite (`model=custom`). A run's own is imported without it if
    its code is still that which the run was frozen with; an exported file's never is, as the file may be a stranger's.

    A run needs its data, for their mean and standard deviation; an exported file does not. Warns where the code or
    the version of PyTorch is not that which the run was frozen with.
    Raises UserError for a name of no run or of several, a run without a result or whose weights were not kept, other
    data than it was trained on, and a file that is none of `terminator export`'s.
    """
    if isinstance(device, str) and device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    path = Path(run).expanduser()
    if path.is_file() or path.suffix == ".safetensors":
        return _read_exported(path, evaluation, target).to(device)
    found = Run(path.absolute()) if (path / "spec.json").exists() else Ledger(default_root(root)).find_run(str(run))
    return load_run(found, evaluation=evaluation, target=target, device=device)[0]


def load_run(
    run: Run, *, evaluation: str | None = None, target: str | None = None, device: str | torch.device = "cpu"
) -> tuple[TrainedNetwork, Data]:
    """As `load`, of a run of the ledger, and its data on the CPU."""
    spec, who = run.spec(), f"run {run.key}"
    if (result := run.result()) is None:
        status = run.state()
        epoch = f", epoch {status.epoch} of {status.epochs}" if status.epoch is not None else ""
        raise UserError(f"{who}: has no result yet: {status.state.value}{epoch}")
    weights = _best_weights(run, result)
    config = _config(spec.config, evaluation, who)
    origin = {"code": asdict(spec.code), "environment": spec.environment}
    is_same = code_hash(config) == spec.code.hash
    network = _build(_with_target(config, target, who, is_trusted=is_same), weights, who, origin)
    if spec.data_fingerprint not in (None, fingerprint(config.data)):
        raise UserError(f"{who}: data.name={config.data.name}: holds other images than those it was trained on")
    hold_out, split_seed = config.training.protocol is Protocol.holdout, config.seed_for(Source.split)
    data = load_data(config.data, hold_out=hold_out, split_seed=split_seed)
    trained = TrainedNetwork(
        network,
        config,
        mean=data.mean,
        std=data.std,
        dtype=data.train.stored.dtype,
        classes=class_names(config.data),
        key=run.key,
        metrics=result.metrics,
        origin=origin,
    ).to(device)
    if config.training.evaluation is Evaluation.population:
        trained.gather_statistics(data.to(torch.device(device)))
    return trained, data


def _read_exported(path: Path, evaluation: str | None, target: str | None) -> TrainedNetwork:
    """Raises UserError for a file that is damaged or none of ours."""
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get(METADATA) or "null")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 — it is no dict
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as safetensors ({str(error).splitlines()[0]})") from None
    if facts is None:
        raise UserError(f"{path}: holds no network of `terminator export`: its metadata have no {METADATA!r}")
    if facts.get("schema") != SCHEMA:
        raise UserError(f"{path}: schema={facts.get('schema')!r}: this version reads schema {SCHEMA}")
    config = _config(facts["config"], None, str(path))
    if evaluation not in (None, config.training.evaluation.value):
        rule = f"exported with evaluation={config.training.evaluation.value}; export the run with the other"
        raise UserError(f"{path}: evaluation={evaluation}: {rule}")
    origin = {"code": facts["code"], "environment": facts["environment"]}
    weights = _below(tensors, NETWORK)
    network = _build(_with_target(config, target, str(path), is_trusted=False), weights, str(path), origin)
    trained = TrainedNetwork(
        network,
        config,
        mean=tensors["mean"],
        std=tensors["std"],
        dtype=getattr(torch, facts["dtype"]),
        classes=facts["classes"],
        key=facts["key"],
        metrics=facts["metrics"],
        origin=origin,
    )
    population = _below(tensors, POPULATION)
    for name, place in trained.places().items():
        if f"{name}.count" in population:
            place.mean, place.variance = population[f"{name}.mean"], population[f"{name}.variance"]
            place.count = int(population[f"{name}.count"])
    return trained


def _below(tensors: dict[str, Tensor], beginning: str) -> dict[str, Tensor]:
    """Those whose names begin so, by the rest of their names."""
    return {name.removeprefix(beginning): value for name, value in tensors.items() if name.startswith(beginning)}


def class_names(data: DataConfig) -> list[str]:
    """The labels' names, in their order: those of a user's own data, of other sets numbers."""
    if data.format == "folder":
        return [str(name) for name in describe(data).classes]
    return [str(label) for label in range(data.classes)]


def _best_weights(run: Run, result: Result) -> dict[str, Tensor]:
    """Those of the epoch that was tested. An attempt that had nothing left but the test made no checkpoint."""
    path = run.checkpoint_path(result)
    if path is None:
        raise UserError(
            f"run {run.key}: its weights were not kept: {run.attempt_folder(result.attempt)} has no checkpoint"
        )
    try:
        state = load_checkpoint(path)["state"]
        found, weights = [state["epoch"], state["best"]["epoch"]], state["best"]["weights"]
    except (DamagedCheckpoint, KeyError, TypeError) as error:
        raise UserError(f"run {run.key}: {path} cannot be read ({error})") from None
    if found != [result.metrics["epochs"], result.metrics["best_epoch"]]:
        rule = f"the checkpoint of its end is gone, and {path} is of epoch {found[0]} of {result.metrics['epochs']}"
        raise UserError(f"run {run.key}: its weights were not kept: {rule}")
    return dict(weights)


def _config(plain: dict[str, Any], evaluation: str | None, who: str) -> RunConfig:
    try:
        config = from_plain(plain)
    except UserError as error:
        raise UserError(f"{who}: {error}") from None
    except (OmegaConfBaseException, KeyError, ValueError) as error:
        why = str(error).splitlines()[0]
        raise UserError(f"{who}: its configuration is of another version of the suite ({why})") from None
    if evaluation is None:
        return config
    choices = [each.value for each in Evaluation]
    if evaluation not in choices:
        raise UserError(f"evaluation={evaluation}: choose from {', '.join(choices)}")
    return replace(config, training=replace(config.training, evaluation=Evaluation(evaluation)))


def _with_target(config: RunConfig, target: str | None, who: str, *, is_trusted: bool) -> RunConfig:
    """Names in files are not imported on their word alone: see `load`."""
    model = config.model
    if not isinstance(model, CustomConfig):
        if target is not None:
            raise UserError(f"target={target}: {who} is of the suite's own network {model.architecture}")
        return config
    if target is None and not is_trusted:
        rule = "is imported only where its code is what the run was frozen with, or where you name it: "
        raise UserError(f"{who}: its network {model.target} {rule}target={model.target!r}")
    return replace(config, model=model if target is None else replace(model, target=target))


def _build(config: RunConfig, weights: dict[str, Tensor], who: str, origin: dict[str, Any]) -> nn.Module:
    """The network with these weights. Warns of what differs between `origin` and here and now."""
    differences = _differences(config, origin)
    shape, classes = config.data.input_shape, config.data.classes
    generator = generator_for(config.seed_for(Source.init), "weights")
    network = build(config.model, image_shape=shape, classes=classes, generator=generator)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        why = " ".join(str(error).split())[:200]
        listed = f" ({'; '.join(differences)})" if differences else ""
        raise UserError(f"{who}: its weights do not fit the network that this code builds{listed}: {why}") from None
    if differences:
        said = f"{who}: was trained with other code or versions: {'; '.join(differences)}; predictions may differ"
        warnings.warn(said, stacklevel=4)
    return network


def _differences(config: RunConfig, origin: dict[str, Any]) -> list[str]:
    """What was otherwise when the run was frozen: its code, packages."""
    before, now = Code(**origin["code"]), code_hash(config)
    packages = origin["environment"].get("packages", {})
    pairs = [(f"{name} ", packages.get(name), package_version(name)) for name in COMPARED]
    if before.hash != now:
        pairs = [("code ", before.hash, now), ("commit ", before.commit, provenance().code.commit), *pairs]
    return [f"{name}{old}, now {new}" for name, old, new in pairs if old is not None and old != new]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line of `terminator export`. Bad input ends with one line on stderr and exit code 2."""
    parser = Parser(prog=typed("export"), description=DESCRIPTION)
    parser.add_argument(
        "run", metavar="RUN", help="its key or how that begins, VARIANT/SEED or SWEEP:VARIANT/SEED, or its folder"
    )
    parser.add_argument("--to", required=True, metavar="FILE", help="the new file, NAME.safetensors")
    parser.add_argument("--evaluation", help="batch or population, in place of the run's")
    parser.add_argument("--target", help="module:name of a network of your own whose code has changed since the run")
    parser.add_argument("--root", help="output root (default: $TERMINATOR_ROOT, else ./outputs)")
    given = parser.parse_args(arguments)
    with one_line_each():
        if Path(given.to).suffix != ".safetensors":
            raise UserError(f"--to={given.to}: must be NAME.safetensors")
        network = load(given.run, root=given.root, evaluation=given.evaluation, target=given.target)
        written = network.save(given.to)
        if not given.run.endswith(network.key):
            print(f"terminator: run={given.run}: its key is {network.key}", file=sys.stderr)
        print(written)


@contextmanager
def one_line_each() -> Iterator[None]:
    """For a command: warnings, and the UserError that ends it with exit code 2, as lines on standard error."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: print(f"terminator: {message}", file=sys.stderr)
        try:
            yield
        except UserError as error:
            print(f"terminator: {error}", file=sys.stderr)
            sys.exit(2)


if __name__ == "__main__":
    start(main)
