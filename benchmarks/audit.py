"""How many of planted faults the checks of text find that have to guess, and how many sound pairs they call bad.

    python benchmarks/audit.py data/multi30k/train data/tatoeba/train --src_lang de --tgt_lang en

Languages: sentences of at least 20 letters given as the other side's language, of each side; every nth, some thousands.
Alignment: targets exchanged at random, or with ones of like length, or cut in half; stretches of several lengths whose
targets belong to the line above, each planted alone.
Prints one line of JSON for each corpus and check.
"""

import argparse
import json
import random
import tempfile
from pathlib import Path
from typing import Any

from seq2seq.audit.alignment import examine_alignment
from seq2seq.cleaning.language import Identifier
from seq2seq.cleaning.rules import USUAL
from seq2seq.corpus import read_pairs

Lines = list[str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", nargs="+", metavar="CORPUS")
    parser.add_argument("--src_lang", required=True)
    parser.add_argument("--tgt_lang", required=True)
    arguments = parser.parse_args()
    langs = arguments.src_lang, arguments.tgt_lang
    for spec in arguments.corpora:
        src, tgt = read_pairs(spec, *langs)
        for row in [*languages(src, tgt, langs), *alignment(src, tgt, langs)]:
            print(json.dumps({"corpus": spec, **row}), flush=True)


def languages(src: Lines, tgt: Lines, langs: tuple[str, str]) -> list[dict[str, Any]]:
    is_other = Identifier(langs, USUAL.language or 0.5).is_other
    rows = []
    every = max(1, len(src) // 6000)
    for side, (own, other) in zip((src, tgt), (langs, langs[::-1]), strict=True):
        some = [text for text in side[::every] if sum(map(str.isalpha, text)) >= 20]
        shares = [sum(is_other(text, lang) for text in some) / len(some) for lang in (own, other)]
        rows.append({"check": f"language of {own}", "false": round(shares[0], 4), "found": round(shares[1], 4)})
    return rows


def alignment(src: Lines, tgt: Lines, langs: tuple[str, str]) -> list[dict[str, Any]]:
    rows = [{"check": "alignment, untouched", **judged(src, tgt, set(), langs)}]
    for share, alike in ((0.01, False), (0.05, False), (0.01, True)):
        draw = random.Random(1)
        chosen = draw.sample(range(len(tgt)), int(share * len(tgt)))
        if alike:
            chosen.sort(key=lambda row: (len(tgt[row].split()), draw.random()))
        changed = list(tgt)
        for row, other in zip(chosen, chosen[1:] + chosen[:1], strict=True):
            changed[row] = tgt[other]
        name = f"alignment, {share:.0%} exchanged" + (" with ones of like length" if alike else "")
        rows.append({"check": name, **judged(src, changed, {row + 1 for row in chosen}, langs)})
    chosen = random.Random(1).sample(range(len(tgt)), len(tgt) // 50)
    changed = list(tgt)
    for row in chosen:
        changed[row] = " ".join(tgt[row].split()[: len(tgt[row].split()) // 2])
    rows.append({"check": "alignment, 2% cut in half", **judged(src, changed, {row + 1 for row in chosen}, langs)})
    for length in (8, 20, 100):
        first = len(tgt) // 3
        changed = [*tgt[:first], "This line is new.", *tgt[first : first + length - 1], *tgt[first + length :]]
        found = judged(src, changed, set(), langs)["stretches"]
        rows.append({"check": f"alignment, lines {first + 1} to {first + length} shifted", "stretches": found})
    return rows


def judged(src: Lines, tgt: Lines, planted: set[int], langs: tuple[str, str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        for lang, lines in zip(langs, (src, tgt), strict=True):
            Path(folder, f"train.{lang}").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        section = examine_alignment(f"{folder}/train", *langs, "train")
    suspects = {line for finding in section.findings if finding.check == "misaligned" for line in finding.lines}
    hits = len(suspects & planted)
    found: dict[str, Any] = {"suspects": len(suspects), "stretches": section.figures.get("stretches", [])}
    if planted:
        found |= {"precision": round(hits / max(1, len(suspects)), 2), "recall": round(hits / len(planted), 2)}
    return found


if __name__ == "__main__":
    main()
