"""FLOPs of a batch, against formulas written down from the architectures' equations and against torch's counter.

Letters: see `models/interface.py`. A product of (m, k) and (k, n) matrices is 2 m k n operations, and its two gradients
are as many again each: three products in all, two where one factor needs no gradient.
"""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from seq2seq.models import ARCHITECTURES
from seq2seq.training.flops import count_flops

BATCHES = [(1, 1, 1), (4, 7, 5), (32, 20, 23), (1, 1000, 3)]
V_SRC, V_TGT = 11, 13
PRODUCT = 3 * 2  # forward and both gradients


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_transformer_costs_what_its_equations_say(norm: str) -> None:
    D, F, encoder_layers, decoder_layers = 12, 20, 3, 2
    config = {"d_model": D, "d_ff": F, "num_heads": 3, "norm": norm, "tie_embeddings": "none"}
    layers = {"num_encoder_layers": encoder_layers, "num_decoder_layers": decoder_layers}
    count = count_flops("transformer", config | layers, V_SRC, V_TGT)

    for B, S, T in BATCHES:
        encoder = encoder_layers * (S * (4 * D * D + 2 * D * F) + 2 * S * S * D)  # W_q W_k W_v W_o, W_1 W_2; QK^T, AV
        self_attention = T * 4 * D * D + 2 * T * T * D
        cross_attention = (2 * T + 2 * S) * D * D + 2 * S * T * D
        decoder = decoder_layers * (self_attention + cross_attention + T * 2 * D * F)
        assert count(B, S, T) == PRODUCT * B * (encoder + decoder + T * D * V_TGT)


@pytest.mark.parametrize(("cell", "gates"), [("rnn", 1), ("gru", 3), ("lstm", 4)])
def test_a_recurrent_model_costs_what_its_equations_say(cell: str, gates: int) -> None:
    E, D = 6, 10
    count = count_flops("lstm", {"cell": cell, "d_embedding": E, "d_model": D}, V_SRC, V_TGT)

    for B, S, T in BATCHES:
        products = S * encoder(gates, E, D) + bridge(cell, D)
        products += T * (gates * D * (E + D + D) + (2 * D + E) * E + E * V_TGT)  # y, z and d_{t-1}; readout
        assert count(B, S, T) == B * (PRODUCT * products - 2 * first_step(gates, D))


@pytest.mark.parametrize("energy", ["additive", "general", "dot", "scaled_dot", "cosine"])
def test_an_attention_model_costs_what_its_equations_say(energy: str) -> None:
    E, D, gates = 6, 10, 4
    count = count_flops("attention", {"energy": energy, "d_embedding": E, "d_model": D}, V_SRC, V_TGT)

    for B, S, T in BATCHES:
        products = S * encoder(gates, E, D) + bridge("lstm", D)
        products += {"additive": (S + T) * D * D, "general": S * D * D}.get(energy, 0)
        products += S * T * D  # v . tanh, or q . k
        products += S * T * D  # weights times states
        products += S * gates * D * D + S * T * gates * D  # U h, and weights times it
        products += T * (gates * D * (E + D) + (2 * D + E) * E + E * V_TGT)  # y, d_{t-1}; readout
        assert count(B, S, T) == B * (PRODUCT * products - 2 * first_step(gates, D))


def encoder(gates: int, E: int, D: int) -> int:
    """Two directions of width D / 2, one source position."""
    return 2 * gates * (D // 2) * (E + D // 2)


def bridge(cell: str, D: int) -> int:
    return (2 if cell == "lstm" else 1) * D * D


def first_step(gates: int, D: int) -> int:
    """The encoder starts at zeros, to which no gradient flows."""
    return 2 * gates * (D // 2) ** 2


VARIANTS = [
    ("lstm", {"num_layers": 2, "bidirectional": False, "bridge": "zeros"}),
    ("lstm", {"num_layers": 2, "cell": "gru", "bridge": "last", "tie_embeddings": "two_way"}),
    ("attention", {"num_layers": 2, "cell": "rnn", "energy": "cosine", "bridge": "zeros"}),
    ("attention", {"num_layers": 3, "cell": "gru", "bidirectional": False, "tie_embeddings": "three_way"}),
    ("attention", {"num_layers": 2, "placement": "current"}),
    ("attention", {"num_layers": 2, "placement": "input_feeding", "energy": "general"}),
    ("transformer", {"norm": "post", "positions": "learned", "tie_embeddings": "two_way"}),
    ("transformer", {"num_encoder_layers": 1, "num_decoder_layers": 4, "tie_embeddings": "three_way"}),
]


@pytest.mark.parametrize(("architecture", "options"), VARIANTS)
def test_a_larger_batch_is_predicted_exactly(architecture: str, options: dict) -> None:
    sizes = {"d_model": 8, "d_ff": 12} if architecture == "transformer" else {"d_model": 8, "d_embedding": 6}
    config = sizes | options
    B, S, T = 3, 6, 5
    model = ARCHITECTURES[architecture](V_SRC, V_SRC, **config).double()  # oneDNN's kernels are not counted
    src_BS = torch.randint(4, V_SRC, (B, S))
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(src_BS, torch.zeros(B, S, dtype=torch.bool), torch.randint(4, V_SRC, (B, T))).sum().backward()

    assert count_flops(architecture, config, V_SRC, V_SRC)(B, S, T) == counter.get_total_flops()


@pytest.mark.parametrize("architecture", ["lstm", "attention"])
def test_truncated_backpropagation_counts_as_if_it_were_whole(architecture: str) -> None:
    config = {"d_model": 8, "d_embedding": 6}
    truncated = count_flops(architecture, config | {"bptt_steps": 1}, V_SRC, V_TGT)
    assert truncated == count_flops(architecture, config | {"bptt_steps": None}, V_SRC, V_TGT)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_counting_leaves_the_random_numbers_alone(architecture: str) -> None:
    torch.manual_seed(4)
    before = torch.get_rng_state()
    count_flops(architecture, {"d_model": 8}, V_SRC, V_SRC)

    assert torch.equal(torch.get_rng_state(), before)
