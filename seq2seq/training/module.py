"""What training is, for every architecture alike: steps, loss, validation with translations and BLEU, optimiser."""

import hashlib
import math
import sys
from abc import ABC
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import lightning as L
import torch
from lightning.pytorch.plugins.precision import Precision
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from lightning.pytorch.utilities import GradClipAlgorithmType
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from seq2seq.batching import Batch
from seq2seq.decoding import SearchOptions, decode
from seq2seq.evaluation.metrics import bleu_from_statistics, bleu_statistics
from seq2seq.models import ARCHITECTURES, EncoderDecoder
from seq2seq.special_ids import EOS_ID
from seq2seq.training.loss import cross_entropy_sum
from seq2seq.training.memory import Pieces, bytes_for_batches, bytes_needed, tokens_that_fit
from seq2seq.training.schedules import Optimization, make_optimizer, make_schedule, scale_gradients
from seq2seq.training.sharding import gather_weights, release_weights, shard


class Translation(NamedTuple):
    """One sentence of a validation."""

    source: str
    reference: str
    hypothesis: str


def sum_over_ranks(trainer: L.Trainer, values: Sequence[float]) -> list[float]:
    """The sum of each value over all ranks; every rank must call this."""
    if trainer.world_size == 1:  # some devices have no float64
        return list(values)
    mine = torch.tensor(values, dtype=torch.float64, device=trainer.strategy.root_device)
    sums: list[float] = trainer.strategy.reduce(mine, reduce_op="sum").tolist()
    return sums


def _refuse_what_cannot_be_built(architecture: str, model_config: dict[str, Any]) -> None:
    """Early, on the device that holds nothing: the network itself is made when its vocabulary is known."""
    for name, value in model_config.items():
        if type(value) is int and value < 1 and name != "dropout":
            raise ValueError(f"{name} is {value}; it must be at least 1")
    with torch.device("meta"):
        ARCHITECTURES[architecture](EOS_ID + 1, EOS_ID + 1, **model_config)


