"""Optimisers and learning-rate schedules.

With s the number of the update (from 1) and w the warm-up, the peak rate `lr` is multiplied by

    constant       min(s/w, 1)
    inverse_sqrt   min(s/w, sqrt(w/s))                         Vaswani et al. 2017, eq. 3, with the peak as its unit
    cosine         min(s/w, (1 + cos(pi p)) / 2)               to zero at the end (Loshchilov & Hutter 2017)
    plateau        halved after each `patience` validations in which the loss did not fall; no warm-up

where p is the share of the training after the warm-up that is done. Of n = `share` of the whole in s updates, w updates
took n w/s, so p = (n - n w/s) / (1 - n w/s). With n = s/total that is (s-w)/(total-w); where something else than
updates ends the training, n is the share of that which has been spent.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.distributed.tensor import DTensor
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau


@dataclass(frozen=True)
class Optimization:
    """How the weights are updated.

    Args:
        optimizer: "adamw", "adam" or "sgd".
        lr: peak learning rate.
        betas: of Adam and AdamW.
        weight_decay: on matrices, not on biases, norms and other vectors.
        momentum: of SGD.
        schedule: "inverse_sqrt", "cosine", "plateau" or "constant".
        warmup_steps: updates of linear warm-up.
        patience: validations without a lower loss after which "plateau" halves the rate.
    """

    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.0
    momentum: float = 0.0
    schedule: Literal["inverse_sqrt", "cosine", "plateau", "constant"] = "inverse_sqrt"
    warmup_steps: int = 300
    patience: int = 2

    def __post_init__(self) -> None:
        if self.optimizer not in ("adamw", "adam", "sgd"):
            raise ValueError(f"optimizer is {self.optimizer!r}; use adamw, adam or sgd")
        if self.schedule not in ("inverse_sqrt", "cosine", "plateau", "constant"):
            raise ValueError(f"schedule is {self.schedule!r}; use inverse_sqrt, cosine, plateau or constant")
        if self.lr <= 0 or self.warmup_steps < 0:
            raise ValueError(f"lr {self.lr} must be positive and warmup_steps {self.warmup_steps} not negative")
        if self.patience < 1:
            raise ValueError(f"patience {self.patience} of the schedule plateau must be at least 1")


def make_optimizer(model: nn.Module, how: Optimization, *, fused: bool) -> Optimizer:
    """The optimiser over `model`; `fused` updates all weights in one kernel, three times faster also on a CPU."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": how.weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    match how.optimizer:
        case "adamw":
            return AdamW(groups, lr=how.lr, betas=how.betas, fused=fused)
        case "adam":
            return Adam(groups, lr=how.lr, betas=how.betas, fused=fused)
    return SGD(groups, lr=how.lr, momentum=how.momentum, fused=fused)


def factor(how: Optimization, step: int, share: float) -> float:
    """What the peak rate is multiplied by in update `step` (from 1), when `share` (0 to 1) of the training is done."""
    warmup = max(1, how.warmup_steps)
    rising = min(1.0, step / warmup)
    match how.schedule:
        case "inverse_sqrt":
            return min(rising, math.sqrt(warmup / step))
        case "cosine" if step > how.warmup_steps:
            of_warmup = share * how.warmup_steps / step
            return (1 + math.cos(math.pi * (share - of_warmup) / (1 - of_warmup))) / 2
    return rising


def make_schedule(
    optimizer: Optimizer, how: Optimization, *, total_steps: float, share_done: Callable[[], float] | None = None
) -> LRScheduler | ReduceLROnPlateau:
    """The schedule over `optimizer`.

    Args:
        total_steps: updates of the whole training, for "cosine"; infinity if unknown.
        share_done: how much of the training is done, where something else than updates ends it.

    Raises:
        ValueError: "cosine" without an end.
    """
    if how.schedule == "plateau":
        # PyTorch's patience counts what it bears, ours the one too many as well.
        return ReduceLROnPlateau(optimizer, mode="min", factor=0.5, patience=how.patience - 1, threshold=0.0)
    if how.schedule == "cosine" and math.isinf(total_steps) and share_done is None:
        raise ValueError(
            "schedule cosine falls to zero at the end, but no end is set; set trainer.max_steps, trainer.max_epochs "
            "(which does not tell when a stream ends) or a budget"
        )

    def of_updates(updates: int) -> float:
        share = share_done() if share_done else min(1.0, (updates + 1) / total_steps)
        return factor(how, updates + 1, share)

    return LambdaLR(optimizer, of_updates)


def scale_gradients(parameters: list[nn.Parameter], scale: float | torch.Tensor) -> None:
    """Multiply all gradients in place."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    gradients = [g.to_local() if isinstance(g, DTensor) else g for g in gradients]  # this rank's part
    if gradients:
        torch._foreach_mul_(gradients, scale)
