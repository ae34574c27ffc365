"""Floating-point operations of a training step: counted once for a model, then known for every batch.

    flops(B, S, T) = B (f + a S + b T + c S^2 + d S T + e T^2)

Every matrix product of these architectures runs over the source positions, the target positions or pairs of them, or
once over a sentence, so six measurements on batches of one tiny sentence give the six coefficients exactly.

What counts are the matrix products of forward and backward pass, a multiply-add as two operations; element-wise work
(activations, softmax, norms, the loss, the optimiser) is left out, as is customary: Kaplan et al. 2020, section 2.1.
Causal attention counts as if it were not masked, truncated backpropagation as if it were whole. Padding counts like
tokens: that is what a transformer and every decoder compute. A recurrent encoder skips it, so its true number is
smaller: by 0.4 % on Multi30k, where batches of similar lengths leave 2 % of the source positions empty.
Letters: see `models/interface.py`.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from seq2seq.models import ARCHITECTURES, EncoderDecoder
from seq2seq.special_ids import BOS_ID, EOS_ID


@dataclass(frozen=True)
class FlopCount:
    """FLOPs of forward and backward pass of one batch, as a function of its shape."""

    per_sentence: int
    per_src: int  # position
    per_tgt: int
    per_src_src: int  # ordered pair of positions
    per_src_tgt: int
    per_tgt_tgt: int

    def __call__(self, B: int, S: int, T: int) -> int:
        """FLOPs for B sentences, padded to S source and T target positions."""
        pairs = self.per_src_src * S * S + self.per_src_tgt * S * T + self.per_tgt_tgt * T * T
        return B * (self.per_sentence + self.per_src * S + self.per_tgt * T + pairs)


def count_flops(architecture: str, model_config: dict[str, Any], src_vocab_size: int, tgt_vocab_size: int) -> FlopCount:
    """Count what one batch costs a model in training.

    Draws no random numbers. For a fraction of a second it needs the memory of the weights and gradients in float64.

    Args:
        architecture: a name of `models.ARCHITECTURES`.
        model_config: its keyword arguments.
        src_vocab_size, tgt_vocab_size: V of either side.
    """
    config = {name: value for name, value in model_config.items() if name != "bptt_steps"}
    with torch.device("meta"):  # weights of any value will do
        model = ARCHITECTURES[architecture](src_vocab_size, tgt_vocab_size, **config)
    # It cannot run on meta, because packing the sources of a recurrent encoder looks at their lengths. The counter does
    # not see into fused kernels: oneDNN's LSTM does not take float64, and `_measure` sets fused attention aside.
    model = model.double().to_empty(device="cpu").eval()
    n11, n21, n31, n12, n13, n22 = (
        _measure(model, 1, S, T) for S, T in ((1, 1), (2, 1), (3, 1), (1, 2), (1, 3), (2, 2))
    )
    src_src = (n31 - 2 * n21 + n11) // 2
    tgt_tgt = (n13 - 2 * n12 + n11) // 2
    src_tgt = n22 - n21 - n12 + n11
    src = n21 - n11 - 3 * src_src - src_tgt
    tgt = n12 - n11 - 3 * tgt_tgt - src_tgt
    count = FlopCount(n11 - src - tgt - src_src - src_tgt - tgt_tgt, src, tgt, src_src, src_tgt, tgt_tgt)
    assert count(2, 4, 3) == _measure(model, 2, 4, 3), f"the FLOPs of {architecture} are no such polynomial"
    return count


def _measure(model: EncoderDecoder, B: int, S: int, T: int) -> int:
    src_BS, tgt_BT = torch.full((B, S), EOS_ID), torch.full((B, T), BOS_ID)
    no_padding_BS = torch.zeros(B, S, dtype=torch.bool)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        logits_BTV = model(src_BS, no_padding_BS, tgt_BT)
        torch.autograd.grad(logits_BTV.sum(), list(model.parameters()))
    return counter.get_total_flops()
