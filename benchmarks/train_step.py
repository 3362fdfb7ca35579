"""How fast a training step is: images/s, peak memory, share of the machine's matrix-product peak.

    python -m benchmarks.train_step [--case release] [--forms plain fast fast_bf16] [--threads 2] [--device cuda]

Needs PyTorch alone. Forms and the peak are measured in turns; compare their ratios, not runs.
"""

from __future__ import annotations

import argparse

import torch

from benchmarks.cases import CASES, Form, Subject, objective, prepare, step_flops
from benchmarks.interleaved import PEAK_FLOPS, Measured, Step, matrix_product, measure


def make_step(case: str, form: str, batch: int | None, device: str) -> Step:
    """Forward, loss, backward and an update of every parameter."""
    subject = prepare(case, Form(form), batch, device)
    optimizer = torch.optim.SGD(subject.network.parameters(), lr=1e-4, foreach=True)

    def step() -> None:
        optimizer.zero_grad()
        objective(subject.forward(subject.images), subject.labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def main() -> None:
    """Measure and print one line a form."""
    arguments = parse(__doc__ or "")
    forms = [Form(form) for form in arguments.forms]
    subject = prepare(arguments.case, Form.plain, arguments.batch, arguments.device)
    flops = step_flops(subject, backward=True)
    makers = {"peak": matrix_product} | {form.value: make_step for form in forms}
    given: dict[str, tuple[object, ...]] = {
        form.value: (arguments.case, form.value, arguments.batch, arguments.device) for form in forms
    }
    given["peak"] = (arguments.device,)
    measured = measure(makers, given, rounds=arguments.rounds, threads=arguments.threads)
    report(measured, subject, flops, f"training step, {arguments.case}, batch {len(subject.images)}")


def parse(description: str) -> argparse.Namespace:
    """The command line of both benchmarks."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=list(CASES), default="tiny")
    parser.add_argument("--forms", nargs="+", choices=[form.value for form in Form], default=["plain", "fast"])
    parser.add_argument("--batch", type=int)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    if arguments.device == "cpu" and (graphs := {"graphs", "graphs_bf16"} & set(arguments.forms)):
        parser.error(f"--forms {' '.join(sorted(graphs))}: CUDA graphs need --device cuda")
    return arguments


def report(measured: dict[str, Measured], subject: Subject, flops: int, title: str) -> None:
    """One line a form; ratios are to the first."""
    peak = PEAK_FLOPS / measured.pop("peak").seconds
    print(f"{title}, {flops / len(subject.images) / 1e9:.3f} GFLOP an image, peak {peak / 1e9:.0f} GFLOP/s")
    first = next(iter(measured.values())).seconds
    for form, (seconds, memory) in measured.items():
        print(
            f"{form:14s} {len(subject.images) / seconds:9.1f} images/s  {seconds * 1e3:8.1f} ms"
            f"  {flops / seconds / peak:6.1%} of peak  {memory / 2**20:7.0f} MiB  {first / seconds:5.2f}×"
        )


if __name__ == "__main__":
    main()
