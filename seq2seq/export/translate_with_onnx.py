"""Translates standard input to standard output, one sentence a line, greedily. Needs onnxruntime and sentencepiece."""

import sys
from itertools import islice
from pathlib import Path

import numpy as np
import onnxruntime
import sentencepiece

PAD, UNK, BOS, EOS = range(4)
folder = Path(__file__).parent
source = sentencepiece.SentencePieceProcessor(model_file=str(folder / "source.spm"))
target = sentencepiece.SentencePieceProcessor(model_file=str(folder / "target.spm"))
encoder = onnxruntime.InferenceSession(folder / "encoder.onnx")
decoder = onnxruntime.InferenceSession(folder / "decoder.onnx")


def translate(lines: list[str]) -> list[str]:
    """One row of each tensor is one sentence; the second dimension of `y`, `logits` and `state` is that of a beam."""
    rows = [source.encode(line) + [EOS] for line in lines]
    src = np.full((len(rows), max(map(len, rows))), PAD)
    for row, ids in zip(src, rows, strict=True):
        row[: len(ids)] = ids
    encoded = encoder.run(None, {"src": src, "src_key_padding_mask": src == PAD})
    memory_and_state = [output.name for output in encoder.get_outputs()]
    tensors = dict(zip(memory_and_state, encoded, strict=True))
    names = [output.name for output in decoder.get_outputs()]  # logits, attention where there is any, new.state.*
    y = np.full((len(rows), 1), BOS)
    tokens = [y]
    while len(tokens) <= 2 * src.shape[1] + 10 and not (np.hstack(tokens) == EOS).any(axis=1).all():
        outputs = dict(zip(names, decoder.run(None, {"y": y, **tensors}), strict=True))
        tensors |= {name.removeprefix("new."): new for name, new in outputs.items() if name.startswith("new.")}
        outputs["logits"][..., [PAD, UNK, BOS]] = -np.inf  # no part of a translation
        y = outputs["logits"].argmax(axis=-1)
        tokens.append(y)
    ids = [ids[1 : 2 * len(row) + 11].tolist() for row, ids in zip(rows, np.hstack(tokens), strict=True)]
    return [target.decode(row[: row.index(EOS)] if EOS in row else row) for row in ids]


while lines := [line.rstrip("\n") for line in islice(sys.stdin, 32)]:
    texts = [line for line in lines if line.strip()]
    translations = iter(translate(texts) if texts else [])
    print(*(next(translations) if line.strip() else "" for line in lines), sep="\n")
