"""The model against numbers of the author's release, and the checks against our own numbers of other sizes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from terminator.model.branches import Site
from terminator.model.build import build
from terminator.model.config import TerminatorConfig
from terminator.model.kernels import generate_hyper_kernels
from terminator.model.networks.terminator import SFNEBlock
from terminator.training.step import channel_sum_loss
from tests.golden.__main__ import main
from tests.golden.checks import check_file

VECTORS = sorted((Path(__file__).parent / "vectors").glob("*.safetensors"))
OTHER = TerminatorConfig(
    depth=4,
    channels=[12, 36, 24, 12],
    local_kernels=[5, 3, 7],
    previous_blocks=[[], [], [0], [1, 0]],
    global_layers=[1, 3],
    global_hidden=6,
    local_layers=3,
    local_hidden=5,
    channel_layers=1,
    channel_hidden=3,
    interaction_layers=4,
    interaction_channel_hidden=2,
    interaction_spatial_hidden=7,
    dropout=[0.0],
)


def test_there_are_golden_files() -> None:
    assert len(VECTORS) == 15


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_golden_file(path: Path) -> None:
    assert [deviation for deviation in check_file(path) if not deviation.is_within] == []


def save(path: Path, module: torch.nn.Module, inputs: dict[str, Tensor], outputs: dict[str, Tensor]) -> None:
    """A golden file: inputs, parameters, outputs, and the gradients of Σ (out ⊙ probe)."""
    probes = {name: torch.randn(y.shape, dtype=y.dtype) for name, y in outputs.items()}
    torch.stack([(y * probes[name]).sum() for name, y in outputs.items()]).sum().backward()  # type: ignore[no-untyped-call]
    tensors = {f"in.{name}": x for name, x in inputs.items()}
    tensors |= {f"param.{name}": parameter for name, parameter in module.named_parameters()}
    tensors |= {f"grad.{name}": tensor.grad for name, tensor in tensors.items() if tensor.grad is not None}
    tensors |= {f"out.{name}": y for name, y in outputs.items()}
    tensors |= {f"probe.{name}": probe for name, probe in probes.items()}
    save_file({name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}, path)


def test_a_network_of_other_sizes_passes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build(OTHER, image_shape=(2, 6, 6), classes=3).double()
    image = torch.randn(3, 2, 6, 6, dtype=torch.float64, requires_grad=True)
    logits, kernels = network(image)
    path = tmp_path / "network_release.safetensors"
    save(path, network, {"image": image}, {"logits": logits, "slow_loss": channel_sum_loss(kernels)})
    assert all(deviation.is_within for deviation in check_file(path))


def test_a_block_of_other_sizes_passes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    block = SFNEBlock(Site(OTHER, 5, (7, 7), 2, 0, torch.default_generator), out=24, dropout=0.0).double()
    x = torch.randn(2, 5, 7, 7, dtype=torch.float64, requires_grad=True)
    y, kernel = block(x, [], *generate_hyper_kernels([block.slow_networks]))
    path = tmp_path / "sfne_block.safetensors"
    save(path, block, {"x": x}, {"y": y, "global_kernel": kernel})
    assert all(deviation.is_within for deviation in check_file(path))


def test_a_wrong_number_fails_and_the_others_are_still_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = torch.randn(2, 12, 4, 4, dtype=torch.float64)
    wrong = {"in.x": x, "out.y": x, "probe.y": x, "grad.in.x": x}
    save_file({name: tensor.clone() for name, tensor in wrong.items()}, tmp_path / "gibs.safetensors")
    save_file({"in.x": x}, tmp_path / "unheard_of.safetensors")
    (tmp_path / "rgu.safetensors").write_bytes(b"half a file")
    shutil.copy(next(path for path in VECTORS if path.stem == "kar3"), tmp_path)

    assert main([str(tmp_path)]) == 1
    gibs, kar3, rgu, unheard_of, summary = capsys.readouterr().out.splitlines()
    assert gibs.startswith("FAILED  gibs.safetensors: largest relative deviation")
    assert kar3.startswith("passed  kar3.safetensors")
    assert rgu.startswith("FAILED  rgu.safetensors: SafetensorError")
    assert unheard_of.startswith("FAILED  unheard_of.safetensors: ValueError: no check of this name")
    assert summary == "1 of 4 golden files passed"


def test_a_folder_without_golden_files_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 1
    assert "no *.safetensors files there" in capsys.readouterr().err
    assert main([]) == 2
