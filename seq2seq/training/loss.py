"""The training criterion. Letters: B batch, T target length, V vocabulary."""

from torch import Tensor
from torch.nn import functional as F

from seq2seq.special_ids import PAD_ID


def cross_entropy_sum(logits_BTV: Tensor, tgt_BT: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Label-smoothed cross-entropy, summed over the target tokens; padding counts nothing. In nats.

    With smoothing epsilon the target distribution is 1 - epsilon on the token and epsilon / V on each of the V pieces.
    A sum, because the number to divide by is the target tokens of the whole optimiser step, on all ranks.

    Source: Szegedy et al. 2016, section 7; Vaswani et al. 2017, section 5.4.
    """
    return F.cross_entropy(
        logits_BTV.flatten(0, 1),
        tgt_BT.flatten(),
        ignore_index=PAD_ID,
        label_smoothing=label_smoothing,
        reduction="sum",
    )
