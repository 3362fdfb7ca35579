"""What the speed benchmarks measure: networks, and forms of computing them."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.flop_counter import count_flops
from terminator.model.build import build
from terminator.model.classifier import Output
from terminator.model.config import TerminatorConfig
from terminator.model.networks.terminator import Terminator
from terminator.training.device import keep_freed_memory
from terminator.training.step import channel_sum_loss

CLASSES = 10


class Case(NamedTuple):
    """A network on images of one shape, in batches."""

    config: TerminatorConfig
    image_shape: tuple[int, ...]
    batch: int


TINY = TerminatorConfig(
    channels=[12, 12, 12, 12, 48],
    global_layers=[2],
    global_hidden=48,
    local_hidden=16,
    channel_hidden=16,
    interaction_channel_hidden=8,
    interaction_spatial_hidden=32,
    dropout=[0.0],
)  # conf/model/tiny.yaml, which needs more than PyTorch to be read
CASES = {
    "tiny": Case(TINY, (1, 8, 8), 64),
    "release": Case(TerminatorConfig(dropout=[0.0]), (3, 32, 32), 32),
    "sequence": Case(TerminatorConfig(channels=[12, 24, 24, 24, 48], dropout=[0.0]), (1, 1024), 32),
}


class Form(Enum):
    """How a step is computed: a direct transcription of the release, ours, ours compiled, and compiled with CUDA
    graphs, for which it takes a GPU; in float32 or with bfloat16 in whatever autocast lowers."""

    plain = "plain"
    fast = "fast"
    compiled = "compiled"
    graphs = "graphs"
    fast_bf16 = "fast_bf16"
    compiled_bf16 = "compiled_bf16"
    graphs_bf16 = "graphs_bf16"

    @property
    def is_bf16(self) -> bool:
        return self.value.endswith("_bf16")


class Subject(NamedTuple):
    """A network with images and labels on a device, and its forward pass in one form."""

    network: Terminator
    images: Tensor
    labels: Tensor
    forward: Callable[[Tensor], Output]


def prepare(name: str, form: Form, batch: int | None, device: str) -> Subject:
    """Weights and images are the same for every form. All but the plain one keep freed memory, as training does."""
    if form is not Form.plain:
        keep_freed_memory()
    case = CASES[name]
    network = build(
        case.config,
        image_shape=case.image_shape,
        classes=CLASSES,
        generator=torch.Generator().manual_seed(0),
    ).to(device)
    assert isinstance(network, Terminator)
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(batch or case.batch, *case.image_shape, generator=generator).to(device)
    labels = torch.randint(CLASSES, (len(images),), generator=generator).to(device)
    return Subject(network, images, labels, _forward(network, form, device))


def _forward(network: Terminator, form: Form, device: str) -> Callable[[Tensor], Output]:
    compute: Callable[[Tensor], Output] = network
    if form is Form.plain:
        compute = network.forward_ref
    elif form in (Form.compiled, Form.compiled_bf16):
        compute = torch.compile(network)
    elif form in (Form.graphs, Form.graphs_bf16):
        compute = torch.compile(network, mode="reduce-overhead")

    def forward(images: Tensor) -> Output:
        with torch.autocast(device, dtype=torch.bfloat16, enabled=form.is_bf16):
            return compute(images)

    return forward


def objective(output: Output, labels: Tensor) -> Tensor:
    """Cross-entropy + slow loss."""
    return F.cross_entropy(output.logits.float(), labels) + channel_sum_loss(output.kernels)


def step_flops(subject: Subject, *, backward: bool) -> int:
    """FLOP (2·MAC) of a step."""

    def step() -> None:
        output = subject.forward(subject.images)
        if backward:
            objective(output, subject.labels).backward()  # type: ignore[no-untyped-call]
        subject.network.zero_grad()

    return count_flops(step)
