"""Sampling: translations drawn from the model's distribution.

The numbers that decide the draws of a sample come from the seed, the source sentence and which of its samples it is. So
the samples of a sentence are the same in any batch, order and file, and the first of ten are those that one gets when
asking for five. They are drawn on the CPU, so every device gets the same ones.

Letters beside those of `models/interface.py`: G blocks of the vocabulary.
"""

import hashlib

import torch
from torch import Tensor, nn

from seq2seq.decoding.constraints import Constraints
from seq2seq.decoding.hypothesis import Hypothesis, SearchOptions
from seq2seq.decoding.vocabulary import log_sum
from seq2seq.models.interface import EncoderDecoder, take_hypotheses, take_sentences
from seq2seq.special_ids import BOS_ID, EOS_ID

_BLOCK = 64  # tokens of the vocabulary that one number points at together


@torch.inference_mode()
def sample(
    model: EncoderDecoder,
    src_BS: Tensor,
    src_key_padding_mask_BS: Tensor,
    options: SearchOptions,
    prefix_BP: Tensor | None = None,
) -> list[list[Hypothesis]]:
    """`options.num_samples` translations of each sentence, in the order in which they were drawn.

    Args:
        model: in evaluation mode.
        src_BS, src_key_padding_mask_BS: as for `EncoderDecoder.encode`.
        options: see `SearchOptions`.
        prefix_BP: see `Constraints`.
    """
    num_sentences, num_samples = len(src_BS), options.num_samples
    max_lengths_B = options.max_lengths(src_key_padding_mask_BS, prefix_BP)
    constraints = Constraints(options, prefix_BP)
    results: list[list[Hypothesis | None]] = [[None] * num_samples for _ in range(num_sentences)]
    # The samples of a sentence are W hypotheses on its one memory.
    memory = model.encode(src_BS, src_key_padding_mask_BS)
    state = take_hypotheses(model.init_state(memory), src_BS.new_zeros(num_sentences, num_samples))
    number_BWT2 = _numbers(src_BS, src_key_padding_mask_BS, max_lengths_B, options)
    sentence_B = torch.arange(num_sentences, device=src_BS.device)  # which sentence each row still in the batch is
    sample_BW = torch.arange(num_samples, device=src_BS.device).repeat(num_sentences, 1)  # and which sample
    open_BW = torch.ones_like(sample_BW, dtype=torch.bool)
    log_probability_BW = torch.zeros(num_sentences, num_samples, device=src_BS.device)
    tokens_BWT = torch.full_like(sample_BW, BOS_ID)[:, :, None]

    for length in range(1, int(max_lengths_B.max()) + 1):
        logits_BWV, state, _ = model.step(tokens_BWT[:, :, -1], state, memory)
        log_sum_BW = log_sum(logits_BWV)
        constraints.forbid(logits_BWV, tokens_BWT, sentence_B)
        y_BW1 = draw(logits_BWV, number_BWT2[:, :, length - 1], options)[:, :, None]
        log_probability_BW = log_probability_BW + (logits_BWV.gather(2, y_BW1)[:, :, 0] - log_sum_BW)
        tokens_BWT = torch.cat([tokens_BWT, y_BW1], dim=2)

        finished_BW = y_BW1[:, :, 0] == EOS_ID
        ended_BW = open_BW & (finished_BW | (max_lengths_B == length)[:, None])
        if not ended_BW.any():
            continue
        rows_N, _ = ended_BW.nonzero(as_tuple=True)
        per_sample = (x[ended_BW].tolist() for x in (sample_BW, tokens_BWT, log_probability_BW, finished_BW))
        for sentence, number, tokens, log_p, finished in zip(sentence_B[rows_N].tolist(), *per_sample, strict=True):
            score = options.penalised(log_p, length)
            results[sentence][number] = Hypothesis(tokens[1 : length + 1 - finished], score, log_p, finished)
        open_BW = open_BW & ~ended_BW

        # Sentences whose samples have all ended leave the batch, and as many samples of the others as have in all.
        rows_B = open_BW.any(1).nonzero()[:, 0]
        if len(rows_B) == 0:
            break
        if len(rows_B) < len(open_BW):
            memory, sentence_B, max_lengths_B = take_sentences((memory, sentence_B, max_lengths_B), rows_B)
            samples = take_sentences((state, open_BW, sample_BW, number_BWT2, log_probability_BW, tokens_BWT), rows_B)
            state, open_BW, sample_BW, number_BWT2, log_probability_BW, tokens_BWT = samples
        most = int(open_BW.sum(1).max())
        if most < open_BW.shape[1]:
            order_BW = open_BW.long().argsort(dim=1, descending=True, stable=True)[:, :most]
            samples = take_hypotheses(
                (state, open_BW, sample_BW, number_BWT2, log_probability_BW, tokens_BWT), order_BW
            )
            state, open_BW, sample_BW, number_BWT2, log_probability_BW, tokens_BWT = samples
    return [[hypothesis for hypothesis in one if hypothesis] for one in results]


