"""Callbacks through which tests look into a training, also into the processes of a distributed one."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch.distributed.tensor import DTensor

from seq2seq.batching import Batch
from seq2seq.training.callbacks import EndBetweenUpdates
from seq2seq.training.module import TranslationModule


class Recorder(Callback):
    """What happened on this rank, batch by batch and update by update; written into `folder` at the end, if given."""

    def __init__(self, folder: str | None = None) -> None:
        self.folder = folder
        self.rows: list[list[int]] = []  # of each batch
        self.weights: list[dict[str, torch.Tensor]] = []  # before training, and after each update
        self.gradients: list[dict[str, torch.Tensor]] = []  # with which each update was made
        self.rates: list[float] = []  # of each update
        self.valid_bleu: list[float] = []  # of each validation
        self.valid_loss: list[float] = []

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._keep_weights(pl_module)

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Any) -> None:
        self.rates.append(optimizer.param_groups[0]["lr"])

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        self.rows.append(batch.rows_B.tolist())
        if len(self.rates) == len(self.weights):  # an update has been made
            self._keep_weights(pl_module)
            assert isinstance(pl_module, TranslationModule)
            named = pl_module.model.named_parameters()
            self.gradients.append({name: _whole(p.grad) for name, p in named if p.grad is not None})

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.sanity_checking:
            assert isinstance(pl_module, TranslationModule)
            self.valid_bleu.append(pl_module.valid_bleu)
            self.valid_loss.append(float(trainer.callback_metrics["valid_loss"]))

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.folder is not None:
            names = ("rows", "weights", "gradients", "rates", "valid_bleu", "valid_loss")
            torch.save({n: getattr(self, n) for n in names}, Path(self.folder) / f"rank{trainer.global_rank}.pt")

    def _keep_weights(self, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, TranslationModule)
        self.weights.append({name: _whole(p.detach()) for name, p in pl_module.model.named_parameters()})


def _whole(tensor: torch.Tensor) -> torch.Tensor:
    """A copy, put together if the ranks share the tensor out."""
    return tensor.full_tensor().clone() if isinstance(tensor, DTensor) else tensor.clone()


class Interrupt(Callback):
    """A signal that comes twice in the middle of an update; SIGINT is Ctrl-C."""

    def __init__(self, update: int, name: str) -> None:
        self.update, self.signal = update, signal.Signals[name]

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Any) -> None:
        if trainer.global_step == self.update:
            for _ in range(2):
                signal.raise_signal(self.signal)


class Kill(Callback):
    """kill -9 of each process: after an update, at the end of the epoch in which it was, or in the next validation."""

    def __init__(self, where: str, update: int) -> None:
        self.where, self.update = where, update

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        self._reached("update", trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._reached("epoch", trainer)

    def on_validation_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        self._reached("validation", trainer)

    def _reached(self, where: str, trainer: L.Trainer) -> None:
        if where == self.where and trainer.global_step >= self.update:
            os.kill(os.getpid(), signal.SIGKILL)


class Poison(Callback):
    """Multiplies all weights before an update."""

    def __init__(self, update: int, factor: float) -> None:
        self.update, self.factor = update, factor

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        if trainer.global_step == self.update - 1:
            with torch.no_grad():
                for parameter in pl_module.parameters():
                    parameter *= self.factor


class LittleMemory(Callback):
    """A device on which no batch fits that has more than so many source and target tokens; on one rank or on all.

    The memory is exhausted in the forward pass or in the backward pass.
    """

    def __init__(self, tokens: int, rank: int | None = None, backward: bool = False) -> None:
        self.tokens, self.rank, self.backward = tokens, rank, backward
        self.tried: list[int] = []  # tokens of each batch that came to the forward pass in training

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, TranslationModule)
        loss_sum = pl_module._loss_sum

        def of_little_memory(batch: Batch, label_smoothing: float) -> torch.Tensor:
            if not pl_module.training or self.rank not in (None, trainer.global_rank):
                return loss_sum(batch, label_smoothing)
            self.tried.append(batch.src_BS.numel() + batch.tgt_out_BT.numel())
            if self.tried[-1] <= self.tokens:
                return loss_sum(batch, label_smoothing)
            if not self.backward:
                raise torch.OutOfMemoryError("no memory for the forward pass")
            return cast(torch.Tensor, _FailsBackwards.apply(loss_sum(batch, label_smoothing)))

        pl_module._loss_sum = of_little_memory  # type: ignore[method-assign]


class _FailsBackwards(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, dx: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("no memory for the backward pass")


class Linger(Callback):
    """The last rank waits until training is told to end: at update `updates[n]` in a job that was requeued n times."""

    def __init__(self, updates: list[int]) -> None:
        self.updates = dict(enumerate(updates))

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        is_last = trainer.global_rank == trainer.world_size - 1
        if is_last and trainer.global_step == self.updates.get(int(os.environ.get("SLURM_RESTART_COUNT", 0))):
            [interrupt] = [each for each in trainer.callbacks if isinstance(each, EndBetweenUpdates)]
            print(f"lingers at update {trainer.global_step}", file=sys.stderr, flush=True)
            while interrupt.signal is None:
                time.sleep(0.1)
