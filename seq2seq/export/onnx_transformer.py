"""`models/transformer.py` as ONNX graphs. Letters: see there; t for the tokens read so far."""

import math
from typing import Any

from torch import nn

from seq2seq.export.onnx_graph import BOOL, FLOAT, INT, Graph
from seq2seq.models.transformer import (
    DecoderLayer,
    FeedForward,
    MultiHeadAttention,
    PositionTable,
    Residual,
    Transformer,
    sinusoid_frequencies,
)


def encoder_graph(model: Transformer) -> Graph:
    """src, src_key_padding_mask -> memory.*, state.*: `encode` and `init_state`."""
    g = Graph("encoder")
    src_BS = g.input("src", ["B", "S"], INT)
    mask_BS = g.input("src_key_padding_mask", ["B", "S"], BOOL)
    padding = g.unsqueeze(mask_BS, 1, 2)  # (B, 1, 1, S)
    positions_SD = _positions(g, model.positions, g.constant([0]), g.size(src_BS, 1))
    x_BSD = g.op("Add", g.embedding(src_BS, model.src_embedding), positions_SD)
    for layer in model.encoder_layers:
        q_BSD = _enter(g, layer.around_attention, x_BSD)
        kv = _keys_values(g, layer.self_attention, q_BSD)
        seen_BSD, _ = _attend(g, layer.self_attention, q_BSD, kv, padding)
        x_BSD = _leave(g, layer.around_attention, x_BSD, seen_BSD)
        x_BSD = _feed_forward(g, layer.feed_forward, layer.around_feed_forward, x_BSD)
    x_BSD = _norm(g, x_BSD, model.encoder_norm)

    g.output("memory.src_key_padding_mask", mask_BS, ["B", "S"], BOOL)
    layers, heads, width = _decoder_layers(model)
    nothing = g.op("Concat", g.size(src_BS, 0), g.constant([1, heads, 0, width]), axis=0)
    for i, decoder_layer in enumerate(layers):
        for name, x in zip("kv", _keys_values(g, decoder_layer.cross_attention, x_BSD), strict=True):
            g.output(f"memory.{name}.{i}", x, ["B", heads, "S", width])
            g.output(f"state.{name}.{i}", g.op("ConstantOfShape", nothing), ["B", 1, heads, 0, width])
    return g


def decoder_graph(model: Transformer) -> Graph:
    """y, memory.*, state.* -> logits, attention, new.state.*: `step`."""
    g = Graph("decoder")
    y_BW = g.input("y", ["B", "W"], INT)
    padding = g.unsqueeze(g.input("memory.src_key_padding_mask", ["B", "S"], BOOL), 1, 2)
    layers, heads, width = _decoder_layers(model)
    sources = [[g.input(f"memory.{x}.{i}", ["B", heads, "S", width]) for x in "kv"] for i in range(len(layers))]
    pasts = [[g.input(f"state.{x}.{i}", ["B", "W", heads, "t", width]) for x in "kv"] for i in range(len(layers))]

    t = g.size(pasts[0][0], 3)
    position_1D = _positions(g, model.positions, t, g.op("Add", t, g.constant([1])))
    x_BWD = g.op("Add", g.embedding(y_BW, model.tgt_embedding), position_1D)
    alpha_BHWS = ""
    for i, layer in enumerate(layers):
        q_BWD = _enter(g, layer.around_self_attention, x_BWD)
        seen_BWD, new = _attend_to_past(g, layer.self_attention, q_BWD, pasts[i])
        for name, x in zip("kv", new, strict=True):
            g.output(f"new.state.{name}.{i}", x, ["B", "W", heads, "t + 1", width])
        x_BWD = _leave(g, layer.around_self_attention, x_BWD, seen_BWD)
        q_BWD = _enter(g, layer.around_cross_attention, x_BWD)
        seen_BWD, alpha_BHWS = _attend(g, layer.cross_attention, q_BWD, sources[i], padding)
        x_BWD = _leave(g, layer.around_cross_attention, x_BWD, seen_BWD)
        x_BWD = _feed_forward(g, layer.feed_forward, layer.around_feed_forward, x_BWD)
    logits_BWV = g.projection(_norm(g, x_BWD, model.decoder_norm), model.projection)
    g.output("logits", logits_BWV, ["B", "W", model.projection.out_features])
    g.output("attention", g.op("ReduceMean", alpha_BHWS, axes=[1], keepdims=0), ["B", "W", "S"])
    return g


