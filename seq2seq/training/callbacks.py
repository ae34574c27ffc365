"""When a run ends, and what it says while it trains."""

import datetime
import math
import os
import signal
import sys
import threading
from time import monotonic
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from seq2seq.batching import Batch
from seq2seq.stream import StreamLoader
from seq2seq.training.budget import Meter
from seq2seq.training.module import TranslationModule, sum_over_ranks


class DivergedError(ValueError):
    """A training that nothing can come of any more."""


def save_nothing(trainer: L.Trainer) -> None:
    """Let the exception that comes next leave the last checkpoint as it is."""
    for checkpoint in trainer.checkpoint_callbacks:
        assert isinstance(checkpoint, ModelCheckpoint)
        checkpoint.save_on_exception = False


class ProgressBar(TQDMProgressBar):
    """Lightning's bar without the version of the logger; the rates and scores stand in it."""

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        return {k: v for k, v in super().get_metrics(trainer, pl_module).items() if k != "v_num"}


class TrainingLog(Callback):
    """What a log has instead of the bar: once a minute, when figures are logged, a line of them and the time left."""

    every_s = 60.0

    def __init__(self, meter: Meter) -> None:
        self.meter = meter

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._started_s = self._said_s = monotonic()
        self._share_before = self._share(trainer)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        # Between two of these the meter knows of this rank alone.
        if not trainer.is_global_zero or trainer.global_step % trainer.log_every_n_steps:  # type: ignore[attr-defined]
            return
        now_s = monotonic()
        if now_s - self._said_s < self.every_s:
            return
        self._said_s = now_s
        figures = trainer.callback_metrics
        line = (
            f"update {trainer.global_step}  epoch {trainer.current_epoch + 1}  {self.meter.minutes:.1f} min  "
            f"train_loss {figures['train_loss']:.3f}  {figures['tokens_per_s']:,.0f} tokens/s"
        )
        share = self._share(trainer)
        if share > self._share_before:
            left_s = (now_s - self._started_s) * (1 - share) / (share - self._share_before)
            line += f"  {datetime.timedelta(seconds=round(left_s))} left"
        print(line, file=sys.stderr, flush=True)

    def _share(self, trainer: L.Trainer) -> float:
        """How much of the training is done, from 0 to 1; 0 if nothing but patience ends it, or passes of a stream."""
        updates = trainer.estimated_stepping_batches
        return max(self.meter.share_used(), trainer.global_step / updates if updates > 0 else 0.0)


class ValidationAtTheEnd(Callback):
    """Validates after the last update, wherever the interval of the validations lies: it may be the best."""

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        loader = trainer.train_dataloader
        if isinstance(loader, StreamLoader):  # of which an epoch is a pass over the data, and no epoch of Lightning's
            is_end = trainer.max_epochs not in (None, -1) and loader.passes(batch_idx + 1) >= trainer.max_epochs
        else:
            is_end = trainer.current_epoch + 1 == trainer.max_epochs and trainer.is_last_batch
        if trainer.global_step == trainer.max_steps or is_end:
            trainer.should_stop = True  # stopping early includes a validation, reaching the end does not
        if trainer.should_stop and trainer.check_val_every_n_epoch is not None:
            trainer.check_val_every_n_epoch = 1  # but only in an epoch that has validations


