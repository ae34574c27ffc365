"""The works that are measured: three models, and how `seq2seq fit` is told to train each.

    A   transformer 4+4 layers, width 128, 4 heads, feed-forward 256, one matrix for all embeddings
    B   transformer 3+3 layers, width 256, 4 heads, feed-forward 1024, one matrix for all embeddings
    C   bidirectional LSTM 2 x 256, LSTM 512 with attention whose context enters the next step, embeddings 256

All: dropout 0.3, label smoothing 0.1, Adam, gradients clipped at norm 1, batches of at most 4096 tokens on the longer
padded side.
"""

from pathlib import Path

import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from seq2seq.special_ids import BOS_ID, EOS_ID, PAD_ID, UNK_ID

_TRANSFORMER = ["--model", "transformer", "--model.optimization.lr", "0.003"]
_INVERSE_SQRT = ["--model.optimization.schedule", "inverse_sqrt", "--model.optimization.warmup_steps", "50"]


def _transformer(layers: int, d_model: int, d_ff: int) -> list[str]:
    sizes = {"num_encoder_layers": layers, "num_decoder_layers": layers, "d_model": d_model, "d_ff": d_ff}
    return [*_TRANSFORMER, *_INVERSE_SQRT, *(f"--model.{name}={size}" for name, size in sizes.items())]


WORKS = {
    "A": _transformer(4, 128, 256),
    "B": _transformer(3, 256, 1024),
    "C": [
        *["--model", "attention", "--model.d_model", "512", "--model.d_embedding", "256"],
        *["--model.optimization.lr", "0.001", "--model.optimization.schedule", "constant"],
        *["--model.optimization.warmup_steps", "0"],
    ],
}


def fit_options(work: str, data: Path, tokenizer: Path) -> list[str]:
    """What `seq2seq fit` is called with, but for the length of the training."""
    return [
        *WORKS[work],
        *["--model.dropout", "0.3", "--model.label_smoothing", "0.1", "--model.optimization.optimizer", "adam"],
        *["--trainer.gradient_clip_val", "1.0", "--data.max_tokens_per_batch", "4096"],
        *["--data.src_lang", "de", "--data.tgt_lang", "en", "--data.tokenizer.path", str(tokenizer)],
        *["--data.train", str(data / "train"), "--data.valid", str(data / "val"), "--seed_everything", "1"],
    ]


def with_our_ids(model: Path, ours: Path) -> None:
    """Write the SentencePiece model with the special pieces where ours have to stand; the other ids stay."""
    proto = sentencepiece_model_pb2.ModelProto.FromString(model.read_bytes())
    spec = proto.trainer_spec
    found = {spec.pad_id: PAD_ID, spec.unk_id: UNK_ID, spec.bos_id: BOS_ID, spec.eos_id: EOS_ID}
    if sorted(found) != sorted(found.values()):
        raise ValueError(f"{model} has its special pieces at {sorted(found)}; they must be the first four")
    pieces = [type(piece).FromString(piece.SerializeToString()) for piece in proto.pieces]
    for before, after in found.items():
        proto.pieces[after].CopyFrom(pieces[before])
    spec.pad_id, spec.unk_id, spec.bos_id, spec.eos_id = PAD_ID, UNK_ID, BOS_ID, EOS_ID
    ours.write_bytes(proto.SerializeToString())
    sentencepiece.SentencePieceProcessor(model_file=str(ours))
