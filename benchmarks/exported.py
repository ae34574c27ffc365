"""Translation speed beside CTranslate2 with the same weights: a trained model, its export, real sentences, in turns.

    seq2seq export MODEL --format ctranslate2 --output EXPORT
    python benchmarks/exported.py MODEL EXPORT FILE --python WITH_CTRANSLATE2/bin/python

Both translate FILE, one sentence a line, from raw text to raw text, in batches of the same number of tokens; loading
and a first pass over 200 lines are not counted. CTranslate2 is called as the export's `translate.py` does it, once with
all threads on each batch, once with a batch for each thread, as float32 and as int8. Unlike the translations of
decode.py these have the lengths that the model gives them.

Prints each measurement, then a table of medians; `other_cores` is what other processes used meanwhile. With --reference
also BLEU, so that nobody is fast because he searches less.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

MAX_TOKENS_PER_BATCH = 4096


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("export", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--python", default=sys.executable, help="one that has ctranslate2")
    parser.add_argument("--beams", nargs="+", type=int, default=[1, 5])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments, *arguments.child.split("/"))
        return

    from train import clocks

    from seq2seq.evaluation.metrics import score

    threads = arguments.threads
    systems = [
        "seq2seq",
        *(f"ctranslate2/{kind}/{n}" for kind in ("float32", "int8") for n in dict.fromkeys([1, threads])),
    ]
    found: dict[tuple[int, str], list[dict[str, Any]]] = {}
    output = arguments.export / "benchmark.out"
    for number in range(1, arguments.rounds + 1):
        for beam in arguments.beams:
            for system in systems:
                python = sys.executable if system == "seq2seq" else arguments.python
                files = [arguments.model, str(arguments.export), str(arguments.file), "--output", str(output)]
                command = [python, __file__, *files, "--child", system, "--beams", str(beam), "--threads", str(threads)]
                environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
                start, before = time.perf_counter(), clocks()
                row = json.loads(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout)
                wall = time.perf_counter() - start
                _, all_cpu, own = (after - earlier for after, earlier in zip(clocks(), before, strict=True))
                row |= {
                    "system": system,
                    "beam": beam,
                    "round": number,
                    "other_cores": round((all_cpu - own) / wall, 2),
                }
                if arguments.reference:
                    hypotheses, references = (path.read_text().splitlines() for path in (output, arguments.reference))
                    row["bleu"] = round(score(hypotheses, references, metrics=["BLEU"])[0].value, 1)
                print(json.dumps(row), flush=True)
                found.setdefault((beam, system), []).append(row)
    output.unlink()
    print("\n| beam | system, type, batches at once | sentences/s | all rounds | ours / this | BLEU | peak MB |")
    print("|---|---|---:|---|---:|---:|---:|")
    for (beam, system), rows in found.items():
        rates = [row["sentences_per_s"] for row in rows]
        ours = statistics.median(row["sentences_per_s"] for row in found[beam, "seq2seq"])
        median = statistics.median(rates)
        peak = max(row["rss_mb"] for row in rows)
        cells = f"{median:.0f} | {', '.join(f'{rate:.0f}' for rate in rates)} | {ours / median:.2f}"
        print(f"| {beam} | {system.replace('/', ', ')} | {cells} | {rows[0].get('bleu', '')} | {peak} |")


def child(arguments: argparse.Namespace, system: str, kind: str = "", at_once: str = "1") -> None:
    """Translate in this process, and print how fast."""
    import resource

    lines = arguments.file.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    [beam] = arguments.beams
    if system == "seq2seq":
        import seq2seq
        from seq2seq.decoding import SearchOptions
        from seq2seq.device_memory import keep_memory

        keep_memory()  # as the commands do
        options = SearchOptions(beam_width=beam)
        translator = seq2seq.load(arguments.model, options=options, max_tokens_per_batch=MAX_TOKENS_PER_BATCH)
        translate = translator.translate
    else:
        import ctranslate2
        import sentencepiece

        source, target = (
            sentencepiece.SentencePieceProcessor(model_file=str(arguments.export / f"{side}.spm"))
            for side in ("source", "target")
        )
        threads = {"inter_threads": int(at_once), "intra_threads": arguments.threads // int(at_once)}
        theirs = ctranslate2.Translator(str(arguments.export), device="cpu", compute_type=kind, **threads)

        def translate(lines: list[str]) -> list[str]:
            found = theirs.translate_batch(
                source.encode(lines, out_type=str),
                beam_size=beam,
                patience=2 if beam > 1 else 1,
                max_batch_size=MAX_TOKENS_PER_BATCH,
                batch_type="tokens",
                max_input_length=0,
                max_decoding_length=512,
                min_decoding_length=0,
                disable_unk=True,
                suppress_sequences=[[target.id_to_piece(0)], [target.id_to_piece(2)]],
            )
            return [target.decode(result.hypotheses[0]) for result in found]

    translate(lines[:200])
    start = time.perf_counter()
    translations = translate(lines)
    seconds = time.perf_counter() - start
    arguments.output.write_text("".join(line + "\n" for line in translations), encoding="utf-8")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"sentences_per_s": round(len(lines) / seconds, 1), "rss_mb": peak}))


if __name__ == "__main__":
    main()
