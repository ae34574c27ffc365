"""The transformer: attention(Q, K, V) = softmax(Q K^T / sqrt(n_k)) V is all that moves information between positions.

    encoder layer    x + self-attention(x);  x + feed-forward(x)
    decoder layer    x + causal self-attention(x);  x + attention(x, memory);  x + feed-forward(x)
    feed-forward     W_2 relu(W_1 x + b_1) + b_2

with a layer norm after each sum ("post", Vaswani et al. 2017) or before each function ("pre", Xiong et al. 2020, which
adds a norm at the end of each stack). Source: Vaswani et al. 2017, sections 3.1 to 3.5. What differs: dropout on the
attention weights has its own rate; sinusoids lie side by side ([sin | cos]) instead of interleaved, a permutation of
dimensions.
Letters: see `interface.py`.
"""

import math
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seq2seq.models.dropout import Dropout, ReluDropout
from seq2seq.models.embeddings import Tie, make_embeddings
from seq2seq.models.interface import EncoderDecoder, Step
from seq2seq.models.masks import mask_energies, may_attend_to_keys
from seq2seq.models.products import Linear

Norm = Literal["pre", "post"]
Positions = Literal["sinusoidal", "learned"]

# A CPU's vector of float32. Fewer keys are taken one by one by torch's fused attention, which lasts 1.7 times as long.
_FEWEST_KEYS = 16

# Of what a transformer with norms after the sums begins with, as in BERT and MarianMT: layers that at first add little
# to their sums. With larger ones it learned half as much in the same time (docs/benchmarks.md).
_STD_OF_POST = 0.02


class KeysValues(NamedTuple):
    """Keys and values of one attention, of the source (B, H, S, K) or of each hypothesis (B, W, H, T, K)."""

    k: Tensor
    v: Tensor


class TransformerMemory(NamedTuple):
    """Keys and values of the encoder's output for each decoder layer, at least `_FEWEST_KEYS` with the padding."""

    layers: tuple[KeysValues, ...]
    key_padding_mask_BS: Tensor
    src_length: int  # S before that


class TransformerState(NamedTuple):
    """Keys and values of the target tokens read so far for each decoder layer, with room behind them."""

    layers: tuple[KeysValues, ...]
    length: int  # tokens read so far


def sinusoids(length: int, d_model: int) -> Tensor:
    """PE(pos) = [sin(pos / 10000^(2i/D)) | cos(pos / 10000^(2i/D))], i < D/2, as (length, D) (section 3.5)."""
    angle = torch.arange(length)[:, None] * sinusoid_frequencies(d_model)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


def sinusoid_frequencies(d_model: int) -> Tensor:
    """1 / 10000^(2i/D), i < D/2."""
    return torch.exp(torch.arange(0, d_model, 2) * (-math.log(10000.0) / d_model))


class PositionTable(nn.Module):
    """One vector of width D per position."""

    def __init__(self, kind: Positions, *, d_model: int, max_positions: int) -> None:
        super().__init__()
        if kind not in ("sinusoidal", "learned"):
            raise ValueError(f"positions is {kind!r}; use sinusoidal or learned")
        if kind == "sinusoidal" and d_model % 2:
            raise ValueError(f"d_model is {d_model}; sinusoidal positions need an even one, sines and cosines")
        if kind == "learned":
            self.table = nn.Parameter(torch.randn(max_positions, d_model) * d_model**-0.5)
        else:
            self.register_buffer("table", sinusoids(max_positions, d_model), persistent=False)
        self.kind = kind

    def forward(self, start: int, end: int) -> Tensor:
        if end <= len(self.table):
            return self.table[start:end]
        if self.kind == "learned":
            raise ValueError(
                f"a sentence has {end} tokens, learned positions end at {len(self.table)}; "
                "raise max_positions or split it"
            )
        return sinusoids(end, self.table.shape[1])[start:].to(self.table)


