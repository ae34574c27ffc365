"""`seq2seq score`: BLEU, chrF and TER of any system's output."""

import dataclasses
import json

from seq2seq.commands.arguments import Parser
from seq2seq.commands.files import read_parallel
from seq2seq.evaluation.metrics import Score, score

DESCRIPTION = """\
Scores any system's translations against raw reference text, as the sacrebleu command does.
Both files hold one sentence a line (.gz is read too). Never give it tokenized or lowercased text."""


def main(argv: list[str]) -> None:
    """Score the files named by `argv` and print the result."""
    parser = Parser("score", DESCRIPTION)
    parser.add_argument("--hypothesis", required=True, metavar="FILE", help="the translations, one a line")
    parser.add_argument("--reference", required=True, metavar="FILE", help="the reference translations, line for line")
    parser.add_argument("--lowercase", action="store_true", help="ignore case in BLEU and chrF (TER always does)")
    parser.add_argument("--json", action="store_true", help="print JSON with all digits")
    arguments = parser.parse(argv)

    hypotheses, references = read_parallel(arguments.hypothesis, arguments.reference)
    scores = score(hypotheses, references, lowercase=arguments.lowercase)
    if arguments.json:
        print(json.dumps([dataclasses.asdict(result) for result in scores], ensure_ascii=False, indent=1))
    else:
        for result in scores:
            print(readable(result))


def readable(result: Score) -> str:
    """One line for people: "BLEU  38.5  nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0"."""
    return f"{result.name:4} {result.value:5.1f}  {result.signature}"
