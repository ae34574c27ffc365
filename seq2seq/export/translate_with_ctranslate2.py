"""Translates standard input to standard output, one sentence a line. Needs ctranslate2 and sentencepiece."""

import sys
from itertools import islice
from pathlib import Path

import ctranslate2
import sentencepiece

folder = Path(__file__).parent
source = sentencepiece.SentencePieceProcessor(model_file=str(folder / "source.spm"))
target = sentencepiece.SentencePieceProcessor(model_file=str(folder / "target.spm"))
translator = ctranslate2.Translator(str(folder), device="auto")


def translate(lines: list[str]) -> list[str]:
    results = translator.translate_batch(
        source.encode(lines, out_type=str),
        beam_size=5,  # 1: greedy
        patience=2,  # a longer translation may still be better than those that have ended
        max_batch_size=4096,
        batch_type="tokens",
        max_input_length=0,  # whole sentences
        max_decoding_length=512,
        min_decoding_length=0,  # as in training
        disable_unk=True,
        suppress_sequences=[[target.id_to_piece(0)], [target.id_to_piece(2)]],  # padding, begin of sentence
    )
    return [target.decode(result.hypotheses[0]) for result in results]


while lines := [line.rstrip("\n") for line in islice(sys.stdin, 2048)]:
    translations = iter(translate([line for line in lines if line.strip()]))
    print(*(next(translations) if line.strip() else "" for line in lines), sep="\n")
