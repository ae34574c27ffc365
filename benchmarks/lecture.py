"""Do the lecture's five claims hold? One command measures them, on two CPU cores in at most half an hour.

    python benchmarks/lecture.py --output_dir runs/lecture --data data/multi30k
    python benchmarks/lecture.py --output_dir runs/lecture --claims a b

a   the gradient of a trained vanilla RNN vanishes over a distance at which the LSTM's does not
b   with a growing delay a vanilla RNN fails at remembering where an LSTM still succeeds
c   with a fixed context BLEU falls with the length of the sentence, with attention much less
d   Britz et al. 2017 in miniature: vanilla < GRU ~ LSTM, no attention << attention, additive >= dot-like energies
e   time and memory of a recurrent network grow linearly with the length, attention's score matrix quadratically

--data: raw text of Multi30k, train and val, each .de and .en; d alone needs it. What has been trained in --output_dir
is not trained again. Writes CLAIM.json and CLAIM-*.svg for each claim, and prints its table and whether it is
confirmed. claims/ has a file for each claim, which says how it is measured and what decides.
"""

import argparse
import datetime
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import torch
from claims import britz, costs, delays, gradients, lengths
from claims.claim import Place

from seq2seq import __version__

CLAIMS: dict[str, Any] = {"a": gradients, "b": delays, "c": lengths, "d": britz, "e": costs}


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code: 0 also where a claim is not confirmed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--claims", nargs="+", choices=list(CLAIMS), default=list(CLAIMS), metavar="CLAIM")
    parser.add_argument("--output_dir", type=Path, required=True, help="for everything that is written")
    parser.add_argument("--data", type=Path, help="folder with Multi30k: train.de, train.en, val.de, val.en")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time (default: 2)")
    parser.add_argument("--toy", action="store_true", help="sizes with which everything runs and nothing is shown")
    arguments = parser.parse_args(argv)
    if "d" in arguments.claims:
        britz.refuse_missing(arguments.data, parser.error)
    arguments.output_dir.mkdir(parents=True, exist_ok=True)
    place = Place(
        arguments.output_dir.resolve(), arguments.data and arguments.data.resolve(), arguments.jobs, arguments.toy
    )
    verdicts = []
    for letter in dict.fromkeys(arguments.claims):
        print(f"\n{letter}  {CLAIMS[letter].SAYS}", flush=True)
        start, cpu_start = time.monotonic(), sum(os.times()[:4])
        try:
            found = CLAIMS[letter].measure(place)
        except ValueError as error:
            print(f"lecture.py: error: claim {letter}: {error}", file=sys.stderr)
            return 2
        # CPU seconds, those of processes that have ended too: the measure where others use the machine as well.
        seconds = {"seconds": round(time.monotonic() - start), "cpu_seconds": round(sum(os.times()[:4]) - cpu_start)}
        verdict = report(letter, found, place, seconds)
        verdicts.append(f"{letter}  {verdict}, {seconds['seconds']} s, {seconds['cpu_seconds']} CPU seconds")
    print("\n" + "\n".join(verdicts))
    return 0


def report(letter: str, found: dict[str, Any], place: Place, seconds: dict[str, int]) -> str:
    """Judge, draw, write and print one claim. Returns "confirmed" or "not confirmed"."""
    claim = CLAIMS[letter]
    judgement = claim.judge(found)
    verdict = "confirmed" if judgement.is_confirmed else "not confirmed"
    for old in place.folder.glob(f"{letter}-*.svg"):
        old.unlink()
    claim.draw(found, place, letter)
    record = {
        "claim": letter,
        "says": claim.SAYS,
        "verdict": verdict,
        "reasons": judgement.reasons,
        "figures": found,
        **seconds,
        "toy": place.is_toy,
        "date": datetime.date.today().isoformat(),
        "cores": os.cpu_count(),
        "jobs": place.jobs,
        "machine": platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "seq2seq": __version__,
    }
    (place.folder / f"{letter}.json").write_text(
        json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    print(claim.table(found))
    print("\n".join([f"{letter} is {verdict}", *(f"  {reason}" for reason in judgement.reasons)]), flush=True)
    return verdict


if __name__ == "__main__":
    sys.exit(main())
