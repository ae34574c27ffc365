"""Translates standard input to standard output, one sentence a line. Needs torch, transformers and sentencepiece."""

import sys
from itertools import islice
from pathlib import Path

from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

folder = Path(__file__).parent
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForSeq2SeqLM.from_pretrained(folder)


def translate(lines: list[str]) -> list[str]:
    inputs = tokenizer(lines, padding=True, return_tensors="pt")
    outputs = model.generate(**inputs)  # num_beams=1: greedy
    return tokenizer.batch_decode(outputs, skip_special_tokens=True)


while lines := [line.rstrip("\n") for line in islice(sys.stdin, 32)]:
    texts = [line for line in lines if line.strip()]
    translations = iter(translate(texts) if texts else [])
    print(*(next(translations) if line.strip() else "" for line in lines), sep="\n")
