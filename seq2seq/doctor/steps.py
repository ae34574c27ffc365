"""What a training will take, from a few real steps: time of an epoch, a validation and the whole, and memory.

Lightning's own loop trains on some batches of the first epoch, with the optimiser, precision and device of the
configuration, then translates some of the validation set. Batches are taken evenly from all, ordered by their padded
size: so the mean of their times is that of all. The weights are thrown away, and nothing is written.
"""

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.environments import LightningEnvironment
from torch import Tensor

from seq2seq.batching import Batch, TokenBatchSampler
from seq2seq.datamodule import TranslationDataModule
from seq2seq.training.heap import GiveBack
from seq2seq.training.machine import num_processes
from seq2seq.training.memory import bytes_for_batches
from seq2seq.training.module import TranslationModule
from seq2seq.training.settings import Given

_NUM_PLACES = 16  # of batches that are measured among those of an epoch
_ROUNDS = 3  # over them; the median counts
_WARM_UP = 3  # steps: the first ones wait for memory and for what is compiled
_NUM_VALID_PLACES = 8
_TRAINING_S, _VALIDATION_S = 15.0, 6.0  # after which no further batch is begun
_UNREACHED = 1_000_000  # tokens of a translation


class Planned(NamedTuple):
    """A batch before it is made."""

    rows: list[int]
    num_src: int  # padded length
    num_tgt: int
    num_tgt_tokens: int  # without padding

    @property
    def size(self) -> int:
        """Tokens of both sides, padding included."""
        return len(self.rows) * (self.num_src + self.num_tgt)


def plan(lengths_N2: Tensor, sampler: TokenBatchSampler) -> list[Planned]:
    """The batches of a sampler, the largest first."""
    planned = []
    for rows in sampler:
        lengths_B2 = lengths_N2[rows]
        num_src, num_tgt = lengths_B2.amax(0).tolist()
        planned.append(Planned(rows, num_src, num_tgt, int(lengths_B2[:, 1].sum())))
    return sorted(planned, key=lambda batch: batch.size, reverse=True)


def evenly(count: int, places: int) -> list[int]:
    """Which of `count` ordered things stand for all: the middles of equal parts, far ones one after the other."""
    places = min(count, places)
    num_bits = max(1, (places - 1).bit_length())
    order = sorted(range(places), key=lambda place: f"{place:0{num_bits}b}"[::-1])
    return [(2 * place + 1) * count // (2 * places) for place in order]


def measure(model: TranslationModule, data: TranslationDataModule, given: Given) -> "Trial":
    """Train a few steps, then translate some of the validation.

    Args:
        model: not built yet; it is of no use afterwards.
        data: set up.
        given: the settings.

    Raises:
        ValueError: it cannot train so, as with fewer batches than processes.
    """
    trial = Trial(data, num_processes(given) or 1)
    trainer = L.Trainer(
        accelerator=given["trainer.accelerator"],
        devices=1,
        precision=given["trainer.precision"],
        gradient_clip_val=given["trainer.gradient_clip_val"],
        gradient_clip_algorithm=given["trainer.gradient_clip_algorithm"],
        max_epochs=1,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=[GiveBack(), _Stopwatch(trial)],
        plugins=[LightningEnvironment()],
    )
    warnings.filterwarnings("ignore", ".*have no `val_dataloader`.*")
    model.share_done = lambda: 0.0  # no schedule needs to know the end
    try:
        trainer.fit(model, datamodule=trial)
    except SystemExit:  # how Lightning answers KeyboardInterrupt
        raise KeyboardInterrupt from None
    trial.num_parameters = sum(parameter.numel() for parameter in model.parameters())
    return trial


class Trial(L.LightningDataModule):
    """Some batches of an epoch in place of all, and what was measured with them.

    Attributes:
        planned: the batches of one process in an epoch, the largest first; of a stream, which has none, its first ones.
        visits: which of them come, in this order.
        seconds: of the steps, by the places in `planned`.
        valid_planned, valid_seconds: the same of the validation.
        num_parameters: of the model.
        num_bytes: of weights, gradients and the optimiser's state.
        bytes_needed: for the graph of the largest batch.
        bytes_free: for batches.
    """

    def __init__(self, data: TranslationDataModule, world_size: int) -> None:
        super().__init__()
        self.data, self.world_size = data, world_size
        self.tokenizers, self.streaming = data.tokenizers, data.streaming
        self.valid_src, self.valid_tgt = data.valid_src, data.valid_tgt
        self.longest, self.fill_memory = data.longest, data.fill_memory
        self.planned: list[Planned] = []
        self.visits: list[int] = []
        self.seconds: dict[int, list[float]] = {}
        self.valid_planned: list[Planned] = []
        self.valid_seconds: dict[int, float] = {}
        self.num_parameters = self.num_bytes = 0
        self.bytes_needed = self.bytes_free = 0.0

    @property
    def batch_tokens(self) -> int | None:
        return self.data.batch_tokens

    def train_dataloader(self) -> "_Visits":
        loader = self.data.train_dataloader()
        if self.streaming:
            batches = sorted(islice(loader, _NUM_PLACES), key=lambda batch: -batch.src_BS.numel())
            self.planned = [
                Planned(batch.rows_B.tolist(), batch.src_BS.shape[1], batch.tgt_in_BT.shape[1], batch.num_tgt_tokens)
                for batch in batches
            ]
            self.batch = batches.__getitem__
        else:
            pairs: Any = loader.dataset
            self.planned = self._plan(pairs.lengths(), shuffle=True)
            self.batch = lambda place: pairs[0, self.planned[place].rows]
        self.visits = [0] * _WARM_UP + _ROUNDS * evenly(len(self.planned), _NUM_PLACES)
        return _Visits(self.visits, self.batch)

    def valid_batches(self) -> Iterator[tuple[int, Batch]]:
        """Some of the validation's, with their places."""
        pairs: Any = self.data.val_dataloader().dataset
        self.valid_planned = self._plan(pairs.lengths(), shuffle=False)
        for place in [0, *evenly(len(self.valid_planned), _NUM_VALID_PLACES)]:
            yield place, pairs[0, self.valid_planned[place].rows]

    def _plan(self, lengths_N2: Tensor, *, shuffle: bool) -> list[Planned]:
        assert self.data.batch_tokens is not None
        sampler = TokenBatchSampler(
            lengths_N2,
            max_tokens_per_batch=self.data.batch_tokens,
            shuffle=shuffle,
            seed=self.data.seed,
            world_size=self.world_size,
        )
        return plan(lengths_N2, sampler)


class _Visits:
    """A loader that makes each batch when its turn comes, as in training."""

    def __init__(self, places: Sequence[int], batch: Callable[[int], Batch]) -> None:
        self._places, self._batch = places, batch

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Batch]:
        return map(self._batch, self._places)


