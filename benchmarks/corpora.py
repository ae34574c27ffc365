"""What preparing, cleaning and examining a corpus costs: seconds, and the memory of all processes together.

    python benchmarks/corpora.py --pairs 1000000

The pairs are one to three sentences of the demo corpus each, 23 words on average, with the faults of
tests/planted_faults.py among them. `prepare` is data_scripts/tatoeba.py from an archive in a folder, with valid and
test taken out of train; `clean` is `seq2seq clean --all` of what it has written; `doctor` is `seq2seq doctor` of a
configuration for what that has left, with all it does by itself: tokenizer, cache, some steps of training.
Memory is the peak of the sum over the command's processes, what they share counted once, sampled once a second.
Prints one line of JSON for each command.
"""

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from tests.planted_faults import FAULTS

ROOT = Path(__file__).parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--commands", nargs="+", default=["prepare", "clean", "doctor"])
    parser.add_argument("--folder", type=Path, help="keep everything here, and go on with what is there; default: none")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(exist_ok=True)
        mirror = folder / "mirror"
        if not mirror.exists():
            write_archive(folder, mirror, arguments.pairs)
        raw, cleaned = folder / "raw", folder / "cleaned"
        langs = ["--src_lang", "de", "--tgt_lang", "en"]
        command = [sys.executable, "-m", "seq2seq.cli"]
        config = folder / "config.yaml"
        config.write_text(
            "model: transformer\n"
            f"data: {{src_lang: de, tgt_lang: en, train: {cleaned}/train, valid: {raw}/valid, "
            f"tests: {{test: {raw}/test}}, cache_dir: {folder}/cache, tokenizer: {{vocab_size: 1500}}}}\n"
            "trainer: {max_steps: 1000}\n"
        )
        cleaned.mkdir(exist_ok=True)
        commands = {
            "prepare": [
                *(sys.executable, str(ROOT / "data_scripts" / "tatoeba.py"), str(raw), "--mirror", mirror.as_uri()),
                *("--archives", str(folder / "archives")),
            ],
            "clean": [*command, "clean", str(raw / "train"), str(cleaned / "train"), *langs, "--all"],
            "doctor": [*command, "doctor", str(config)],
        }
        for name in arguments.commands:
            if name == "prepare":
                shutil.rmtree(raw, ignore_errors=True)
            if name == "doctor":
                shutil.rmtree(folder / "cache", ignore_errors=True)
            print(
                json.dumps({"command": name, "pairs": arguments.pairs, **measured(commands[name], folder)}), flush=True
            )


def write_archive(folder: Path, mirror: Path, num_pairs: int) -> None:
    """An archive in the layout of manythings.org."""
    demo = folder / "demo"
    subprocess.run([sys.executable, ROOT / "data_scripts" / "demo.py", demo], check=True, stdout=subprocess.DEVNULL)
    sides = [(demo / f"train.{lang}").read_text(encoding="utf-8").split("\n")[:-1] for lang in ("de", "en")]
    sentences = list(zip(*sides, strict=True))
    draw = random.Random(1)
    mirror.mkdir()
    with (
        zipfile.ZipFile(mirror / "tatoeba-deu-eng.zip", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("deu.txt", "w") as file,
    ):
        for number in range(num_pairs):
            some = draw.sample(sentences, draw.choice((1, 2, 2, 3)))
            pair = " ".join(de for de, _ in some), " ".join(en for _, en in some)
            if draw.random() < 0.02:
                pair = draw.choice([make for _, make in FAULTS.values()])(pair, draw, number)
            de, en = (side.replace("\t", " ") for side in pair)
            file.write(f"{en}\t{de}\tCC-BY\n".encode())


def measured(command: list[str], folder: Path) -> dict[str, float]:
    """Runs a command to its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start_s, peak_kb = time.perf_counter(), 0
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {"PYTHONPATH": str(ROOT)})
        while process.poll() is None:
            peak_kb = max(peak_kb, shared_memory_once_kb(process.pid))
            time.sleep(1 if time.perf_counter() - start_s > 5 else 0.2)
    wall_s = time.perf_counter() - start_s
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode not in (0, 1):  # 1: doctor has warnings
        sys.exit(f"{' '.join(command)} ended with {process.returncode}: {(folder / 'log').read_text()[-500:]}")
    cpu_s = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": round(wall_s, 1), "cpu_s": round(cpu_s, 1), "peak_mb": peak_kb // 1024}


def shared_memory_once_kb(pid: int) -> int:
    """Proportional set size of a process and all that it has started."""
    total = 0
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += sum(map(shared_memory_once_kb, map(int, (task / "children").read_text().split())))
    except OSError:  # it has just ended
        pass
    return total


if __name__ == "__main__":
    main()
