"""What the names mean that one types for sweeps and runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from terminator.errors import UserError
from terminator.text import counted, did_you_mean

if TYPE_CHECKING:
    from terminator.ledger.ledger import Ledger, Sweep

MOST_CHOICES = 20  # that a line names


def sweep_named(ledger: Ledger, name: str) -> Sweep:
    """The sweep of that id, else the newest with an ablation of that name, else the one whose id begins so.

    Raises UserError, listing the sweeps, where `name` means none or several.
    """
    sweeps = ledger.sweeps()
    by_id = [sweep for sweep in sweeps if sweep.id == name]
    by_ablation = [sweep for sweep in sweeps if any(ablation.name == name for ablation in sweep.ablations)]
    if by_id or by_ablation:
        return (by_id or by_ablation)[0]
    by_prefix = [sweep for sweep in sweeps if sweep.id.startswith(name)]
    if len(by_prefix) == 1:
        return by_prefix[0]
    choices = ", ".join(sweep.id for sweep in by_prefix or sweeps) or "none"
    rule = "means several sweeps" if by_prefix else "no such sweep"
    meant = "" if by_prefix else did_you_mean(name, sweep_names(sweeps))
    raise UserError(f"sweep={name}: {rule} in {ledger.root}; {meant}there are: {choices}")


def sweep_names(sweeps: Sequence[Sweep]) -> list[str]:
    """The names of their ablations, then their ids."""
    ablations = dict.fromkeys(ablation.name for sweep in sweeps for ablation in sweep.ablations)
    return [*ablations, *(sweep.id for sweep in sweeps)]


def run_named(ledger: Ledger, name: str, sweeps: Sequence[Sweep] | None = None) -> str:
    """The key of the run called so, as `Ledger.find_run` has it."""
    if ledger.run(name).frozen():
        return name
    known = ledger.sweeps() if sweeps is None else sweeps
    places, asked = _places(known), name
    place, in_sweep, rest = name.partition(":")
    if name not in places and in_sweep and "/" in rest:
        ablation = None if any(sweep.id == place for sweep in known) else place
        holding = [
            _places([sweep], ablation) for sweep in known if any(each.name == ablation for each in sweep.ablations)
        ]
        newest = holding[0] if holding else _places([sweep_named(ledger, place)])
        places = next((each for each in holding if rest in each), newest)
        name = rest
    if name in places:
        keys = places[name]
        if len(keys) > 1 and sweeps is None:
            raise UserError(_several(name, keys))
        return next(iter(keys))
    every = (*(key for keys in places.values() for key in keys), *(run.key for run in ledger.runs()))
    found = sorted({key for key in every if key.startswith(name)})
    if len(found) == 1:
        return found[0]
    rule = "means several runs" if found else "no such run"
    choices = found or list(places)
    meant = "" if found else did_you_mean(name, choices)
    listed = f"{meant}choose from {_first(choices)}" if choices else f"there are none in {ledger.root}"
    raise UserError(f"run={asked}: {rule}; {listed}")


def _places(sweeps: Sequence[Sweep], ablation: str | None = None) -> dict[str, dict[str, list[str]]]:
    """VARIANT/SEED → run key → the sweeps that have it there, all in the order of `sweeps` and their plans."""
    places: dict[str, dict[str, list[str]]] = {}
    for sweep in sweeps:
        for cell in sweep.cells():
            if ablation in (None, cell.ablation.name):
                keys = places.setdefault(f"{cell.variant.name}/{cell.seed}", {})
                keys.setdefault(cell.key, []).append(sweep.id)
    return places


def _several(name: str, keys: dict[str, list[str]]) -> str:
    """The refusal of a VARIANT/SEED that is of several runs: how to name each of them."""
    own = {key: set(sweeps) for key, sweeps in keys.items()}
    alone = {
        key: next((each for each in keys[key] if not any(each in own[other] for other in own if other != key)), None)
        for key in keys
    }
    choices = [key if each is None else f"{each}:{name} ({key})" for key, each in alone.items()]
    sweeps = len(set().union(*own.values()))
    return f"run={name}: means {counted(len(keys), 'run')} of {counted(sweeps, 'sweep')}; choose from {_first(choices)}"


def _first(choices: Sequence[str]) -> str:
    more = f" and {len(choices) - MOST_CHOICES:,} more" if len(choices) > MOST_CHOICES else ""
    return f"{', '.join(choices[:MOST_CHOICES])}{more}"
