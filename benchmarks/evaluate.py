"""How fast evaluation is: as `benchmarks.train_step`, for forward passes without gradients.

    python -m benchmarks.evaluate [--case release] [--forms plain fast] [--threads 2] [--device cuda]

The plain form generates its kernels for every batch, the others once, as an evaluation does.
"""

from __future__ import annotations

from contextlib import ExitStack

import torch

from benchmarks.cases import Form, prepare, step_flops
from benchmarks.interleaved import Step, matrix_product, measure
from benchmarks.train_step import parse, report


def make_step(case: str, form: str, batch: int | None, device: str) -> Step:
    """One batch's logits."""
    subject = prepare(case, Form(form), batch, device)
    subject.network.eval()
    kept = ExitStack()
    if Form(form) is not Form.plain:
        kept.enter_context(subject.network.fixed_kernels())

    @torch.no_grad()
    def step() -> None:
        subject.forward(subject.images)

    step.kept = kept  # type: ignore[attr-defined]  # the kernels stay fixed as long as the step lives
    return step


def main() -> None:
    """Measure and print one line a form."""
    arguments = parse(__doc__ or "")
    forms = [Form(form) for form in arguments.forms]
    subject = prepare(arguments.case, Form.plain, arguments.batch, arguments.device)
    with torch.no_grad():
        flops = step_flops(subject, backward=False)
    makers = {"peak": matrix_product} | {form.value: make_step for form in forms}
    given: dict[str, tuple[object, ...]] = {
        form.value: (arguments.case, form.value, arguments.batch, arguments.device) for form in forms
    }
    given["peak"] = (arguments.device,)
    measured = measure(makers, given, rounds=arguments.rounds, threads=arguments.threads)
    report(measured, subject, flops, f"evaluation, {arguments.case}, batch {len(subject.images)}")


if __name__ == "__main__":
    main()
