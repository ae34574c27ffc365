"""The heap of a training on a CPU: torch takes every tensor from the C library's, and gives it back there.

glibc returns large blocks to the system at once, and each step faults them in again: a step takes 1.4 times as long. If
it keeps them all, they are cut up, by batches that all have different sizes, and by what lives on between them, until
the process has three times the memory that any step needs. So it keeps them, and gives all back after some steps.
"""

import ctypes
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from seq2seq.out_of_memory import give_back

_BATCHES_BETWEEN = 20  # the first step after it is slower, by the blocks that are faulted in again


def keep_memory() -> None:
    """Let glibc keep what is freed. Other C libraries have no such call."""
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    m_mmap_max, m_trim_threshold = -4, -1  # names and numbers of malloc.h
    mallopt(m_mmap_max, 0)
    mallopt(m_trim_threshold, 2**31 - 1)


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
