"""A transformer as a model of CTranslate2 (https://github.com/OpenNMT/CTranslate2): its specification, filled in."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seq2seq.bundle import Bundle
from seq2seq.models.transformer import FeedForward, MultiHeadAttention, PositionTable, Residual, Transformer, sinusoids
from seq2seq.special_ids import BOS_ID, EOS_ID, UNK_ID

NOTES = """\
`model.bin` and the `.json` files are CTranslate2's, with float32 weights; `compute_type="int8"` loads them as integers.
The end of the source sentence is added by CTranslate2 (`add_source_eos`). `min_decoding_length=0` belongs to the model:
CTranslate2's default of 1 forbids the end of sentence as the first token, which shifts every score.
"""
# CTranslate2 looks positions up and ends where its table ends; sinusoids go on for ever.
_FEWEST_POSITIONS = 4096


def write(bundle: Bundle, folder: Path) -> None:
    """Write model.bin, config.json and the vocabularies.

    Raises:
        ValueError: the model is no transformer.
    """
    model = bundle.model
    if not isinstance(model, Transformer):
        raise ValueError(
            f"CTranslate2 runs transformers only, {bundle.folder} is {bundle.config['architecture']}; use --format onnx"
        )
    from ctranslate2.specs import TransformerSpec

    settings = bundle.config["model"]
    num_layers = settings["num_encoder_layers"], settings["num_decoder_layers"]
    spec = TransformerSpec.from_config(num_layers, settings["num_heads"], pre_norm=settings["norm"] == "pre")
    src_pieces, tgt_pieces = (
        tokenizer.pieces(range(tokenizer.vocab_size)) for tokenizer in (bundle.tokenizers.src, bundle.tokenizers.tgt)
    )
    spec.register_source_vocabulary(src_pieces)
    spec.register_target_vocabulary(tgt_pieces)
    spec.config.unk_token = tgt_pieces[UNK_ID]
    spec.config.bos_token = spec.config.decoder_start_token = tgt_pieces[BOS_ID]
    spec.config.eos_token = tgt_pieces[EOS_ID]
    spec.config.add_source_eos = True
    _fill(spec, model)
    spec.validate()
    spec.optimize()  # tied matrices are written once
    spec.save(str(folder))


def _fill(spec: Any, model: Transformer) -> None:
    """Put the weights of `model` into a `TransformerSpec`."""
    spec.encoder.embeddings[0].weight = _array(model.src_embedding.weight)
    spec.decoder.embeddings.weight = _array(model.tgt_embedding.weight)
    spec.decoder.projection.weight = _array(model.projection.weight)
    spec.encoder.scale_embeddings = spec.decoder.scale_embeddings = True
    positions = _position_table(model.positions)
    spec.encoder.position_encodings.encodings = spec.decoder.position_encodings.encodings = positions
    if isinstance(model.encoder_norm, nn.LayerNorm):  # "pre"
        _fill_norm(spec.encoder.layer_norm, model.encoder_norm)
        _fill_norm(spec.decoder.layer_norm, model.decoder_norm)
    for layer_spec, encoder_layer in zip(spec.encoder.layer, model.encoder_layers, strict=True):
        _fill_self_attention(layer_spec.self_attention, encoder_layer.self_attention, encoder_layer.around_attention)
        _fill_feed_forward(layer_spec.ffn, encoder_layer.feed_forward, encoder_layer.around_feed_forward)
    for layer_spec, layer in zip(spec.decoder.layer, model.decoder_layers, strict=True):
        _fill_self_attention(layer_spec.self_attention, layer.self_attention, layer.around_self_attention)
        _fill_cross_attention(layer_spec.attention, layer.cross_attention, layer.around_cross_attention)
        _fill_feed_forward(layer_spec.ffn, layer.feed_forward, layer.around_feed_forward)


def _fill_self_attention(spec: Any, attention: MultiHeadAttention, around: Residual) -> None:
    spec.linear[0].weight = _array(torch.cat([attention.w_q.weight, attention.w_kv.weight]))
    spec.linear[0].bias = _array(torch.cat([attention.w_q.bias, attention.w_kv.bias]))
    _fill_linear(spec.linear[1], attention.w_o)
    _fill_norm(spec.layer_norm, around.norm)


def _fill_cross_attention(spec: Any, attention: MultiHeadAttention, around: Residual) -> None:
    for linear_spec, linear in zip(spec.linear, (attention.w_q, attention.w_kv, attention.w_o), strict=True):
        _fill_linear(linear_spec, linear)
    _fill_norm(spec.layer_norm, around.norm)


def _fill_feed_forward(spec: Any, feed_forward: FeedForward, around: Residual) -> None:
    first, _, second = feed_forward
    _fill_linear(spec.linear_0, first)
    _fill_linear(spec.linear_1, second)
    _fill_norm(spec.layer_norm, around.norm)


def _fill_linear(spec: Any, linear: Any) -> None:
    spec.weight, spec.bias = _array(linear.weight), _array(linear.bias)


def _fill_norm(spec: Any, norm: Any) -> None:
    spec.gamma, spec.beta = _array(norm.weight), _array(norm.bias)


def _position_table(positions: PositionTable) -> NDArray[np.float32]:
    length, d_model = positions.table.shape
    if positions.kind == "sinusoidal":
        return _array(sinusoids(max(length, _FEWEST_POSITIONS), d_model))
    return _array(positions.table)


def _array(tensor: Tensor) -> NDArray[np.float32]:
    return tensor.detach().numpy()