class MultiHeadAttention(nn.Module):
    """H attentions side by side on D/H-wide projections of queries, keys and values (section 3.2.2).

    Extended attention: beside the keys values of their own, v_i = W_v x_i; in `attention.py` the states are the values.
    """

    def __init__(self, d_model: int, *, num_heads: int, dropout: float) -> None:
        super().__init__()
        if d_model % num_heads:
            raise ValueError(f"d_model is {d_model} and num_heads {num_heads}; the heads must divide d_model")
        self.num_heads = num_heads
        self.dropout = dropout
        self.w_q = Linear(d_model, d_model)
        self.w_kv = Linear(d_model, 2 * d_model)
        self.w_o = Linear(d_model, d_model)

    def project_keys(self, x: Tensor) -> KeysValues:
        """Keys and values of x (..., S, D) as (..., H, S, K) each."""
        k, v = self.w_kv(x).chunk(2, dim=-1)
        return KeysValues(self._split_heads(k), self._split_heads(v))

    def forward(self, x_BTD: Tensor, kv: KeysValues, may_attend: Tensor | None) -> Tensor:
        """All T queries at once.

        `may_attend` (B, 1, 1, S) is True where a key may be seen; None if each query may see the keys up to its place.
        """
        q_BHTK = self._split_heads(self.w_q(x_BTD))
        k_BHSK, v_BHSK = kv
        on_cpu = q_BHTK.device.type == "cpu"
        if on_cpu and q_BHTK.dtype == torch.bfloat16:  # in which torch's backward pass takes 60 times as long there
            q_BHTK, k_BHSK, v_BHSK = q_BHTK.float(), k_BHSK.float(), v_BHSK.float()
        missing = _FEWEST_KEYS - k_BHSK.shape[2]
        if missing > 0 and on_cpu and k_BHSK.dtype == torch.float32:
            # To these nobody attends: they are masked, or come after every query.
            k_BHSK, v_BHSK = F.pad(k_BHSK, (0, 0, 0, missing)), F.pad(v_BHSK, (0, 0, 0, missing))
            may_attend = None if may_attend is None else F.pad(may_attend, (0, missing))
        dropout = self.dropout if self.training else 0.0
        with torch.autocast("cpu", enabled=False) if on_cpu else nullcontext():
            out_BHTK = F.scaled_dot_product_attention(
                q_BHTK, k_BHSK, v_BHSK, attn_mask=may_attend, dropout_p=dropout, is_causal=may_attend is None
            )
        return self.w_o(self._join_heads(out_BHTK))

    def weights(self, x_BTD: Tensor, kv: KeysValues, may_attend: Tensor | None) -> Tensor:
        """The weights (B, H, T, S) with which `forward` averages the values; arguments as there."""
        e = self._split_heads(self.w_q(x_BTD)) @ kv.k.transpose(-1, -2) / math.sqrt(kv.k.shape[-1])
        if may_attend is None:
            may_attend = torch.ones(e.shape[-2:], dtype=torch.bool, device=e.device).tril()
        return e.masked_fill(~may_attend, -torch.inf).softmax(-1)

    def step(self, x: Tensor, kv: KeysValues, key_padding_mask_BS: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The same written out, with the weights (..., H, T, S), for the few queries of a decoder step."""
        q = self._split_heads(self.w_q(x))
        e = q @ kv.k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        if key_padding_mask_BS is not None:
            e = mask_energies(e, key_padding_mask_BS)
        return self._average(e, kv.v)

    def step_on_past(self, x_BW1D: Tensor, past: KeysValues, length: int) -> tuple[Tensor, KeysValues]:
        """Attention of each hypothesis to its own `length` tokens and this one. Returns it, and the past with this one.

        Writes into the past where there is room, which is made for `_FEWEST_KEYS` tokens at a time.
        """
        new = self.project_keys(x_BW1D)
        if length == past.k.shape[3]:
            past = KeysValues(*(torch.cat([x, x.new_zeros(*x.shape[:3], _FEWEST_KEYS, x.shape[4])], 3) for x in past))
        past.k[:, :, :, length], past.v[:, :, :, length] = new.k[:, :, :, 0], new.v[:, :, :, 0]
        k, v = (x[:, :, :, : max(_FEWEST_KEYS, length + 1)] for x in past)
        q = self._split_heads(self.w_q(x_BW1D))
        e = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        e[..., length + 1 :] = -torch.inf
        return self._average(e, v)[0], past

    def _average(self, e: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        alpha = e.softmax(-1)
        return self.w_o(self._join_heads(alpha @ v)), alpha

    def _split_heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, -1)).transpose(-2, -3)

    def _join_heads(self, x: Tensor) -> Tensor:
        return x.transpose(-2, -3).flatten(-2)


class FeedForward(nn.Sequential):
    """W_2 relu(W_1 x + b_1) + b_2 at every position (section 3.3)."""

    def __init__(self, d_model: int, *, d_ff: int, dropout: float) -> None:
        layers = {"0": Linear(d_model, d_ff), "1": ReluDropout(dropout), "3": Linear(d_ff, d_model)}
        super().__init__(OrderedDict(layers))  # saved models have these names


class Residual(nn.Module):
    """x + f(x) with its layer norm before f ("pre") or after the sum ("post"), and dropout on f(x)."""

    def __init__(self, d_model: int, *, norm: Norm, dropout: float) -> None:
        super().__init__()
        if norm not in ("pre", "post"):
            raise ValueError(f"norm is {norm!r}; use pre or post")
        self.pre = norm == "pre"
        self.norm = nn.LayerNorm(d_model)
        self.dropout = Dropout(dropout)

    def enter(self, x: Tensor) -> Tensor:
        """What f sees of x."""
        return self.norm(x) if self.pre else x

    def leave(self, x: Tensor, f_x: Tensor) -> Tensor:
        """The sum."""
        x = x + self.dropout(f_x)
        return x if self.pre else self.norm(x)


class EncoderLayer(nn.Module):
    """Self-attention, then feed-forward, each in a residual."""

    def __init__(
        self, d_model: int, *, d_ff: int, num_heads: int, norm: Norm, dropout: float, attention_dropout: float
    ) -> None:
        super().__init__()
        self.self_attention = MultiHeadAttention(d_model, num_heads=num_heads, dropout=attention_dropout)
        self.feed_forward = FeedForward(d_model, d_ff=d_ff, dropout=dropout)
        self.around_attention = Residual(d_model, norm=norm, dropout=dropout)
        self.around_feed_forward = Residual(d_model, norm=norm, dropout=dropout)

    def forward(self, x_BSD: Tensor, may_attend: Tensor) -> Tensor:
        q_BSD = self.around_attention.enter(x_BSD)
        kv = self.self_attention.project_keys(q_BSD)
        x_BSD = self.around_attention.leave(x_BSD, self.self_attention(q_BSD, kv, may_attend))
        return self.around_feed_forward.leave(x_BSD, self.feed_forward(self.around_feed_forward.enter(x_BSD)))


class DecoderLayer(nn.Module):
    """Causal self-attention, attention to the source, feed-forward, each in a residual."""

    def __init__(
        self, d_model: int, *, d_ff: int, num_heads: int, norm: Norm, dropout: float, attention_dropout: float
    ) -> None:
        super().__init__()
        self.self_attention = MultiHeadAttention(d_model, num_heads=num_heads, dropout=attention_dropout)
        self.cross_attention = MultiHeadAttention(d_model, num_heads=num_heads, dropout=attention_dropout)
        self.feed_forward = FeedForward(d_model, d_ff=d_ff, dropout=dropout)
        self.around_self_attention = Residual(d_model, norm=norm, dropout=dropout)
        self.around_cross_attention = Residual(d_model, norm=norm, dropout=dropout)
        self.around_feed_forward = Residual(d_model, norm=norm, dropout=dropout)

    def forward(self, x_BTD: Tensor, source: KeysValues, may_attend: Tensor) -> Tensor:
        q_BTD = self.around_self_attention.enter(x_BTD)
        past = self.self_attention.project_keys(q_BTD)
        x_BTD = self.around_self_attention.leave(x_BTD, self.self_attention(q_BTD, past, None))
        q_BTD = self.around_cross_attention.enter(x_BTD)
        x_BTD = self.around_cross_attention.leave(x_BTD, self.cross_attention(q_BTD, source, may_attend))
        return self.around_feed_forward.leave(x_BTD, self.feed_forward(self.around_feed_forward.enter(x_BTD)))

    def step(
        self, x_BWD: Tensor, past: KeysValues, length: int, source: KeysValues, src_key_padding_mask_BS: Tensor
    ) -> tuple[Tensor, KeysValues, Tensor]:
        """One token per hypothesis. Returns x, the past with this token, and the weights (B, H, W, S) on the source."""
        q_BW1D = self.around_self_attention.enter(x_BWD).unsqueeze(2)  # each hypothesis has a past of its own
        seen_BW1D, past = self.self_attention.step_on_past(q_BW1D, past, length)
        x_BWD = self.around_self_attention.leave(x_BWD, seen_BW1D.squeeze(2))
        q_BWD = self.around_cross_attention.enter(x_BWD)  # but all W are queries on the one source
        seen_BWD, alpha_BHWS = self.cross_attention.step(q_BWD, source, src_key_padding_mask_BS)
        x_BWD = self.around_cross_attention.leave(x_BWD, seen_BWD)
        x_BWD = self.around_feed_forward.leave(x_BWD, self.feed_forward(self.around_feed_forward.enter(x_BWD)))
        return x_BWD, past, alpha_BHWS


class Transformer(EncoderDecoder):
    """Encoder-decoder of attention layers alone.

    Args:
        src_vocab_size, tgt_vocab_size: V of either side.
        d_model: D, also the embeddings' width.
        d_ff: F.
        num_heads: H, must divide D.
        num_encoder_layers, num_decoder_layers: L of either stack.
        norm: "pre" or "post", where the layer norms stand.
        positions: "sinusoidal" (any length) or "learned" (up to `max_positions`).
        max_positions: length of the position table.
        dropout: on embeddings, inside the feed-forward and on what enters each residual sum.
        attention_dropout: on attention weights.
        tie_embeddings: see `embeddings.py`.
    """

    encoder_layers: Iterable[EncoderLayer]  # module lists, whose items torch types as any module
    decoder_layers: Iterable[DecoderLayer]

    def __init__(
        self,
        src_vocab_size: int,
        tgt_vocab_size: int,
        *,
        d_model: int = 256,
        d_ff: int = 1024,
        num_heads: int = 4,
        num_encoder_layers: int = 3,
        num_decoder_layers: int = 3,
        norm: Norm = "pre",
        positions: Positions = "sinusoidal",
        max_positions: int = 1024,
        dropout: float = 0.1,
        attention_dropout: float = 0.0,
        tie_embeddings: Tie = "three_way",
    ) -> None:
        super().__init__()
        self.src_embedding, self.tgt_embedding, self.projection = make_embeddings(
            src_vocab_size,
            tgt_vocab_size,
            d_embedding=d_model,
            tie=tie_embeddings,
            projection_bias=False,
            std=_STD_OF_POST if norm == "post" else None,
        )
        self.positions = PositionTable(positions, d_model=d_model, max_positions=max_positions)
        sizes: dict[str, Any] = dict(
            d_ff=d_ff, num_heads=num_heads, norm=norm, dropout=dropout, attention_dropout=attention_dropout
        )
        self.encoder_layers = nn.ModuleList(EncoderLayer(d_model, **sizes) for _ in range(num_encoder_layers))  # type: ignore[assignment]
        self.decoder_layers = nn.ModuleList(DecoderLayer(d_model, **sizes) for _ in range(num_decoder_layers))  # type: ignore[assignment]
        # Only "pre" leaves the sums of its last layer without a norm.
        self.encoder_norm = nn.LayerNorm(d_model) if norm == "pre" else nn.Identity()
        self.decoder_norm = nn.LayerNorm(d_model) if norm == "pre" else nn.Identity()
        self.dropout = Dropout(dropout)
        self._initialise(norm)

    def _initialise(self, norm: Norm) -> None:
        """Zero biases; matrices as N(0, 0.02) with norms after the sums, else Glorot's.

        Glorot's is for each D x D projection of its own: keys and values share a matrix only for speed.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear) and module is not self.projection:
                nn.init.zeros_(module.bias)
                if norm == "post":
                    nn.init.normal_(module.weight, std=_STD_OF_POST)
                else:
                    nn.init.xavier_uniform_(module.weight)
        for module in self.modules():
            if norm == "pre" and isinstance(module, MultiHeadAttention):
                for weight in module.w_kv.weight.data.chunk(2):
                    nn.init.xavier_uniform_(weight)

    def encode(self, src_BS: Tensor, src_key_padding_mask_BS: Tensor) -> TransformerMemory:
        x_BSD = self.read(self.embed(self.src_embedding, src_BS), may_attend_to_keys(src_key_padding_mask_BS))
        src_length = src_BS.shape[1]
        missing = max(0, _FEWEST_KEYS - src_length)
        projected = (layer.cross_attention.project_keys(x_BSD) for layer in self.decoder_layers)
        # Laid out head by head, as every step wants them.
        source = tuple(KeysValues(*(F.pad(x, (0, 0, 0, missing)).contiguous() for x in kv)) for kv in projected)
        return TransformerMemory(source, F.pad(src_key_padding_mask_BS, (0, missing), value=True), src_length)

    def init_state(self, memory: TransformerMemory) -> TransformerState:
        nothing = tuple(KeysValues(*(x[:, None, :, :0] for x in source)) for source in memory.layers)
        return TransformerState(nothing, 0)

    def step(self, y_BW: Tensor, state: TransformerState, memory: TransformerMemory) -> Step:
        x_BWD = self.embed(self.tgt_embedding, y_BW.unsqueeze(-1), start=state.length).squeeze(2)
        pasts = []
        for layer, past, source in zip(self.decoder_layers, state.layers, memory.layers, strict=True):
            x_BWD, past, alpha_BHWS = layer.step(x_BWD, past, state.length, source, memory.key_padding_mask_BS)
            pasts.append(past)
        logits_BWV = self.projection(self.decoder_norm(x_BWD))
        attention_BWS = alpha_BHWS.mean(1)[..., : memory.src_length]  # the last layer's, all heads
        return Step(logits_BWV, TransformerState(tuple(pasts), state.length + 1), attention_BWS)

    def features(self, src_BS: Tensor, src_key_padding_mask_BS: Tensor, tgt_BT: Tensor) -> Tensor:
        may_attend = may_attend_to_keys(src_key_padding_mask_BS)
        x_BSD = self.read(self.embed(self.src_embedding, src_BS), may_attend)
        return self.write(self.embed(self.tgt_embedding, tgt_BT), x_BSD, may_attend)

    def output_layer(self) -> nn.Linear:
        return self.projection

    def read(self, x_BSD: Tensor, may_attend: Tensor) -> Tensor:
        """The encoder's output (B, S, D) for embedded source tokens."""
        for layer in self.encoder_layers:
            x_BSD = layer(x_BSD, may_attend)
        return self.encoder_norm(x_BSD)

    def write(self, x_BTD: Tensor, h_BSD: Tensor, may_attend: Tensor) -> Tensor:
        """The decoder's output (B, T, D) for embedded target tokens and the encoder's output h."""
        for layer in self.decoder_layers:
            x_BTD = layer(x_BTD, layer.cross_attention.project_keys(h_BSD), may_attend)
        return self.decoder_norm(x_BTD)

    def embed(self, embedding: nn.Embedding, ids: Tensor, *, start: int = 0) -> Tensor:
        """Embedding plus position, for ids (..., T) whose first stands at `start`."""
        positions_TD = self.positions(start, start + ids.shape[-1])
        return self.dropout(embedding(ids) + positions_TD)