class _Stopwatch(Callback):
    """Measures steps, then the memory of one and the time of validation batches."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        parameters = list(pl_module.parameters())
        self._trial.bytes_free = bytes_for_batches(pl_module.device, self._trial.world_size, parameters)
        self._start = self._last = _now(pl_module.device)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        now = _now(pl_module.device)
        if batch_idx >= _WARM_UP:
            self._trial.seconds.setdefault(self._trial.visits[batch_idx], []).append(now - self._last)
            trainer.should_stop = now - self._start > _TRAINING_S
        self._last = now

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, TranslationModule)
        trial = self._trial
        states = [x for state in trainer.optimizers[0].state.values() for x in state.values()]
        tensors = [x for x in states if isinstance(x, Tensor)]
        for parameter in pl_module.parameters():
            tensors += [parameter, parameter]  # and its gradient
        trial.num_bytes = sum(x.numel() * x.element_size() for x in tensors)
        largest = trainer.strategy.batch_to_device(trial.batch(0))
        trial.bytes_needed = pl_module.bytes_needed(largest)

        pl_module.eval()
        pl_module.search = replace(pl_module.search, min_length=_UNREACHED, **_lengths_of(trial.data))
        pl_module.on_validation_epoch_start()
        with torch.inference_mode(), trainer.precision_plugin.forward_context():
            start = _now(pl_module.device)
            for number, (place, batch) in enumerate(trial.valid_batches()):
                before = _now(pl_module.device)
                pl_module.validation_step(trainer.strategy.batch_to_device(batch), number)
                now = _now(pl_module.device)
                if number > 0:  # the first one is to warm up
                    trial.valid_seconds[place] = now - before
                if now - start > _VALIDATION_S and trial.valid_seconds:
                    break


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _lengths_of(data: TranslationDataModule) -> dict[str, Any]:
    """Search options with which translations become as long as references; those of a model at its start never end."""
    pairs: Any = data.val_dataloader().dataset
    src, tgt = pairs.lengths().sum(0).tolist()
    offset = 1
    return {"max_length_factor": max(0.0, tgt - offset * len(pairs)) / src, "max_length_offset": offset}
