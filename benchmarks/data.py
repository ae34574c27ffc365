"""How a large corpus is prepared: pairs a minute, time to the first batch of a first and a second start, memory.

    PYTHONPATH=. python benchmarks/data.py --pairs 10000000

Generates a corpus of made-up words, whose frequencies follow Zipf's law, in sentences of 3 to 60 words. Every start is
a process of its own. Prints one line of JSON for each: seconds to train the tokenizer, to tokenise, until the first
batch; `own_mb`: the most memory that was the process's own (anonymous pages: without the memory-mapped corpus, which
all processes of a machine share), and how much of it importing torch and Lightning takes. The last start streams the
corpus: pairs a second over some windows, and seconds to the first batch when going on from the middle of the corpus.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

VOCABULARY = 50_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1_000_000, help="of the corpus")
    parser.add_argument("--work_dir", type=Path, help="for the corpus and the cache; default: a temporary folder")
    parser.add_argument("--start", choices=["cached", "streamed"], help=argparse.SUPPRESS)  # for a process of ours
    arguments = parser.parse_args()
    if arguments.start:
        how = {"cached": start, "streamed": stream}[arguments.start]
        print(json.dumps(how(arguments.work_dir, arguments.pairs)), flush=True)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.work_dir or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        write_corpus(folder / "valid", 500, seed=2)
        began = time.perf_counter()
        write_corpus(folder / "train", arguments.pairs, seed=1)
        print(json.dumps({"pairs": arguments.pairs, "generating_s": since(began)}), flush=True)
        for which, how in (("first", "cached"), ("second", "cached"), ("streamed", "streamed")):
            command = [sys.executable, __file__, f"--start={how}", f"--work_dir={folder}", f"--pairs={arguments.pairs}"]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found = {"start": which, **json.loads(done.stdout)}
            if found.get("tokenising_s"):
                found["pairs_per_minute"] = round(60 * arguments.pairs / found["tokenising_s"])
            print(json.dumps(found), flush=True)


def write_corpus(prefix: Path, num_pairs: int, seed: int) -> None:
    generator = random.Random(seed)
    letters = "etaoinshrdlu"
    words = ["".join(generator.choices(letters, k=2 + rank.bit_length() // 2)) for rank in range(VOCABULARY)]
    weights = [1 / (rank + 3) for rank in range(VOCABULARY)]
    # Drawing a word costs more than writing it: lines are cut out of one long text at random places.
    text = {lang: generator.choices(words, weights, k=2_000_000) for lang in ("de", "en")}
    files = {lang: open(f"{prefix}.{lang}", "w", encoding="utf-8") for lang in text}  # noqa: SIM115
    for _ in range(num_pairs):
        length, place = generator.randint(3, 60), generator.randrange(1_999_900)
        for lang, file in files.items():
            file.write(" ".join(text[lang][place : place + length]) + "\n")
    for file in files.values():
        file.close()


def start(folder: Path, num_pairs: int) -> dict[str, Any]:
    """Prepare the corpus and take the first batch, as `seq2seq fit` does."""
    began = time.perf_counter()
    highest = OwnMemory()
    from seq2seq import datamodule

    importing_s, imported_mb = since(began), highest.now_mb()
    spent: dict[str, float] = {}
    for name in ("_load_tokenizers", "_fill_cache"):
        timed(datamodule.TranslationDataModule, name, spent)
    data = data_module(folder)
    is_first = not (folder / "cache").exists()
    data.prepare_data()
    data.setup()
    loader = data.train_dataloader()
    batch = next(iter(loader))
    return {
        "importing_s": importing_s,
        "tokenizer_s": spent["_load_tokenizers"],
        "tokenising_s": round(spent["_fill_cache"] - spent["_load_tokenizers"], 1) if is_first else None,
        "to_first_batch_s": since(began),
        "num_batches": len(loader),
        "first_batch": list(batch.src_BS.shape),
        "own_mb": highest.peak_mb,
        "own_mb_after_import": imported_mb,
    }


def stream(folder: Path, num_pairs: int) -> dict[str, Any]:
    """Read some windows of the corpus, then go on from its middle as a run that was killed there does."""
    highest = OwnMemory()
    began = time.perf_counter()
    data = data_module(folder, streaming=True)
    data.prepare_data()
    data.setup()
    batches = iter(data.train_dataloader())
    next(batches)
    to_first_batch_s, num_given = since(began), 0
    began = time.perf_counter()
    while num_given < min(num_pairs, 500_000):
        num_given += len(next(batches).rows_B)
    pairs_per_s = round(num_given / (time.perf_counter() - began))
    began = time.perf_counter()
    resumed = data.train_dataloader()
    middle = [[1, [[0, 0, num_pairs // 2]]], 0, 0]
    resumed.load_state_dict({"num_given": 1, "latest": [[1, middle]]})
    next(iter(resumed))
    return {
        "to_first_batch_s": to_first_batch_s,
        "pairs_per_s": pairs_per_s,
        "going_on_from_the_middle_s": since(began),
        "own_mb": highest.peak_mb,
    }


def data_module(folder: Path, **settings: Any) -> Any:
    from seq2seq.datamodule import TokenizerConfig, TranslationDataModule

    return TranslationDataModule(
        src_lang="de",
        tgt_lang="en",
        train=str(folder / "train"),
        valid=str(folder / "valid"),
        tokenizer=TokenizerConfig(kind="bpe"),
        cache_dir=str(folder / "cache"),
        **settings,
    )


def timed(owner: type, name: str, spent: dict[str, float]) -> None:
    method = getattr(owner, name)

    def wrapped(*args: Any) -> Any:
        began = time.perf_counter()
        result = method(*args)
        spent[name] = spent.get(name, 0.0) + since(began)
        return result

    setattr(owner, name, wrapped)


class OwnMemory:
    """The most anonymous memory of this process since its making, looked at every 20 ms."""

    def __init__(self) -> None:
        self.peak_mb = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def now_mb(self) -> int:
        [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon")]
        return int(line.split()[1]) // 1024

    def _watch(self) -> None:
        while True:
            self.peak_mb = max(self.peak_mb, self.now_mb())
            time.sleep(0.02)


def since(began: float) -> float:
    return round(time.perf_counter() - began, 1)


if __name__ == "__main__":
    main()