def _decoder_layers(model: Transformer) -> tuple[list[DecoderLayer], int, int]:
    """The layers, and their attentions' H and K."""
    layers = list(model.decoder_layers)
    return layers, layers[0].self_attention.num_heads, _head_size(layers[0].self_attention)


def _positions(g: Graph, positions: PositionTable, start: str, end: str) -> str:
    """The vectors (end - start, D) of the positions from `start` to `end`."""
    numbers = g.op("Range", *(g.op("Squeeze", x) for x in (start, end)), g.op("Squeeze", g.constant([1])))
    if positions.kind == "learned":
        return g.op("Gather", g.constant(positions.table), numbers)
    frequency = sinusoid_frequencies(positions.table.shape[1])
    angle = g.op("Mul", g.unsqueeze(g.op("Cast", numbers, to=FLOAT), 1), g.constant(frequency))
    return g.op("Concat", g.op("Sin", angle), g.op("Cos", angle), axis=-1)


def _keys_values(g: Graph, attention: MultiHeadAttention, x_BSD: str) -> list[str]:
    """Keys and values (B, H, S, K)."""
    kv = g.ops("Split", g.linear(x_BSD, attention.w_kv), axis=-1, num_outputs=2)
    return [_split_heads(g, attention, x) for x in kv]


def _attend(g: Graph, attention: MultiHeadAttention, x_BTD: str, kv: list[str], padding: str) -> tuple[str, str]:
    """What T queries see of one sequence, (B, T, D), and the weights (B, H, T, S)."""
    k_BHSK, v_BHSK = kv
    q_BHTK = _split_heads(g, attention, g.linear(x_BTD, attention.w_q))
    alpha_BHTS = g.masked_softmax(_energies(g, attention, q_BHTK, k_BHSK, [0, 1, 3, 2]), padding)
    seen_BTHK = g.op("Transpose", g.op("MatMul", alpha_BHTS, v_BHSK), perm=[0, 2, 1, 3])
    return g.linear(g.reshape(seen_BTHK, [0, 0, -1]), attention.w_o), alpha_BHTS


def _attend_to_past(g: Graph, attention: MultiHeadAttention, x_BWD: str, past: list[str]) -> tuple[str, list[str]]:
    """What each hypothesis sees of its own past, this token included, (B, W, D), and that past (B, W, H, t + 1, K)."""
    one_token = [0, 0, attention.num_heads, 1, _head_size(attention)]
    new = [g.reshape(x, one_token) for x in g.ops("Split", g.linear(x_BWD, attention.w_kv), axis=-1, num_outputs=2)]
    k, v = [g.op("Concat", before, x, axis=3) for before, x in zip(past, new, strict=True)]
    q = g.reshape(g.linear(x_BWD, attention.w_q), one_token)
    alpha = g.op("Softmax", _energies(g, attention, q, k, [0, 1, 2, 4, 3]), axis=-1)
    return g.linear(g.reshape(g.op("MatMul", alpha, v), [0, 0, -1]), attention.w_o), [k, v]


def _energies(g: Graph, attention: MultiHeadAttention, q: str, k: str, transposed: list[int]) -> str:
    """Q K^T / sqrt(n_k)."""
    e = g.op("MatMul", q, g.op("Transpose", k, perm=transposed))
    return g.op("Div", e, g.constant(math.sqrt(_head_size(attention))))


def _split_heads(g: Graph, attention: MultiHeadAttention, x_BTD: str) -> str:
    x_BTHK = g.reshape(x_BTD, [0, 0, attention.num_heads, _head_size(attention)])
    return g.op("Transpose", x_BTHK, perm=[0, 2, 1, 3])


def _head_size(attention: MultiHeadAttention) -> int:
    return attention.w_q.out_features // attention.num_heads


def _feed_forward(g: Graph, feed_forward: FeedForward, around: Residual, x: str) -> str:
    first: Any = feed_forward[0]
    second: Any = feed_forward[2]
    hidden = g.op("Relu", g.linear(_enter(g, around, x), first))
    return _leave(g, around, x, g.linear(hidden, second))


def _enter(g: Graph, around: Residual, x: str) -> str:
    return _norm(g, x, around.norm) if around.pre else x


def _leave(g: Graph, around: Residual, x: str, f_x: str) -> str:
    x = g.op("Add", x, f_x)
    return x if around.pre else _norm(g, x, around.norm)


def _norm(g: Graph, x: str, norm: nn.Module) -> str:
    if not isinstance(norm, nn.LayerNorm):  # nn.Identity
        return x
    return g.op("LayerNormalization", x, g.constant(norm.weight), g.constant(norm.bias), axis=-1, epsilon=norm.eps)
