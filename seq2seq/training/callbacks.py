"""What a run says while it trains."""

import signal
import sys
import threading
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, TQDMProgressBar
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from seq2seq.batching import Batch
from seq2seq.training.budget import Meter
from seq2seq.training.module import TranslationModule


class ProgressBar(TQDMProgressBar):
    """Lightning's bar without the version of the logger; the rates and scores stand in it."""

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        return {k: v for k, v in super().get_metrics(trainer, pl_module).items() if k != "v_num"}


class ValidationAtTheEnd(Callback):
    """Validates after the last update, wherever the interval of the validations lies: it may be the best."""

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        is_last_epoch = trainer.current_epoch + 1 == trainer.max_epochs
        if trainer.global_step == trainer.max_steps or (is_last_epoch and trainer.is_last_batch):
            trainer.should_stop = True  # stopping early includes a validation, reaching the end does not
        if trainer.should_stop and trainer.check_val_every_n_epoch is not None:
            trainer.check_val_every_n_epoch = 1  # but only in an epoch that has validations


class InterruptBetweenUpdates(Callback):
    """Lets Ctrl-C wait until the update is complete, and a validation after it; a second one is not waited for.

    So the last checkpoint is one that training goes on from as if nothing had happened: half an update can neither be
    saved nor told from a whole one.
    """

    def __init__(self) -> None:
        self._is_due = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._note)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        # Not before the first of an epoch, after which Lightning would count one update too many.
        if self._is_due and batch_idx > 0:
            raise KeyboardInterrupt

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _note(self, *_: Any) -> None:
        self._is_due = True
        signal.signal(signal.SIGINT, signal.default_int_handler)


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
