"""A transformer as Hugging Face's transformers have it: Marian (post-norm) or Pegasus (pre-norm), and a tokenizer.

Both add the same sinusoids to embeddings times sqrt(D), as we do; M2M100, the other pre-norm one, has other
frequencies. Token ids are those of the bundle. Only files are written, nothing of the package is needed for it.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor, nn

from seq2seq.bundle import Bundle
from seq2seq.models.transformer import DecoderLayer, EncoderLayer, Transformer
from seq2seq.special_ids import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from seq2seq.tokenizer import Tokenizer

NOTES = """\
`AutoTokenizer` and `AutoModelForSeq2SeqLM` read the folder; token ids are those of the SentencePiece models. Without
arguments `generate` searches with a beam of 5 by log-probability per token, as `seq2seq translate` does; `num_beams=1`
is greedy. The tokenizer recommends sacremoses, which it does not use, and takes `>>...<<` at the start of a text for
one token, a language.
"""


# `generate` knows no limit in proportion to the source, which is 2 S + 10 here.
_MAX_LENGTH = 512


def write(bundle: Bundle, folder: Path) -> None:
    """Write config.json, generation_config.json, model.safetensors and the tokenizer's files but its two models.

    Raises:
        ValueError: the model is none that either class can hold.
    """
    model = bundle.model
    if not isinstance(model, Transformer):
        raise ValueError(
            f"Hugging Face has no class for {bundle.folder}, which is {bundle.config['architecture']}; "
            "use --format onnx"
        )
    if model.positions.kind == "learned":
        raise ValueError(
            f"{bundle.folder} has learned positions, which neither Marian nor Pegasus can hold; "
            "use --format ctranslate2 or onnx"
        )
    src_size, tgt_size = bundle.tokenizers.src.vocab_size, bundle.tokenizers.tgt.vocab_size
    if bundle.config["model"]["norm"] == "pre" and src_size != tgt_size:
        raise ValueError(
            f"{bundle.folder} has {src_size} source and {tgt_size} target pieces and norm pre; Pegasus needs equally "
            "many; use --format ctranslate2 or onnx"
        )
    weights = {name: tensor.detach().contiguous() for name, tensor in _weights(model).items()}
    # As bytes: safetensors' save_file would make it readable for its owner only.
    (folder / "model.safetensors").write_bytes(safetensors.torch.save(weights, metadata={"format": "pt"}))
    _write_json(folder / "config.json", _config(bundle))
    _write_json(folder / "generation_config.json", _generation_config(bundle))
    _write_json(folder / "tokenizer_config.json", _tokenizer_config(bundle))
    _write_json(folder / "vocab.json", _vocabulary(bundle.tokenizers.src))
    if not bundle.tokenizers.joint:
        _write_json(folder / "target_vocab.json", _vocabulary(bundle.tokenizers.tgt))


def _config(bundle: Bundle) -> dict[str, Any]:
    model = bundle.config["model"]
    is_pre, tie = model["norm"] == "pre", model["tie_embeddings"]
    sizes = {"vocab_size": bundle.tokenizers.src.vocab_size}
    if not is_pre:
        sizes["decoder_vocab_size"] = bundle.tokenizers.tgt.vocab_size
        sizes["share_encoder_decoder_embeddings"] = tie == "three_way"
    return {
        "architectures": ["PegasusForConditionalGeneration" if is_pre else "MarianMTModel"],
        "model_type": "pegasus" if is_pre else "marian",
        "is_encoder_decoder": True,
        **sizes,
        # Pegasus ties all three matrices or none, Marian the decoder's two as well.
        "tie_word_embeddings": tie == "three_way" if is_pre else tie != "none",
        "scale_embedding": True,
        "d_model": model["d_model"],
        "encoder_layers": model["num_encoder_layers"],
        "decoder_layers": model["num_decoder_layers"],
        "encoder_attention_heads": model["num_heads"],
        "decoder_attention_heads": model["num_heads"],
        "encoder_ffn_dim": model["d_ff"],
        "decoder_ffn_dim": model["d_ff"],
        "activation_function": "relu",
        "max_position_embeddings": model["max_positions"],
        "dropout": model["dropout"],
        "activation_dropout": model["dropout"],
        "attention_dropout": model["attention_dropout"],
        "dtype": "float32",
        **_special_ids(),
    }


def _generation_config(bundle: Bundle) -> dict[str, Any]:
    """Our default search: beam 5, ranked by log-probability per token; one that goes on may beat 5 that have ended."""
    length = min(bundle.config["model"]["max_positions"], _MAX_LENGTH)
    return {
        "num_beams": 5,
        "length_penalty": 1.0,
        "early_stopping": False,
        "max_length": length,
        "suppress_tokens": [PAD_ID, UNK_ID, BOS_ID],  # no part of a translation
        **_special_ids(),
    }


def _special_ids() -> dict[str, int | None]:
    return {
        "pad_token_id": PAD_ID,
        "bos_token_id": BOS_ID,
        "eos_token_id": EOS_ID,
        "decoder_start_token_id": BOS_ID,
        "forced_eos_token_id": None,  # both classes have another default
    }


def _tokenizer_config(bundle: Bundle) -> dict[str, Any]:
    pad, unk, bos, eos = bundle.tokenizers.tgt.pieces([PAD_ID, UNK_ID, BOS_ID, EOS_ID])
    return {
        "tokenizer_class": "MarianTokenizer",  # the one with a SentencePiece model for each side
        "source_lang": bundle.config["src_lang"],
        "target_lang": bundle.config["tgt_lang"],
        "separate_vocabs": not bundle.tokenizers.joint,
        "pad_token": pad,
        "unk_token": unk,
        "bos_token": bos,
        "eos_token": eos,
        "split_special_tokens": True,  # "</s>" in a text is text
        "clean_up_tokenization_spaces": False,
        "model_max_length": bundle.config["model"]["max_positions"],
    }


def _vocabulary(tokenizer: Tokenizer) -> dict[str, int]:
    return {piece: i for i, piece in enumerate(tokenizer.pieces(range(tokenizer.vocab_size)))}


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _weights(model: Transformer) -> dict[str, Tensor]:
    """Our weights under the names that Marian and Pegasus share."""
    src, tgt, projection = model.src_embedding.weight, model.tgt_embedding.weight, model.projection.weight
    table = model.positions.table
    weights = {"model.encoder.embed_positions.weight": table, "model.decoder.embed_positions.weight": table.clone()}
    if src is tgt:
        weights["model.shared.weight"] = src
    else:
        weights |= {"model.encoder.embed_tokens.weight": src, "model.decoder.embed_tokens.weight": tgt}
        weights |= {"lm_head.weight": projection.clone()}
        if isinstance(model.encoder_norm, nn.LayerNorm):  # Pegasus
            weights["model.shared.weight"] = src.clone()
    weights |= _stack_weights("model.encoder", model.encoder_layers, model.encoder_norm)
    weights |= _stack_weights("model.decoder", model.decoder_layers, model.decoder_norm)
    return weights


def _stack_weights(stack: str, layers: Iterable[EncoderLayer | DecoderLayer], norm: nn.Module) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = {}
    weights |= {f"{stack}.layer_norm.{kind}": tensor for kind, tensor in norm.named_parameters()}  # none if "post"
    for i, layer in enumerate(layers):
        weights |= {f"{stack}.layers.{i}.{name}": tensor for name, tensor in _layer_weights(layer).items()}
    return weights


def _layer_weights(layer: EncoderLayer | DecoderLayer) -> dict[str, Tensor]:
    first, _, second = layer.feed_forward
    modules = {"fc1": first, "fc2": second, "final_layer_norm": layer.around_feed_forward.norm}
    attentions = {"self_attn": layer.self_attention}
    if isinstance(layer, DecoderLayer):
        attentions["encoder_attn"] = layer.cross_attention
        modules["self_attn_layer_norm"] = layer.around_self_attention.norm
        modules["encoder_attn_layer_norm"] = layer.around_cross_attention.norm
    else:
        modules["self_attn_layer_norm"] = layer.around_attention.norm
    weights = {}
    for name, attention in attentions.items():
        modules |= {f"{name}.q_proj": attention.w_q, f"{name}.out_proj": attention.w_o}
        for kind, tensor in attention.w_kv.named_parameters():
            weights[f"{name}.k_proj.{kind}"], weights[f"{name}.v_proj.{kind}"] = tensor.chunk(2)
    return weights | {f"{name}.{kind}": t for name, module in modules.items() for kind, t in module.named_parameters()}
