"""A product that every step of a loop computes with the same matrix: y_t = x_t M + b.

Autograd would compute the gradient of M after each step, x_t^T dy_t, and add them up; where M is large and x_t short,
as in the steps of a decoder, reading and writing the sum takes longer than the products. Here it waits until all steps
are done and is one product, X^T dY with the steps below each other. The sum is the same, but for the rounding.

Letters: B batch, W hypotheses, T steps, X width of x_t, Y width of y_t.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def as_autocast(x: Tensor) -> Tensor:
    """x in the type that autocast wants for products, where it is on: it does not look into functions of our own."""
    device = x.device.type
    return x.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else x


class StepProduct:
    """y = product(x), for as many steps as there are.

    Args:
        m: (X, Y), or (B, X, Y) with a matrix for each sentence.
        b: (Y,), or None.
    """

    def __init__(self, m: Tensor, b: Tensor | None = None) -> None:
        self._steps: list[tuple[Tensor, Tensor]] = []  # x_t and the gradient of y_t, as the backward pass goes
        self._m, self._b = _Sum.apply(as_autocast(m), None if b is None else as_autocast(b), self._steps)

    def __call__(self, x_BWX: Tensor) -> Tensor:
        """The product (B, W, Y) of one step."""
        y_BWY: Tensor = _Step.apply(as_autocast(x_BWX), self._m, self._b, self._steps)
        return y_BWY


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_BWX: Tensor, m: Tensor, b: Tensor | None, steps: list[tuple[Tensor, Tensor]]) -> Tensor:
        ctx.save_for_backward(x_BWX, m)
        ctx.steps = steps
        if m.dim() == 3:
            return x_BWX @ m if b is None else torch.baddbmm(b, x_BWX, m)
        y = x_BWX.flatten(0, 1) @ m if b is None else torch.addmm(b, x_BWX.flatten(0, 1), m)
        return y.view(*x_BWX.shape[:2], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_BWY: Tensor) -> tuple[Tensor, None, None, None]:
        x_BWX, m = ctx.saved_tensors
        ctx.steps.append((x_BWX, dy_BWY))
        return dy_BWY @ m.transpose(-1, -2), None, None, None


class _Sum(torch.autograd.Function):
    """Passes M and b on; its backward pass comes after those of all steps, and gets nothing from them but the list."""

    @staticmethod
    def forward(
        ctx: Any, m: Tensor, b: Tensor | None, steps: list[tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, Tensor | None]:
        ctx.set_materialize_grads(False)
        ctx.steps, ctx.is_batched, ctx.has_bias = steps, m.dim() == 3, b is not None
        return m.view_as(m), None if b is None else b.view_as(b)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *_: None) -> tuple[Tensor, Tensor | None, None]:
        x_BTX, dy_BTY = (torch.cat(side, dim=1) for side in zip(*ctx.steps, strict=True))
        ctx.steps.clear()
        db = dy_BTY.sum((0, 1)) if ctx.has_bias else None
        if ctx.is_batched:
            return x_BTX.transpose(1, 2) @ dy_BTY, db, None
        # Torch keeps the M of a linear layer transposed.
        return (dy_BTY.flatten(0, 1).t() @ x_BTX.flatten(0, 1)).t(), db, None
