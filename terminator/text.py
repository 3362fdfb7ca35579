"""Numbers, times, shares and overrides, as messages and tables write them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from difflib import get_close_matches
from typing import Any


def counted(number: int, thing: str) -> str:
    """`1 run`, `2 runs`, `0 runs`, `1,437 points`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def moment(seconds: float) -> str:
    """`2026-11-20 16:02`, from seconds since 1970, in local time."""
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")


def span(seconds: float) -> str:
    """`9 s`, `3.2 min`, `6.2 h`, `1,437 h`."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:,.{1 if seconds < 100 * size else 0}f}".removesuffix(".0") + f" {unit}"
    return f"{seconds:.{1 if seconds < 1 else 0}f} s"


def done_already(finished: float) -> str:
    """`done already, 2026-11-20 16:02`, in local time. `finished`: in seconds since 1970."""
    return f"done already, {moment(finished)}"


def file_name(name: str) -> str:
    """A name as a file or a folder may have it: an ablation in a folder of its own, `sub/mine`, as `sub.mine`."""
    return name.replace("/", ".")


NEAR = 0.05  # a size-matched control within 5 % of its budget is of its size


def signed_percent(share: float) -> str:
    """`−82 %`, `+5 %`, `0 %`."""
    percent = round(100 * share)
    sign = "+" if percent > 0 else "−" if percent < 0 else ""
    return f"{sign}{abs(percent)} %"


def describe(overrides: Mapping[str, Any]) -> str:
    """Overrides as one would type them: `model.gate=glu model.local_kernels=[3,5]`."""
    return " ".join(to_overrides(overrides)) or "no override"


def to_overrides(values: Mapping[str, Any]) -> list[str]:
    """Keys and values in Hydra's override grammar."""
    return [f"{key}={override_value(value)}" for key, value in values.items()]


def override_value(value: Any) -> str:
    """A value in Hydra's grammar: `null`, `true`, `[3,5]`, `{x:false}`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{override_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(override_value(item) for item in value) + "]"
    return str(value)


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """The last part of each dotted key, where that tells it from the others; else the whole."""
    last = {key: key.rpartition(".")[2] for key in keys}
    return {key: name if list(last.values()).count(name) == 1 else key for key, name in last.items()}


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """`did you mean …? `, to go before the choices; empty where none of them is near."""
    near = get_close_matches(name, list(choices), n=1)
    return f"did you mean {near[0]}? " if near else ""
