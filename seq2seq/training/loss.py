"""The training criterion, computed together with its gradient.

With features x_n, logits z_n = W x_n + b, p_n = softmax(z_n) and smoothing e, the target distribution q_n has 1 - e on
the token and e / V on each of the V pieces:

    loss       = sum_n (1 - e) (lse(z_n) - z_n[y_n]) + e (lse(z_n) - mean_v z_nv)
    d loss/d z = p_n - q_n

Both are taken from the logits while these are at hand, some thousand rows at a time, and not from the whole (N, V),
which would be the largest tensor of the training by far. The e / V of q_n does not touch the logits either: what is the
same in all columns is a mean of W, or of the x_n.

Sources: Szegedy et al. 2016, section 7; Vaswani et al. 2017, section 5.4 (label smoothing); Hsu et al. 2024, "Liger
Kernel", section 3.2 (projection and loss in chunks). Letters: N target tokens, E their features, V vocabulary.
"""

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional as F

from seq2seq.models.products import as_autocast, product, weight_gradient

# Logits that are held at a time: enough to keep every core, or a GPU, busy.
_MOST_LOGITS_ON_CPU, _MOST_LOGITS = 1 << 22, 1 << 26
# Rows of logits come in multiples of so many: on a CPU each new number of them wants a program (products.py), and a GPU
# is fastest at multiples of 8.
_ROWS = 32


def cross_entropy_sum(x_NE: Tensor, projection: nn.Linear, tgt_N: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Label-smoothed cross-entropy of the tokens under softmax(projection(x)), summed. In nats.

    A sum, because the number to divide by is the target tokens of the whole optimiser step, on all ranks.

    Args:
        x_NE: features of each target token.
        projection: to the vocabulary (E -> V).
        tgt_N: the tokens.
        label_smoothing: e, at least 0 and less than 1.
    """
    x_NE, weight_VE = as_autocast(x_NE), as_autocast(projection.weight)
    bias_V = None if projection.bias is None else as_autocast(projection.bias)
    with torch.autocast(x_NE.device.type, enabled=False):
        with_gradient = torch.is_grad_enabled()
        loss: Tensor = _CrossEntropy.apply(x_NE, weight_VE, bias_V, tgt_N, label_smoothing, with_gradient)
    return loss


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x_NE: Tensor,
        weight_VE: Tensor,
        bias_V: Tensor | None,
        tgt_N: Tensor,
        epsilon: float,
        with_gradient: bool,
    ) -> Tensor:
        num_pieces = len(weight_VE)
        most_logits = _MOST_LOGITS_ON_CPU if x_NE.device.type == "cpu" else _MOST_LOGITS
        rows = max(1, most_logits // num_pieces // _ROWS) * _ROWS
        wide = torch.promote_types(x_NE.dtype, torch.float32)
        mean_w_E = weight_VE.mean(0, dtype=wide)
        mean_b = 0.0 if bias_V is None else bias_V.mean(dtype=wide)
        grad_weight_VE = weight_VE.new_zeros(weight_VE.shape[::-1], dtype=wide).t()
        grad_bias_V = torch.zeros(num_pieces, dtype=wide, device=x_NE.device)
        loss = torch.zeros((), dtype=wide, device=x_NE.device)
        grad_x: list[Tensor] = []
        for x_nE, y_n in zip(x_NE.split(rows), tgt_N.split(rows), strict=True):
            num_tokens = len(y_n)
            if missing := -num_tokens % _ROWS:
                x_nE, y_n = F.pad(x_nE, (0, 0, 0, missing)), F.pad(y_n, (0, missing))
            y_n1 = y_n[:, None]
            z_nV = product(x_nE, weight_VE, bias_V)
            p_nV = z_nV.softmax(1, dtype=wide)
            lse_n = z_nV.amax(1).to(wide) - p_nV.amax(1).log()  # the highest p is at least 1 / V
            z_y_n = z_nV.gather(1, y_n1).squeeze(1)
            mean_z_n = x_nE.to(wide) @ mean_w_E + mean_b
            loss += (lse_n - (1 - epsilon) * z_y_n - epsilon * mean_z_n)[:num_tokens].sum()
            if with_gradient:
                p_nV.scatter_add_(1, y_n1, p_nV.new_full(y_n1.shape, epsilon - 1))
                p_nV[num_tokens:] = 0
                dz_nV = p_nV.to(x_NE.dtype)  # but for - epsilon / V in each column
                grad_x.append(product(dz_nV, weight_VE.t())[:num_tokens])
                grad_weight_VE += weight_gradient(dz_nV, x_nE)
                if bias_V is not None:
                    grad_bias_V += p_nV.sum(0)
        if with_gradient:
            grad_x_NE = torch.cat(grad_x).sub_((epsilon * mean_w_E).to(x_NE.dtype))
            grad_weight_VE -= epsilon / num_pieces * x_NE.sum(0, dtype=wide)
            grad_bias_V -= epsilon * len(x_NE) / num_pieces
            ctx.save_for_backward(grad_x_NE, grad_weight_VE.to(weight_VE.dtype), grad_bias_V)
            ctx.bias_dtype = None if bias_V is None else bias_V.dtype  # type: ignore[attr-defined]
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        grad_x_NE, grad_weight_VE, grad_bias_V = ctx.saved_tensors  # type: ignore[attr-defined]
        bias_dtype = ctx.bias_dtype  # type: ignore[attr-defined]
        grad_bias = None if bias_dtype is None else (grad * grad_bias_V).to(bias_dtype)
        return grad * grad_x_NE, grad * grad_weight_VE, grad_bias, None, None, None
