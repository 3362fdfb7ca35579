"""PyTorch's FLOP counter (matrix products and convolutions, 2 per multiply-accumulate), where it is wrong put right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count, sdpa_backward_flop_count, sdpa_flop_count

Shape = list[int]


def count_flops(step: Callable[[], object]) -> int:
    """FLOPs of a step, forward and backward. FFTs and elementwise operations are not counted."""
    with FlopCounterMode(display=False, custom_mapping=FORMULAS) as counter:
        step()
    total: int = counter.get_total_flops()
    return total


def convolution_backward(gradient: Shape, x: Shape, weight: Shape, *options: Any, **_: Any) -> int:
    """Each of the two gradients takes the products of the forward pass. PyTorch's own formula forgets the groups of
    the weight's: in a depth-wise convolution it counts as many times too much as there are channels."""
    _bias, _stride, _padding, _dilation, transposed, _output_padding, _groups, output_mask = options
    forward: int = conv_flop_count(x, weight, gradient, transposed=transposed)
    return forward * int(sum(output_mask[:2]))


def attention(query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
    """PyTorch has this formula for attention on a GPU alone."""
    flops: int = sdpa_flop_count(query, key, value)  # type: ignore[no-untyped-call]
    return flops


def attention_backward(gradient: Shape, query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
    """PyTorch has this formula for attention on a GPU alone."""
    flops: int = sdpa_backward_flop_count(gradient, query, key, value)  # type: ignore[no-untyped-call]
    return flops


FORMULAS = {
    torch.ops.aten.convolution_backward: convolution_backward,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: attention_backward,
}
