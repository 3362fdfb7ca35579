"""A module of the user's own: what it is given, whose weights it has, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from terminator.errors import UserError
from terminator.model.build import build, forward_flops
from terminator.model.networks import network_modules
from terminator.model.networks.custom import CustomConfig

KEY = "model.arguments"
NETS = """
import math
from torch import nn

class Net(nn.Sequential):
    def __init__(self, image_shape, classes, *, depth=1):
        hidden = [nn.Linear(4, 4) for _ in range(depth)]
        super().__init__(nn.Flatten(), nn.Linear(math.prod(image_shape), 4), *hidden, nn.Linear(4, classes))

class Bare(nn.Sequential):
    def __init__(self, width):
        super().__init__(nn.Flatten(), nn.Linear(18, width))

    def penalty(self):
        return self[1].bias.norm()

def empty(): return nn.Identity()
def number(): return 3
"""


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_nets.py").write_text(NETS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_nets", raising=False)


def network(name: str, seed: int = 0, **arguments: Any) -> nn.Module:
    config = CustomConfig(target=f"my_nets:{name}", arguments=arguments)
    return build(config, image_shape=(2, 3, 3), classes=5, generator=torch.Generator().manual_seed(seed))


def test_it_is_given_the_images_shape_and_the_classes_where_it_takes_them() -> None:
    output = network("Net", depth=2)(torch.randn(4, 2, 3, 3))
    assert output.logits.shape == (4, 5)
    assert output.kernels == ()
    assert network("Bare", width=5)(torch.randn(4, 2, 3, 3)).logits.shape == (4, 5)
    assert forward_flops(network("Bare", width=5), (2, 3, 3)) == 2 * 18 * 5


def test_the_generator_alone_decides_the_weights_and_pytorchs_own_stays_as_it_was() -> None:
    torch.manual_seed(1)
    first, state = network("Net"), torch.get_rng_state()
    torch.manual_seed(2)
    again, other = network("Net"), network("Net", seed=7)
    for a, b, c in zip(first.parameters(), again.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_penalty_is_its_own_or_none() -> None:
    bare = network("Bare", width=5)
    assert bare.penalty().item() == pytest.approx(bare.get_parameter("network.1.bias").norm().item())  # type: ignore[operator]
    assert network("Net").penalty().item() == 0  # type: ignore[operator]


def test_its_module_decides_the_result_too() -> None:
    assert network_modules(CustomConfig(target="my_nets:Net")) == ["terminator.model.networks.custom", "my_nets"]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        (
            "Net",
            {"dpeth": 2},
            f"{KEY}.dpeth: no such argument of my_nets:Net; did you mean depth? choose from depth",
        ),
        ("empty", {"depth": 2}, f"{KEY}.depth: no such argument of my_nets:empty; it takes none"),
        ("Bare", {}, "model.arguments={}: my_nets:Bare needs width"),
        ("Nett", {}, "model.target=my_nets:Nett: my_nets has no Nett"),
        ("math", {}, "model.target=my_nets:math: must be a class or a function, not module"),
        ("number", {}, "model.target=my_nets:number: must make a torch.nn.Module, not int"),
        ("empty", {}, "model.target=my_nets:empty: has no parameters to train"),
        (
            "Net",
            {"depth": "deep"},
            "model.target=my_nets:Net: cannot be made of {'image_shape': (2, 3, 3), 'classes': 5, 'depth': 'deep'}: "
            "TypeError: 'str' object cannot be interpreted as an integer",
        ),
    ],
)
def test_a_refusal_names_key_value_and_choices(name: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as refused:
        network(name, **arguments)
    assert str(refused.value) == message


def test_a_module_that_cannot_be_imported_and_a_wrong_form_are_refused() -> None:
    with pytest.raises(UserError, match=r"^model\.target=no_nets:Net: No module named 'no_nets'"):
        build(CustomConfig(target="no_nets:Net"), image_shape=(2, 3, 3), classes=5)
    with pytest.raises(UserError, match=r"model\.target='my_nets': must be module:name"):
        CustomConfig(target="my_nets")
    with pytest.raises(UserError, match=r"model\.width=2: a custom network has no width"):
        CustomConfig(target="my_nets:Net", width=2)


def test_logits_of_another_shape_are_refused() -> None:
    message = r"model\.target=my_nets:Bare: images of \(4, 2, 3, 3\) must give logits of \(4, 5\), not \(4, 6\)"
    with pytest.raises(UserError, match=message):
        network("Bare", width=6)(torch.randn(4, 2, 3, 3))
