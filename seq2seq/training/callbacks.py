"""What a run says while it trains."""

import sys
import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, TQDMProgressBar
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from seq2seq.batching import Batch
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


class Throughput(Callback):
    """Counts the time and the tokens of a run over all its parts, and logs `tokens_per_s`.

    That is target tokens without padding, on all ranks, per second of training, to which validation and the writing of
    checkpoints do not belong. Ranks are taken to have batches alike.
    """

    def __init__(self) -> None:
        self.seconds = 0.0  # of training
        self.tokens = 0  # target tokens on this rank
        self._earlier_s = 0.0  # wall-clock of the parts of the run before this process
        self._start = time.perf_counter()
        self._logged = (0.0, 0)
        self._last: float | None = None

    @property
    def minutes(self) -> float:
        """Wall-clock of the run so far, validations included."""
        return (self._earlier_s + time.perf_counter() - self._start) / 60

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds, "tokens": self.tokens, "minutes": self.minutes}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seconds, self.tokens, self._earlier_s = state["seconds"], state["tokens"], state["minutes"] * 60
        self._logged = (self.seconds, self.tokens)

    def on_train_batch_start(self, trainer: L.Trainer, *args: Any) -> None:
        if self._last is None:
            self._last = time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        now = time.perf_counter()
        assert self._last is not None
        self.seconds += now - self._last
        self._last = now
        self.tokens += batch.num_tgt_tokens
        if trainer.global_step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            seconds, tokens = self.seconds - self._logged[0], self.tokens - self._logged[1]
            if seconds > 0:
                pl_module.log("tokens_per_s", tokens * trainer.world_size / seconds, prog_bar=True)
            self._logged = (self.seconds, self.tokens)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._last = None

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._last = None


class ValidationReport(Callback):
    """After each validation one line of figures and three sample translations, on standard error and in TensorBoard."""

    def __init__(self, throughput: Throughput) -> None:
        self.throughput = throughput

    @rank_zero_only
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, TranslationModule)
        if trainer.sanity_checking:
            return
        metrics = trainer.callback_metrics
        line = (
            f"update {trainer.global_step}  epoch {trainer.current_epoch + 1}  {self.throughput.minutes:.1f} min  "
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
