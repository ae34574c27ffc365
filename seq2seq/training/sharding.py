"""Fully sharded training: each rank keeps its part of the weights, gradients and optimiser states (FSDP).

A transformer's layers are gathered one at a time, when they are needed, and the rest of the weights (embeddings, tied
or not, the vocabulary projection, norms; a recurrent model as a whole) from the features to the end of the backward
pass, as the loss takes the projection out of the model's own forward.

Source: Zhao et al. 2023, "PyTorch FSDP"; the module-wise form is `torch.distributed.fsdp.fully_shard`.
"""

import datetime

import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method

from seq2seq.models import EncoderDecoder
from seq2seq.models.transformer import Transformer

# Without it, which came with torch 2.8, weights that were gathered for a search are released again by its first step.
IS_POSSIBLE = hasattr(FSDPModule, "set_reshard_after_forward")


class FullySharded(ModelParallelStrategy):
    """`--trainer.strategy fsdp`: Lightning's strategy with all devices in one data-parallel group.

    Checkpoints are ordinary files with whole weights: the bundle and `seq2seq average` take them as any others.

    Args:
        timeout: how long a process waits for the others.
    """

    def __init__(self, timeout: datetime.timedelta) -> None:
        super().__init__(tensor_parallel_size=1, save_distributed_checkpoint=False, timeout=timeout)

    def setup_environment(self) -> None:
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()


def refuse_what_cannot_be_sharded(ema_decay: float, precision: str, max_tokens_per_batch: int | str) -> None:
    """Refuse what does not work on parts of weights.

    Raises:
        ValueError: an old torch, a moving average, a precision that Lightning does not offer, or batches that fill the
            memory.
    """
    if max_tokens_per_batch == "auto":
        raise ValueError(
            "data.max_tokens_per_batch is auto, which trainer.strategy fsdp cannot measure; write a number, or use ddp"
        )
    if ema_decay:
        raise ValueError(
            f"ema_decay is {ema_decay}, but trainer.strategy fsdp averages no weights; set ema_decay 0 or use ddp"
        )
    if precision.startswith(("16", "64")):
        raise ValueError(
            f"trainer.precision is {precision}, but trainer.strategy fsdp takes 32-true, bf16-mixed and bf16-true; use "
            "one of them, or ddp"
        )
    if not IS_POSSIBLE:
        raise ValueError(
            f"trainer.strategy fsdp needs torch 2.8 or newer, and this is {torch.__version__}; install a newer one, or "
            "use ddp"
        )


def shard(model: EncoderDecoder, ranks: DeviceMesh) -> None:
    """Keep this rank's part of each weight.

    Raises:
        ValueError: a weight is a single number.
    """
    for name, parameter in model.named_parameters():
        if parameter.dim() == 0:
            raise ValueError(
                f"the weight {name} is a single number, which trainer.strategy fsdp cannot share out; use ddp"
            )
    if isinstance(model, Transformer):
        for encoder_layer in model.encoder_layers:
            fully_shard(encoder_layer, mesh=ranks)
        for decoder_layer in model.decoder_layers:
            fully_shard(decoder_layer.cross_attention.w_kv, mesh=ranks)  # `encode` uses it, before the layer's turn
            fully_shard(decoder_layer, mesh=ranks)
    fully_shard(model, mesh=ranks, reshard_after_forward=False)
    register_fsdp_forward_method(model, "features")


def gather_weights(model: EncoderDecoder) -> None:
    """Have all weights on each rank until `release_weights`; nothing if the model is not sharded.

    Ranks that translate different sentences take different numbers of steps: none may wait for another in between.
    """
    if isinstance(model, FSDPModule):
        model.set_reshard_after_forward(False)
        for module in model.modules():
            if isinstance(module, FSDPModule):
                module.unshard()


def release_weights(model: EncoderDecoder) -> None:
    """Go back to this rank's part."""
    if isinstance(model, FSDPModule):
        model.set_reshard_after_forward(True)
        model.set_reshard_after_forward(False, recurse=False)
        for module in model.modules():
            if isinstance(module, FSDPModule):
                module.reshard()
