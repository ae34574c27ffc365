"""The loss on a plane through the trained weights, in two random directions.

    L(a, b) = loss at w + a d + b e        -1 <= a, b <= 1

Weights that only seem large or small, because a norm or the next layer undoes it, would stretch or shrink the picture.
So every row of a matrix in d and e has the length of that row in w; biases and the parameters of norms do not move.

Source: Li et al. 2018, "Visualizing the Loss Landscape of Neural Nets", section 4, whose filters are rows here.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seq2seq.batching import Batch
from seq2seq.decoding.forced import token_log_probabilities
from seq2seq.models import EncoderDecoder
from seq2seq.special_ids import PAD_ID

NUM_POINTS = 21  # of each axis: 441 times the loss of all pairs
NEAR = 1.0  # nats above the centre


@dataclass(frozen=True)
class Landscape:
    """The loss in nats per target token, without label smoothing, around a model's weights.

    Attributes:
        seed: of both directions.
        loss: at the weights.
        alphas, betas: places on the axes.
        losses: a row for each beta, with the loss at each alpha.
        curvature_alpha, curvature_beta: second derivative at the weights along each direction, from the losses one
            place before and after.
        share_near: of all places, those with a loss below that at the weights + 1 nat.
    """

    seed: int
    loss: float
    alphas: list[float]
    betas: list[float]
    losses: list[list[float]]
    curvature_alpha: float
    curvature_beta: float
    share_near: float


@torch.no_grad()
def landscape(model: EncoderDecoder, batches: Sequence[Batch], seed: int) -> Landscape:
    """Compute the loss at all places.

    Args:
        model: in evaluation mode; it stays as it is.
        batches: pairs of sentences.
        seed: of the directions.

    Raises:
        ValueError: the model's weights are not numbers.
    """
    generator = torch.Generator().manual_seed(seed)
    first, second = (random_direction(model, generator) for _ in range(2))
    moved = copy.deepcopy(model)  # whatever happens, the weights that were trained stay as they are
    trained = dict(model.named_parameters())
    moving = [(w, trained[name], first[name], second[name]) for name, w in moved.named_parameters() if name in first]
    device = next(model.parameters()).device
    batches = [batch.to(device) for batch in batches]
    centre = loss_per_token(model, batches)

    def loss_at(a: float, b: float) -> float:
        for w, w_trained, d, e in moving:
            w.copy_(w_trained).add_(d, alpha=a).add_(e, alpha=b)
        return loss_per_token(moved, batches)

    places = [round(-1 + 2 * i / (NUM_POINTS - 1), 12) for i in range(NUM_POINTS)]
    losses = [[loss_at(a, b) for a in places] for b in places]
    middle, step = NUM_POINTS // 2, 2 / (NUM_POINTS - 1)
    return Landscape(
        seed,
        centre,
        places,
        places,
        losses,
        (losses[middle][middle - 1] - 2 * centre + losses[middle][middle + 1]) / step**2,
        (losses[middle - 1][middle] - 2 * centre + losses[middle + 1][middle]) / step**2,
        sum(loss < centre + NEAR for row in losses for loss in row) / NUM_POINTS**2,
    )


def random_direction(model: EncoderDecoder, generator: torch.Generator) -> dict[str, Tensor]:
    """For each matrix normal numbers, each row of which is as long as that row of the weights.

    A matrix that is used twice is moved once. What has no rows, biases and the parameters of norms, is not in it.
    """
    found = {}
    for name, w in model.named_parameters():
        if w.dim() == 2:
            d = torch.randn(w.shape, generator=generator).to(w)
            found[name] = d * (w.detach().norm(dim=1, keepdim=True) / d.norm(dim=1, keepdim=True))
    return found


def loss_per_token(model: EncoderDecoder, batches: Sequence[Batch]) -> float:
    """-ln p of the given translations, ends of sentences counted, over their number of tokens."""
    loss, num_tokens = 0.0, 0
    for batch in batches:
        inputs = batch.src_BS, batch.src_key_padding_mask_BS, batch.tgt_in_BT
        is_token_BT = batch.tgt_out_BT != PAD_ID
        log_p_BT = token_log_probabilities(model, *inputs, batch.tgt_out_BT)
        loss -= float(log_p_BT[is_token_BT].sum())
        num_tokens += int(is_token_BT.sum())
    if not math.isfinite(loss):
        raise ValueError("the model's loss is no number: its training diverged; train it anew")
    return loss / num_tokens