def draw(logits_BWV: Tensor, number_BW2: Tensor, options: SearchOptions) -> Tensor:
    """The tokens at which the numbers point, (B, W): the first number at a block of tokens, the second into it.

    One number that points into the whole vocabulary would do, but thousands of tokens end on its way. Rounding, which
    is not the same in every batch, moves their ends, and so some numbers to another token: with four samples a line it
    changed 4 of 800 lines, and 1 of 2,000 this way.

    Args:
        logits_BWV: minus infinity where a token may not be chosen.
        number_BW2: in [0, 1), float64.
        options: temperature, top_k and top_p, applied in this order, each to what the one before has left.
    """
    logits_BWV = logits_BWV.double() / options.temperature
    if options.top_k or options.top_p < 1:
        logits_BWV = _nucleus(logits_BWV, options.top_k or logits_BWV.shape[2], options.top_p)
    p_BWV = nn.functional.pad(logits_BWV.softmax(-1), (0, -logits_BWV.shape[2] % _BLOCK))
    p_BWGV = p_BWV.unflatten(2, (-1, _BLOCK))
    block_BW1 = _pointed_at(p_BWGV.sum(-1), number_BW2[:, :, :1])
    p_BWV = p_BWGV.take_along_dim(block_BW1[..., None], 2)[:, :, 0]
    y_BW1 = block_BW1 * _BLOCK + _pointed_at(p_BWV, number_BW2[:, :, 1:])
    return y_BW1[:, :, 0].clamp(max=logits_BWV.shape[2] - 1)  # a model that gives NaN points behind them


def _pointed_at(p_BWN: Tensor, number_BW1: Tensor) -> Tensor:
    """(B, W, 1): the first of N up to whose end there is more than the number: never one without probability."""
    cumulated_BWN = p_BWN.cumsum(-1)
    n_BW1 = torch.searchsorted(cumulated_BWN, number_BW1 * cumulated_BWN[:, :, -1:], right=True)
    return n_BW1.clamp(max=p_BWN.shape[2] - 1)  # of NaN none is more


def _nucleus(logits_BWV: Tensor, top_k: int, top_p: float) -> Tensor:
    """Minus infinity for all but the top k, and of these the fewest that have at least `top_p` of their probability."""
    sorted_BWV, y_BWV = logits_BWV.sort(dim=-1, descending=True, stable=True)
    sorted_BWV[..., top_k:] = -torch.inf
    p_BWV = sorted_BWV.softmax(-1)
    sorted_BWV.masked_fill_(p_BWV.cumsum(-1) - p_BWV >= top_p, -torch.inf)  # those before it suffice
    return torch.empty_like(logits_BWV).scatter_(2, y_BWV, sorted_BWV)


def _numbers(src_BS: Tensor, src_key_padding_mask_BS: Tensor, max_lengths_B: Tensor, options: SearchOptions) -> Tensor:
    """The two numbers that decide each draw, (B, W, T, 2), uniform in [0, 1), float64."""
    shape = (len(src_BS), options.num_samples, int(max_lengths_B.max()), 2)
    number_BWT2 = torch.empty(shape, dtype=torch.float64)
    for row, (src_S, padding_S) in enumerate(zip(src_BS.cpu(), src_key_padding_mask_BS.cpu(), strict=True)):
        src = src_S[~padding_S].tolist()
        for w in range(options.num_samples):
            key = hashlib.blake2b(repr((options.seed, w, src)).encode(), digest_size=8).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(key) >> 1)
            number_BWT2[row, w].uniform_(generator=generator)
    return number_BWT2.to(src_BS.device)
