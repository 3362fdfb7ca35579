"""The benchmarks measure the presets that users run."""

from __future__ import annotations

import torch

from benchmarks.cases import CASES, TINY, Form, objective, prepare, step_flops
from tests.model.networks.test_terminator import preset


def test_tiny_is_the_preset() -> None:
    assert preset("tiny") == TINY


def test_every_form_that_needs_no_compiler_takes_a_step() -> None:
    for name in ("tiny", "sequence"):
        for form in (Form.plain, Form.fast, Form.fast_bf16):
            subject = prepare(name, form, 2, "cpu")
            objective(subject.forward(subject.images), subject.labels).backward()  # type: ignore[no-untyped-call]
            assert all(parameter.grad is not None for parameter in subject.network.parameters())


def test_forms_agree() -> None:
    plain, fast = (prepare("tiny", form, 4, "cpu") for form in (Form.plain, Form.fast))
    expected, actual = (subject.forward(subject.images).logits for subject in (plain, fast))
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def test_flops_are_counted_with_and_without_backward() -> None:
    subject = prepare("tiny", Form.fast, 2, "cpu")
    assert step_flops(subject, backward=True) > 2 * step_flops(subject, backward=False) > 0
    assert CASES["tiny"].batch == 64
