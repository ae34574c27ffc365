"""Matrix products y = x W^T + b through the fastest sgemm at hand, and those that a loop repeats.

Torch multiplies float32 with MKL on x86, which uses AVX-512 on Intel's processors only; oneDNN, which torch brings as
well, uses it on all, and is twice as fast on the others. For each new shape it first writes a program, half a
millisecond long: this pays when the shape comes again. In training it does, epoch after epoch. In a search, numbers of
rows come again if they are multiples of `ROWS_TOGETHER`, and the searches see to that.

Letters: B batch, W hypotheses, T steps, N rows, X width of x, Y width of y.
"""

import functools
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

ROWS_TOGETHER = 8
_NARROWEST = 32  # below this, a product is too small to matter
_FEWEST_ROWS = 32  # with fewer, MKL is as fast


@functools.cache
def _mkl_leaves_avx512_unused() -> bool:
    if torch.backends.cpu.get_cpu_capability() != "AVX512" or not torch.backends.mkldnn.is_available():
        return False
    try:
        if "GenuineIntel" in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace"):
            return False
        # The function that is used below carries no promise to stay as it is. The trial draws nothing: a training that
        # goes on comes to it in another batch, where dropout would then draw other numbers.
        x_NX, w_YX, b_Y = torch.arange(12.0).view(3, 4), torch.arange(20.0).view(5, 4), torch.arange(5.0)
        return torch.allclose(_onednn_product(x_NX, w_YX, b_Y), x_NX @ w_YX.t() + b_Y)
    except (OSError, AttributeError, RuntimeError):
        return False


def _onednn_product(x_NX: Tensor, w_YX: Tensor, b_Y: Tensor | None) -> Tensor:
    if not w_YX.t().is_contiguous():  # a transposed one is taken as well as a plain one, a part of one takes minutes
        w_YX = w_YX.contiguous()
    y_NY: Tensor = torch.ops.mkldnn._linear_pointwise(x_NX.contiguous(), w_YX, b_Y, "none", [], "")
    return y_NY


def _uses_onednn(x_NX: Tensor, w_YX: Tensor) -> bool:
    is_float32 = x_NX.dtype == w_YX.dtype == torch.float32
    return is_float32 and x_NX.device.type == "cpu" and min(w_YX.shape) >= _NARROWEST and _mkl_leaves_avx512_unused()


def _comes_again(num_rows: int) -> bool:
    """Whether that many rows of a search are worth a program."""
    return num_rows >= _FEWEST_ROWS and num_rows % ROWS_TOGETHER == 0


def product(x_NX: Tensor, w_YX: Tensor, b_Y: Tensor | None = None) -> Tensor:
    """x W^T + b (N, Y), for the forward and backward passes of training. Knows no autograd."""
    if _uses_onednn(x_NX, w_YX):
        return _onednn_product(x_NX, w_YX, b_Y)
    return F.linear(x_NX, w_YX, b_Y)


def weight_gradient(dy_NY: Tensor, x_NX: Tensor) -> Tensor:
    """The gradient dy^T x (Y, X) of W from that of y = x W^T. Knows no autograd."""
    if not _uses_onednn(x_NX, dy_NY):
        return dy_NY.t() @ x_NX
    # The first matrix will be copied: let it be the smaller one.
    if x_NX.shape[1] <= dy_NY.shape[1]:
        return _onednn_product(x_NX.t(), dy_NY.t(), None).t()
    return _onednn_product(dy_NY.t(), x_NX.t(), None)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_NX: Tensor, w_YX: Tensor, b_Y: Tensor | None) -> Tensor:
        ctx.save_for_backward(x_NX, w_YX)
        ctx.with_bias = b_Y is not None
        return product(x_NX, w_YX, b_Y)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_NY: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None]:
        x_NX, w_YX = ctx.saved_tensors
        dx_NX = product(dy_NY, w_YX.t()) if ctx.needs_input_grad[0] else None
        return dx_NX, weight_gradient(dy_NY, x_NX), dy_NY.sum(0) if ctx.with_bias else None