class EndBetweenUpdates(Callback):
    """Ends the training when it is told to, by Ctrl-C, SIGTERM, SIGUSR1 or SIGUSR2, between two updates of all ranks.

    So the last checkpoint is one that training goes on from as if nothing had happened: half an update can neither be
    saved nor told from a whole one. A validation is waited for as well, unless Ctrl-C comes again. Other signals come
    twice anyway: SLURM sends its own to tasks and to srun, which passes it on to them.

    Attributes:
        signal: that came, on this rank; None if none did.
    """

    signals = tuple(
        getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)
    )
    ask_every = 10  # updates after which the ranks ask each other: a signal may come to one alone

    def __init__(self) -> None:
        self.signal: int | None = None
        self._update = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in self.signals:
                signal.signal(number, self._note)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        is_between = trainer.global_step > self._update  # and not within a window of accumulated batches
        self._update = trainer.global_step
        # Not before the first of an epoch, after which Lightning would count one update too many.
        if not is_between or batch_idx == 0:
            return
        is_due = self.signal is not None
        if trainer.world_size > 1:
            if trainer.global_step % self.ask_every != 1:
                return
            is_due = sum_over_ranks(trainer, [is_due]) > [0.0]
        if is_due:
            raise KeyboardInterrupt

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        if trainer.world_size > 1 and not isinstance(exception, KeyboardInterrupt):
            save_nothing(trainer)  # the other ranks are at another place, or gone, and to save they would have to meet

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.signal is None and threading.current_thread() is threading.main_thread():
            for number in self.signals:
                signal.signal(number, signal.default_int_handler)

    def _note(self, number: int, _: Any) -> None:
        if self.signal is None:
            self.signal = number
            signal.signal(signal.SIGINT, signal.default_int_handler)
            # Not print: the signal may have come in the middle of another.
            os.write(2, b"\nseq2seq: ending after this update; Ctrl-C ends at once\n")


class EndAtDivergence(Callback):
    """Ends a training whose loss is no number any more, or far above that of guessing, with an error.

    Its weights are of no use, so neither a validation nor a checkpoint sees them: the last checkpoint is a good one.
    The losses are looked at as often as figures are logged, and before each validation; until then they stay on the
    device, and nothing waits for them.
    """

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # Of the first loss that is no finite number, and infinity before there is one.
        self._first_bad = torch.tensor(math.inf, device=pl_module.device)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        self._loss = outputs["loss"] / batch.num_tgt_tokens
        is_first = ~self._loss.isfinite() & self._first_bad.isinf()
        self._first_bad = torch.where(is_first, float(trainer.global_step), self._first_bad)
        if trainer.global_step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            self._look(trainer, pl_module)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.sanity_checking:
            self._look(trainer, pl_module)

    def _look(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, TranslationModule)
        first_bad = float(trainer.strategy.reduce(self._first_bad, reduce_op="min"))
        loss = sum_over_ranks(trainer, [float(self._loss)])[0] / trainer.world_size
        guessing = math.log(trainer.datamodule.tokenizers.tgt.vocab_size)  # type: ignore[attr-defined]
        is_warm = trainer.global_step > pl_module.optimization.warmup_steps
        if math.isfinite(first_bad):
            what = f"the loss was no number in update {first_bad:.0f}"
        elif is_warm and loss > 2 * guessing:
            what = f"the loss is {loss:.1f} after update {trainer.global_step}, guessing has {guessing:.1f}"
        else:
            return
        save_nothing(trainer)
        raise DivergedError(
            f"the training diverged: {what}; the checkpoints are from before. Lower model.optimization.lr, raise "
            "model.optimization.warmup_steps or lower trainer.gradient_clip_val, and begin anew"
        )


class ValidationReport(Callback):
    """After each validation one line of figures and three sample translations, on standard error and in TensorBoard."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter

    @rank_zero_only
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, TranslationModule)
        if trainer.sanity_checking:
            return
        metrics = trainer.callback_metrics
        line = (
            f"update {trainer.global_step}  epoch {trainer.current_epoch + 1}  {self.meter.minutes:.1f} min  "
            f"valid_loss {metrics['valid_loss']:.3f}  ppl {metrics['valid_ppl']:.2f}  BLEU {pl_module.valid_bleu:.2f}"
        )
        samples = [
            f"  source      {t.source}\n  reference   {t.reference}\n  translation {t.hypothesis}"
            for t in pl_module.valid_samples
        ]
        # The progress bar owns the last line of a terminal.
        bar = trainer.progress_bar_callback
        text = "\n\n".join([line, *samples]) + "\n"
        bar.print(text, file=sys.stderr) if bar is not None else print(text, file=sys.stderr, flush=True)
        for logger in trainer.loggers:
            if isinstance(logger, L.pytorch.loggers.TensorBoardLogger):
                logger.experiment.add_text("samples", "\n\n".join(samples), trainer.global_step)
