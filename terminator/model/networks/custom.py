"""A network of your own: `model=custom model.target=my_nets:Net 'model.arguments={depth: 8}'` takes any torch.nn.Module
from images (B, C, *pixels) to logits (B, classes), from a module that Python can import where the command runs; so do
the networks of installed packages, by the names of their entry points."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from terminator.errors import UserError
from terminator.model.classifier import Output
from terminator.model.config import ModelConfig, require
from terminator.model.networks import ENTRY_POINTS
from terminator.plugins import installed

GIVEN = ("image_shape", "classes")  # arguments that the data decide


@dataclass(frozen=True)
class CustomConfig(ModelConfig):
    """`target`: module:name of a class, or of a function that returns a module. `arguments`: passed to it by name,
    beside `image_shape` and `classes` where it takes them. Raises UserError for a target of another form."""

    architecture: str = "custom"
    target: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        module, _, name = self.target.partition(":")
        require(bool(module and name), "target", repr(self.target), "must be module:name, for instance my_nets:Net")
        require(self.width == 1, "width", self.width, "a custom network has no width; set model.arguments instead")

    def outside_modules(self) -> list[str]:
        return [self.target.partition(":")[0]]


Config = CustomConfig


class CustomNetwork(nn.Module):
    """The module, with what the suite wants of a network: an `Output` without kernels, and a penalty, its own or 0."""

    def __init__(self, network: nn.Module, where: str, classes: int) -> None:
        super().__init__()
        self.network = network
        self.where = where
        self.classes = classes

    def forward(self, images: Tensor) -> Output:
        logits = self.network(images)
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        if found != (expected := (len(images), self.classes)):
            rule = f"images of {tuple(images.shape)} must give logits of {expected}, not {found}"
            raise UserError(f"{self.where}: {rule}")
        return Output(logits, ())

    def penalty(self) -> Tensor:
        """Scalar."""
        own = getattr(self.network, "penalty", None)
        return own() if callable(own) else next(self.parameters()).new_zeros(())


def build(
    config: ModelConfig, *, image_shape: Sequence[int], classes: int, generator: torch.Generator
) -> CustomNetwork:
    """Weights are drawn from PyTorch's own generator, seeded by `generator` and afterwards as it was.

    Raises UserError for a target that cannot be imported or makes no module, and for arguments that it does not take.
    """
    given = {"image_shape": tuple(image_shape), "classes": classes}
    if isinstance(config, CustomConfig):
        where, make = f"model.target={config.target}", _target(config, given)
    else:
        (module,) = installed(ENTRY_POINTS)[config.architecture]
        where, make = f"model={config.architecture}", partial(import_module(module).build, config, **given)
    seed = int(torch.randint(2**63 - 1, (1,), generator=generator))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            network = make()
        except UserError:
            raise
        except Exception as error:
            given.update(getattr(config, "arguments", {}))
            raise UserError(f"{where}: cannot be made of {given}: {in_a_line(error)}") from error
    if not isinstance(network, nn.Module):
        raise UserError(f"{where}: must make a torch.nn.Module, not {type(network).__name__}")
    if next(network.parameters(), None) is None:
        raise UserError(f"{where}: has no parameters to train")
    return CustomNetwork(network, where, classes)


def _target(config: CustomConfig, given: dict[str, Any]) -> Callable[[], object]:
    """What `target` names, with its arguments."""
    make = _find(config.target)
    accepted = inspect.signature(make).parameters
    takes_any = any(each.kind is each.VAR_KEYWORD for each in accepted.values())
    arguments = {name: value for name, value in given.items() if name in accepted} | config.arguments
    for name in config.arguments:
        if name not in accepted and not takes_any:
            raise UserError(f"model.arguments.{name}: no such argument of {config.target}{_hint(name, accepted)}")
    for name, each in accepted.items():
        is_required = each.default is each.empty and each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
        if is_required and name not in arguments:
            raise UserError(f"model.arguments={config.arguments}: {config.target} needs {name}")
    return partial(make, **arguments)


def _find(target: str) -> Callable[..., object]:
    module_name, _, name = target.partition(":")
    try:
        found = getattr(import_module(module_name), name)
    except ModuleNotFoundError as error:
        raise UserError(f"model.target={target}: {error} (looked where Python imports from)") from None
    except AttributeError:
        raise UserError(f"model.target={target}: {module_name} has no {name}") from None
    if not callable(found):
        raise UserError(f"model.target={target}: must be a class or a function, not {type(found).__name__}")
    make: Callable[..., object] = found
    return make


def in_a_line(error: Exception) -> str:
    """What a network of the user's own has raised: its kind, and the first line of its message."""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


def _hint(name: str, accepted: Sequence[str] | Any) -> str:
    choices = [each for each in accepted if each not in GIVEN]
    near = get_close_matches(name, choices, 1)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"; {meant}choose from {', '.join(choices)}" if choices else "; it takes none"