def linear(x: Tensor, w_YX: Tensor, b_Y: Tensor | None = None) -> Tensor:
    """x W^T + b (..., Y) of x (..., X), as `F.linear`."""
    if torch.is_autocast_enabled(x.device.type) or not _uses_onednn(x, w_YX):
        return F.linear(x, w_YX, b_Y)
    x_NX = x.reshape(-1, x.shape[-1])
    if torch.is_grad_enabled() and (x.requires_grad or w_YX.requires_grad):
        y_NY: Tensor = _Linear.apply(x_NX, w_YX, b_Y)
    elif _comes_again(len(x_NX)):
        y_NY = _onednn_product(x_NX, w_YX, b_Y)
    else:
        return F.linear(x, w_YX, b_Y)
    return y_NY.view(*x.shape[:-1], -1)


class Linear(nn.Linear):
    """`linear` as a layer."""

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)


def as_autocast(x: Tensor) -> Tensor:
    """x in the type that autocast wants for products, where it is on: it does not look into functions of our own."""
    device = x.device.type
    return x.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else x


class StepProduct:
    """y_t = x_t W^T + b for every step of a loop, or y_t = x_t M + b with a matrix M for each sentence.

    Autograd would compute the gradient of the matrix after each step, dy_t^T x_t, and add them up; where it is large
    and x_t short, as in the steps of a decoder, reading and writing the sum takes longer than the products. Here it
    waits until all steps are done and is one product of all dy_t and x_t below each other: the same but for the
    rounding.

    Args:
        matrix: W (Y, X), or M (B, X, Y).
        b_Y: the bias, or None.
    """

    def __init__(self, matrix: Tensor, b_Y: Tensor | None = None) -> None:
        self._steps: list[tuple[Tensor, Tensor]] = []  # x_t and the gradient of y_t, as the backward pass goes
        bias = None if b_Y is None else as_autocast(b_Y)
        self._matrix, self._bias = _StepSum.apply(as_autocast(matrix), bias, self._steps)

    def __call__(self, x_BWX: Tensor) -> Tensor:
        """The product (B, W, Y) of one step."""
        y_BWY: Tensor = _Step.apply(as_autocast(x_BWX), self._matrix, self._bias, self._steps, torch.is_grad_enabled())
        return y_BWY


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x_BWX: Tensor,
        matrix: Tensor,
        b_Y: Tensor | None,
        steps: list[tuple[Tensor, Tensor]],
        in_training: bool,
    ) -> Tensor:
        ctx.save_for_backward(x_BWX, matrix)
        ctx.steps = steps
        if matrix.dim() == 3:
            return x_BWX @ matrix if b_Y is None else torch.baddbmm(b_Y, x_BWX, matrix)
        if not in_training:
            return linear(x_BWX, matrix, b_Y)
        return product(x_BWX.flatten(0, 1), matrix, b_Y).view(*x_BWX.shape[:2], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_BWY: Tensor) -> tuple[Tensor | None, ...]:
        x_BWX, matrix = ctx.saved_tensors
        ctx.steps.append((x_BWX, dy_BWY))
        if matrix.dim() == 3:
            dx_BWX = dy_BWY @ matrix.transpose(1, 2)
        else:
            dx_BWX = product(dy_BWY.flatten(0, 1), matrix.t()).view_as(x_BWX)
        return dx_BWX, None, None, None, None


class _StepSum(torch.autograd.Function):
    """Passes the matrix on; its backward pass comes after those of all steps, of which it needs only the list."""

    @staticmethod
    def forward(
        ctx: Any, matrix: Tensor, b_Y: Tensor | None, steps: list[tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, Tensor | None]:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(matrix)
        ctx.steps, ctx.with_bias = steps, b_Y is not None
        return matrix.view_as(matrix), None if b_Y is None else b_Y.view_as(b_Y)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *_: None) -> tuple[Tensor, Tensor | None, None]:
        [matrix] = ctx.saved_tensors
        x_BTX, dy_BTY = (torch.cat(side, dim=1) for side in zip(*ctx.steps, strict=True))
        ctx.steps.clear()
        db_Y = dy_BTY.sum((0, 1)) if ctx.with_bias else None
        if matrix.dim() == 3:
            return x_BTX.transpose(1, 2) @ dy_BTY, db_Y, None
        return weight_gradient(dy_BTY.flatten(0, 1), x_BTX.flatten(0, 1)), db_Y, None