class TranslationModule(L.LightningModule, ABC):
    """A system in training. Subclasses name an architecture and its typed hyperparameters, and nothing else.

    The loss of an optimiser step is the cross-entropy summed over its target tokens, divided by their number: on all
    ranks and over all accumulated batches. So k ranks or k accumulated batches do what one large batch would do.

    Logs `train_loss` (smoothed, nats per token), `lr`, `valid_loss` (not smoothed), `valid_ppl` and `valid_bleu`.

    Args:
        model_config: hyperparameters of the architecture; the vocabulary sizes come from the data module.
        label_smoothing: epsilon of the loss.
        optimization: optimiser and schedule.
        search: how validation translates; greedy by default, because it is done often.
    """

    architecture: ClassVar[str]
    model: EncoderDecoder

    def __init__(
        self,
        model_config: dict[str, Any],
        *,
        label_smoothing: float,
        optimization: Optimization,
        search: SearchOptions,
    ) -> None:
        super().__init__()
        _refuse_what_cannot_be_built(self.architecture, model_config)
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing is {label_smoothing}; it must be at least 0 and below 1")
        self.model_config = model_config
        self.label_smoothing = label_smoothing
        self.optimization = optimization
        self.search = search
        self.share_done: Callable[[], float] | None = None  # of a budget; None: updates or epochs end the training
        self.identity: dict[str, Any] = {}  # of the run, for its checkpoints: what must be the same to go on from them
        self.valid_bleu = math.nan  # of the last validation, in full precision
        self.valid_samples: list[Translation] = []  # three translations of the last validation
        self._window_tokens = 0  # target tokens on this rank since the last optimiser step
        self._is_in_batch = False
        self._window: dict[str, Any] | None = None  # gradients of batches before the checkpoint that this goes on from
        self._pieces: Pieces | None = None  # takes the gradients, where autograd does not
        self._valid_nll = self._valid_tokens = 0.0
        self._valid_translations: dict[int, Translation] = {}

    def configure_model(self) -> None:
        """Build the network, now that the data module has a vocabulary."""
        if hasattr(self, "model"):
            return
        tokenizers = self.trainer.datamodule.tokenizers  # type: ignore[attr-defined]
        if self.model_config.get("tie_embeddings") == "three_way" and not tokenizers.joint:
            raise ValueError(
                "tie_embeddings three_way needs one joint vocabulary; set data.tokenizer.joint true or use two_way"
            )
        sizes = tokenizers.src.vocab_size, tokenizers.tgt.vocab_size
        self.model = ARCHITECTURES[self.architecture](*sizes, **self.model_config)
        if self.device_mesh is not None:
            shard(self.model, self.device_mesh["data_parallel"])

    def on_fit_start(self) -> None:
        self._seed = torch.initial_seed()

    def on_train_start(self) -> None:
        if self._window is not None and self.global_rank == 0:  # for all ranks
            self._window_tokens = self._window["tokens"]
            for name, gradient in self._window["gradients"].items():
                self.model.get_parameter(name).grad = gradient.to(self.device)
        self._window = None

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        self._is_in_batch = True
        # What dropout draws depends on the place in the training alone: going on from a checkpoint draws the same.
        place = f"{self._seed} {self.current_epoch} {batch_idx} {self.global_rank}"
        torch.manual_seed(int.from_bytes(hashlib.blake2b(place.encode(), digest_size=8).digest()) >> 1)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        forward = self._training_loss_sum if self._pieces is None else self._pieces.forward
        loss_sum = forward(batch)
        self._window_tokens += batch.num_tgt_tokens
        self.log("train_loss", loss_sum.detach() / batch.num_tgt_tokens, prog_bar=True)
        self.log("lr", self.optimizers().param_groups[0]["lr"])  # type: ignore[union-attr]
        # Lightning divides by the number of accumulated batches, DDP and FSDP by that of ranks; the right divisor, the
        # tokens of the whole step, is known when its last batch has been seen: `on_before_optimizer_step`.
        return loss_sum * self.trainer.accumulate_grad_batches

    def backward(self, loss: Tensor) -> None:
        if self._pieces is None:
            loss.backward()
        else:
            self._pieces.backward(loss)

    def on_train_batch_end(self, *_: Any) -> None:
        self._is_in_batch = False

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        tokens: float | Tensor = float(self._window_tokens)
        if self.trainer.world_size > 1:  # stays on the device: nothing waits for it
            mine = torch.full((), float(self._window_tokens), device=self.device)
            tokens = self.trainer.strategy.reduce(mine, reduce_op="sum")
        self._window_tokens = 0
        scale_gradients(list(self.model.parameters()), self.trainer.world_size / tokens)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        # Lightning refuses to clip before a fused step under mixed precision, which unscales float16 gradients by
        # itself; those of bfloat16 have no scale.
        plugin = self.trainer.precision_plugin
        algorithm = GradClipAlgorithmType(gradient_clip_algorithm or "norm")
        Precision.clip_gradients(plugin, optimizer, gradient_clip_val or 0.0, algorithm)

    def on_validation_epoch_start(self) -> None:
        gather_weights(self.model)
        self._valid_nll = self._valid_tokens = 0.0
        self._valid_translations = {}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._valid_nll += float(self._loss_sum(batch, 0.0))
        self._valid_tokens += batch.num_tgt_tokens
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        found = decode(self.model, batch.src_BS, batch.src_key_padding_mask_BS, self.search)
        texts = data.tokenizers.tgt.decode([best[0].tokens for best in found])
        for row, text in zip(batch.rows_B.tolist(), texts, strict=True):
            source = data.valid_src[row]
            # A blank line stays blank, as in `Translator`.
            self._valid_translations[row] = Translation(source, data.valid_tgt[row], text if source.strip() else "")

    def on_validation_epoch_end(self) -> None:
        release_weights(self.model)
        # Every rank has translated its share; sums of their counts give the score of the whole set.
        done = [self._valid_translations[row] for row in sorted(self._valid_translations)]
        counts = bleu_statistics([t.hypothesis for t in done], [t.reference for t in done])
        mine = [*counts, 0 if self._pieces is None else self._pieces.num_split, self._valid_tokens, self._valid_nll]
        *totals, num_split, tokens, nll = sum_over_ranks(self.trainer, mine)
        self.valid_bleu = bleu_from_statistics([int(total) for total in totals])
        self.valid_samples = [done[len(done) * i // 4] for i in (1, 2, 3)] if len(done) >= 3 else done
        self.log("valid_loss", nll / tokens)
        self.log("valid_ppl", math.exp(min(nll / tokens, 700.0)))  # exp overflows beyond 709
        self.log("valid_bleu", self.valid_bleu, prog_bar=True)
        if num_split:
            self.log("split_batches", num_split)
        schedule = self.lr_schedulers()
        if isinstance(schedule, ReduceLROnPlateau) and not self.trainer.sanity_checking:
            schedule.step(nll / tokens)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        # Other strategies divide the weights among the ranks, and float16 scales the loss.
        is_whole = isinstance(self.trainer.strategy, SingleDeviceStrategy | DDPStrategy)
        if is_whole and self.trainer.precision != "16-mixed":
            is_alone = self.trainer.world_size == 1
            self._pieces = Pieces(self._training_loss_sum, list(self.model.parameters()), is_alone=is_alone)
        if self.trainer.datamodule.batch_tokens is None:  # type: ignore[attr-defined]
            self._fill_memory()
        # A fused step unscales float16 gradients by itself, after they should have been clipped. Torch has none of SGD
        # for sharded weights.
        is_sharded_sgd = self.device_mesh is not None and self.optimization.optimizer == "sgd"
        fused = self.trainer.precision != "16-mixed" and not is_sharded_sgd
        optimizer = make_optimizer(self.model, self.optimization, fused=fused)
        needs_end = self.optimization.schedule == "cosine" and self.share_done is None
        total_steps: float = math.inf
        if needs_end and not self.trainer.datamodule.streaming:  # type: ignore[attr-defined]
            total_steps = self.trainer.estimated_stepping_batches
        elif needs_end and self.trainer.max_steps != -1:  # epochs of a stream have no number of updates
            total_steps = self.trainer.max_steps
        schedule = make_schedule(optimizer, self.optimization, total_steps=total_steps, share_done=self.share_done)
        if self.optimization.schedule == "plateau":
            # Stepped after each validation, above. Lightning, which would do so after each epoch, only keeps its state.
            return {
                "optimizer": optimizer,
                "lr_scheduler": {"scheduler": schedule, "monitor": "valid_loss", "frequency": sys.maxsize},
            }
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["seq2seq"] = self.identity
        if self._window_tokens and not self._is_in_batch and self.device_mesh is None:
            checkpoint["window"] = self._sum_of_window()
        # Ctrl-C before an update: its batch has been given but not used, and is to come again.
        fit_loop = checkpoint["loops"]["fit_loop"]
        progress = fit_loop["epoch_loop.batch_progress"]
        for counts in (progress["total"], progress["current"]):
            counts["ready"] = counts["started"] = counts["processed"]
        for loader in fit_loop["state_dict"].get("combined_loader", []):
            loader["num_given"] = progress["current"]["processed"]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._window = checkpoint.get("window")

    def _sum_of_window(self) -> dict[str, Any]:
        """What the batches since the last update have given, on all ranks: they will not come again."""
        parameters = self.model.named_parameters()
        gradients = {name: p.grad.clone() for name, p in parameters if p.grad is not None}
        if self.trainer.world_size > 1:
            gradients = {name: self.trainer.strategy.reduce(g, reduce_op="sum") for name, g in gradients.items()}
        return {"tokens": int(sum_over_ranks(self.trainer, [self._window_tokens])[0]), "gradients": gradients}

    def bytes_needed(self, batch: Batch) -> float:
        """For loss and gradients of a training batch, beside those that the parameters have."""
        with self.trainer.precision_plugin.forward_context():
            return bytes_needed(self._training_loss_sum, list(self.model.parameters()), batch)

    def _fill_memory(self) -> None:
        """Tell the data module how large batches may be: as the smallest device of all ranks has it."""
        trainer, data = self.trainer, self.trainer.datamodule  # type: ignore[attr-defined]
        parameters = list(self.model.parameters())
        with trainer.precision_plugin.forward_context():
            fitting = tokens_that_fit(
                self._training_loss_sum,
                parameters,
                length=data.longest(),
                vocab_sizes=(data.tokenizers.src.vocab_size, data.tokenizers.tgt.vocab_size),
                device=self.device,
                bytes_free=bytes_for_batches(self.device, trainer.num_devices, parameters),
            )
        data.fill_memory(int(trainer.strategy.reduce(torch.tensor(fitting, device=self.device), reduce_op="min")))

    def _training_loss_sum(self, batch: Batch) -> Tensor:
        return self._loss_sum(batch, self.label_smoothing)

    def _loss_sum(self, batch: Batch, label_smoothing: float) -> Tensor:
        x_BTE = self.model.features(batch.src_BS, batch.src_key_padding_mask_BS, batch.tgt_in_BT)
        x_NE = x_BTE.flatten(0, 1).index_select(0, batch.tgt_places_N)
        tgt_N = batch.tgt_out_BT.take(batch.tgt_places_N)
        return cross_entropy_sum(x_NE, self.model.output_layer(), tgt_N, label_smoothing=label_smoothing)
