"""What a training on a CPU frees and keeps goes back to the system now and then, see `device_memory.keep_memory`."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from seq2seq.device_memory import give_back

_BATCHES_BETWEEN = 20  # the first step after it is slower, by the blocks that are faulted in again


class GiveBack(Callback):
    """Gives back after every so many batches, where they lie in this heap."""

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if pl_module.device.type == "cpu" and batch_idx % _BATCHES_BETWEEN == 0:
            give_back(pl_module.device)

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self.on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
