"""What a training may spend, and what it has spent.

Systems that are to be compared get the same budget. The learning-rate schedule follows it: under "cosine" the rate
falls to zero as the budget runs out, whatever it is counted in.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from seq2seq.batching import Batch
from seq2seq.training.flops import count_flops
from seq2seq.training.module import TranslationModule, sum_over_ranks


@dataclass(frozen=True)
class Budget:
    """When to stop: at the first limit that is reached, after a last validation.

    Args:
        updates: optimiser steps; the same as trainer.max_steps.
        target_tokens: target tokens without padding, end of sentence included, on all ranks.
        minutes: wall-clock of training alone; validations and the writing of checkpoints are not counted.
        flops: floating-point operations of the matrix products forwards and backwards, on all ranks, padding included.
    """

    updates: int | None = None
    target_tokens: float | None = None
    minutes: float | None = None
    flops: float | None = None

    def __post_init__(self) -> None:
        for name, limit in vars(self).items():
            if limit is not None and limit <= 0:
                raise ValueError(f"budget.{name} is {limit}; it must be positive")


class Meter(Callback):
    """Counts what a run spends over all its parts, logs it, and ends the training when the budget is spent.

    Logs `tokens_per_s` (target tokens without padding, on all ranks, per second of training), `target_tokens`,
    `train_minutes`, `flops` and, with a budget, `budget_used` (0 to 1).

    Attributes:
        seconds: of training: neither validations nor the writing of checkpoints belong to it.
        validation_seconds: of validations.
        target_tokens: without padding, on all ranks.
        flops: see `Budget`; on all ranks.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.seconds = 0.0
        self.validation_seconds = 0.0
        self.target_tokens = 0
        self.flops = 0
        self._window = [0, 0]  # tokens and FLOPs of this rank that are not in the sums yet
        self._window_seconds = 0.0
        self._earlier_s = 0.0  # wall-clock of the parts of the run before this process
        self._start = time.perf_counter()
        self._logged = (0.0, 0)
        self._last: float | None = None  # when the clock was last read; None while it stands
        self._validation_start = 0.0

    @property
    def minutes(self) -> float:
        """Wall-clock of the run so far, validations included."""
        return (self._earlier_s + time.perf_counter() - self._start) / 60

    def share_used(self) -> float:
        """How much of the budget is spent, from 0 to 1: the same on all ranks. Updates are the trainer's business."""
        limits = self.budget.target_tokens, self.budget.minutes, self.budget.flops
        spent = self.target_tokens, self.seconds / 60, self.flops
        return min(1.0, max((s / limit for s, limit in zip(spent, limits, strict=True) if limit), default=0.0))

    @property
    def share(self) -> Callable[[], float] | None:
        """`share_used` if there is a budget other than updates."""
        budget = self.budget
        return self.share_used if budget.target_tokens or budget.minutes or budget.flops else None

    def state_dict(self) -> dict[str, Any]:
        names = "seconds", "validation_seconds", "target_tokens", "flops", "minutes"
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._earlier_s = state["minutes"] * 60
        self.seconds, self.validation_seconds = state["seconds"], state["validation_seconds"]
        self.target_tokens, self.flops = state["target_tokens"], state["flops"]
        self._logged = (self.seconds, self.target_tokens)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, TranslationModule)
        tokenizers = trainer.datamodule.tokenizers  # type: ignore[attr-defined]
        sizes = tokenizers.src.vocab_size, tokenizers.tgt.vocab_size
        self._flops_of = count_flops(pl_module.architecture, pl_module.model_config, *sizes)
        if self.share is not None and self.share_used() >= 1:  # what goes on had nothing left
            trainer.should_stop = True

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, *_: Any) -> None:
        if self._last is None:
            self._last = time.perf_counter()
        (rows, src_length), tgt_length = batch.src_BS.shape, batch.tgt_in_BT.shape[1]
        self._window[0] += batch.num_tgt_tokens
        self._window[1] += self._flops_of(rows, src_length, tgt_length)

    def on_before_optimizer_step(self, trainer: L.Trainer, *_: Any) -> None:
        # The schedule of the next update, which Lightning asks for before `on_train_batch_end`, needs to know.
        if self.share is not None:
            self._sum_up(trainer)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        self._read_clock()
        if self.share is not None and self.share_used() >= 1:
            trainer.should_stop = True
        if trainer.global_step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            self._sum_up(trainer)
            seconds, tokens = self.seconds - self._logged[0], self.target_tokens - self._logged[1]
            if seconds > 0:
                pl_module.log("tokens_per_s", tokens / seconds, prog_bar=True)
            self._logged = (self.seconds, self.target_tokens)
            self._log(pl_module)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._read_clock()
        self._last = None
        self._validation_start = time.perf_counter()
        self._sum_up(trainer)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.sanity_checking:
            self._log(pl_module)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.validation_seconds += time.perf_counter() - self._validation_start

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._sum_up(trainer)
        self._last = None

    def _read_clock(self) -> None:
        if self._last is not None:
            now = time.perf_counter()
            self._window_seconds += now - self._last
            self._last = now

    def _sum_up(self, trainer: L.Trainer) -> None:
        """Add this window of all ranks, and the seconds of the first one, whose clock counts."""
        self._read_clock()
        mine = [*self._window, self._window_seconds if trainer.is_global_zero else 0.0]
        tokens, flops, seconds = sum_over_ranks(trainer, mine)
        self.target_tokens += int(tokens)
        self.flops += int(flops)
        self.seconds += seconds
        self._window, self._window_seconds = [0, 0], 0.0

    def _log(self, pl_module: L.LightningModule) -> None:
        figures = {"target_tokens": self.target_tokens, "train_minutes": self.seconds / 60, "flops": self.flops}
        if self.share is not None:
            figures["budget_used"] = self.share_used()
        pl_module.log_dict({name: float(value) for name, value in figures.items()})
