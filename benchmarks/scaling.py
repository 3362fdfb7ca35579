"""Cost against size: `python -m benchmarks.scaling FOLDER`.

Time, memory and FLOPs per image, forward and forward + backward, on images of N × N and sequences of L pixels, for
Terminator with each ⊗, a ResNet-20 and a 4-layer Transformer, all 48 channels wide at their widest. Writes scaling.csv,
scaling_exponents.csv and the figure. Always by batches of 4: what a batch needs once, Terminator's slow networks, is
shared by as many images whatever their size.
"""

from __future__ import annotations

import argparse
import csv
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from torch import nn

from benchmarks.flop_counter import count_flops
from benchmarks.scaling_measure import peak_memory, seconds, step_of
from benchmarks.transformer import Transformer
from terminator.model.build import build
from terminator.model.config import Product, TerminatorConfig
from terminator.model.networks.resnet import ResNetConfig
from terminator.training.device import keep_freed_memory

CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
WIDTH, CLASSES = 48, 10
BATCH = 4
SIDES, LENGTHS = [8, 16, 32, 64], [256, 1024, 4096, 16384]
COSTS = ["seconds", "memory_bytes", "flops"]


@dataclass(frozen=True)
class Measurement:
    """A network on one size, per image. `seconds`: the least of the repetitions, by `clock`; `size`: N or L."""

    dimensions: int
    network: str
    size: int
    pixels: int
    batch: int
    work: str
    parameters: int
    seconds: float
    seconds_median: float
    memory_bytes: float
    flops: float
    clock: str
    threads: int


@dataclass(frozen=True)
class Exponent:
    """Cost ∝ pixels^exponent, by least squares on the logarithms over all sizes; `last`: from the two largest."""

    dimensions: int
    network: str
    work: str
    cost: str
    exponent: float
    last: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="processor: for a machine shared with others")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--sides", type=int, nargs="*", default=SIDES)
    parser.add_argument("--lengths", type=int, nargs="*", default=LENGTHS)
    given = parser.parse_args()
    shapes = [*((3, side, side) for side in given.sides), *((1, length) for length in given.lengths)]
    torch.set_num_threads(given.threads)
    keep_freed_memory()  # as training does
    given.folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for row in measurements(shapes, given.device, given.repetitions, given.clock):
        rows.append(row)
        write(rows, given.folder / "scaling.csv")
        print(
            f"{row.network:22} {row.dimensions}D {row.size:5} {row.work:20} {1e3 * row.seconds:9.3f} ms"
            f" {row.memory_bytes / 2**20:9.3f} MiB {row.flops / 1e9:9.4f} GFLOP"
        )
    write(exponents(rows), given.folder / "scaling_exponents.csv")
    from benchmarks.scaling_figure import draw

    draw(given.folder)


def measurements(
    shapes: Sequence[tuple[int, ...]], device: torch.device, repetitions: int, clock: str
) -> Iterator[Measurement]:
    """Measure every network on images of every shape, (C, *pixels)."""
    for shape in shapes:
        for name, construct in networks().items():
            network = construct(shape).to(device)
            images = torch.randn(BATCH, *shape, device=device)
            for work in ("forward", "forward + backward"):
                step = step_of(network, images, backward="backward" in work)
                memory, operations = peak_memory(step, device), count_flops(step)  # these warm up
                times = seconds(step, device, repetitions, CLOCKS[clock])
                yield Measurement(
                    dimensions=len(shape) - 1,
                    network=name,
                    size=shape[1],
                    pixels=math.prod(shape[1:]),
                    batch=BATCH,
                    work=work,
                    parameters=sum(parameter.numel() for parameter in network.parameters()),
                    seconds=min(times) / BATCH,
                    seconds_median=statistics.median(times) / BATCH,
                    memory_bytes=memory / BATCH,
                    flops=operations / BATCH,
                    clock=clock,
                    threads=torch.get_num_threads(),
                )


def networks() -> dict[str, Callable[[tuple[int, ...]], nn.Module]]:
    """What is compared, by name: from an image's shape to a network."""

    def terminator(product: Product) -> Callable[[tuple[int, ...]], nn.Module]:
        config = TerminatorConfig(channels=[WIDTH], product=product)
        return lambda shape: build(config, image_shape=shape, classes=CLASSES)

    resnet = ResNetConfig(channels=WIDTH // 4)
    return {
        **{f"Terminator, ⊗ {each.value}": terminator(each) for each in (Product.matmul, Product.hadamard, Product.fft)},
        "ResNet-20": lambda shape: build(resnet, image_shape=shape, classes=CLASSES),
        "Transformer, 4 layers": lambda shape: Transformer(shape, width=WIDTH, layers=4, classes=CLASSES),
    }


def exponents(rows: Sequence[Measurement]) -> list[Exponent]:
    """Every network's exponents, where it was measured on two sizes or more."""
    fitted = []
    for dimensions, name, work in dict.fromkeys((row.dimensions, row.network, row.work) for row in rows):
        own = [row for row in rows if (row.dimensions, row.network, row.work) == (dimensions, name, work)]
        own.sort(key=lambda row: row.pixels)
        for cost in COSTS if len(own) > 1 else []:
            sizes = [math.log(row.pixels) for row in own]
            costs = [math.log(getattr(row, cost)) for row in own]
            slope = statistics.linear_regression(sizes, costs).slope
            last = statistics.linear_regression(sizes[-2:], costs[-2:]).slope
            fitted.append(Exponent(dimensions, name, work, cost, slope, last))
    return fitted


def write(rows: Sequence[Measurement] | Sequence[Exponent], path: Path) -> None:
    """One line a row, as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [each.name for each in fields(rows[0])])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


if __name__ == "__main__":
    main()
