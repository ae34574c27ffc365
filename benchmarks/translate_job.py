"""Kills a long translation and lets it go on: is the output that of a job that nobody disturbed?

    python benchmarks/translate_job.py --lines 1000000 --kills 10

A text of sentences from the demo corpus, with blank lines and some bad ones, is translated three times by a tiny model:
undisturbed; by a process that is killed with SIGKILL at random moments and goes on with `--resume`; and to a .gz by two
processes that share the file and are killed one after the other. Memory is the peak of any process; that of a hundredth
of the text is printed for comparison.
Prints one line of JSON for each translation.
"""

import argparse
import gzip
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
BAD = [b"\xff\xfe not UTF-8", b"sehr " * 3000]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    bundle = ROOT / "tests" / "data" / "bundles" / "0.1.0-lstm"
    parser.add_argument("--model", type=Path, default=bundle, help="default: a tiny one of the tests")
    arguments = parser.parse_args()
    generator = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        demo = [sys.executable, str(ROOT / "data_scripts" / "demo.py"), str(folder / "demo")]
        subprocess.run(demo, check=True, stdout=subprocess.DEVNULL)
        sentences = (folder / "demo" / "train.de").read_bytes().splitlines()
        for name, num_lines in (("some", arguments.lines // 100), ("text", arguments.lines)):
            with open(folder / name, "wb") as file:
                for _ in range(num_lines):
                    dice = generator.random()
                    line = b"" if dice < 0.01 else generator.choice(BAD if dice < 0.0102 else sentences)
                    file.write(line + b"\n")
        jobs = Jobs(arguments.model, folder)
        small = jobs.undisturbed("some")
        whole = jobs.undisturbed("text")
        print(
            json.dumps({"undisturbed": arguments.lines, **whole, "peak_mb_of_a_hundredth": small["peak_mb"]}),
            flush=True,
        )
        expected = (folder / "text.undisturbed").read_bytes()
        same = expected.count(b"\n") == arguments.lines
        for world_size, ending in ((1, ".out"), (2, ".gz")):
            output = folder / f"killed{ending}"
            row = jobs.killed(output, world_size, arguments.kills // 2, whole["seconds"] / world_size, generator)
            content = gzip.decompress(output.read_bytes()) if ending == ".gz" else output.read_bytes()
            row |= {"same": content == expected, "left_behind": len(list(folder.glob("*.partial")))}
            same = same and row["same"]
            print(json.dumps({"processes": world_size, **row}), flush=True)
    if not same:
        sys.exit("an output is another one")


class Jobs:
    """`seq2seq translate`, greedily."""

    def __init__(self, model: Path, folder: Path) -> None:
        self.folder = folder
        options = [
            "--beam_width",
            "1",
            "--max_length_factor",
            "0.2",
            "--max_length_offset",
            "3",
            "--bad_lines",
            "translate",
        ]
        self.command = [sys.executable, "-m", "seq2seq.cli", "translate", str(model), *options]

    def start(
        self, name: str, output: Path, *options: str, rank: int = 0, world_size: int = 1
    ) -> "subprocess.Popen[bytes]":
        ranks = {"RANK": str(rank), "WORLD_SIZE": str(world_size), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        paths = ["--input", str(self.folder / name), "--output", str(output)]
        with open(self.folder / "log", "ab") as log:
            return subprocess.Popen([*self.command, *paths, *options], env=os.environ | ranks, stderr=log)

    def undisturbed(self, name: str) -> dict[str, Any]:
        started = time.perf_counter()
        code, peak_mb = wait(self.start(name, self.folder / f"{name}.undisturbed"))
        if code:
            sys.exit(f"translate ended with {code}: {(self.folder / 'log').read_text()[-300:]}")
        return {"seconds": round(time.perf_counter() - started, 1), "peak_mb": peak_mb}

    def killed(
        self, output: Path, world_size: int, kills: int, seconds: float, generator: random.Random
    ) -> dict[str, Any]:
        """Kill one process after the other, each time with those that go on with its work."""
        killed, peak_mb, started = 0, 0, time.perf_counter()
        while True:
            processes = [
                self.start("text", output, "--resume", rank=rank, world_size=world_size) for rank in range(world_size)
            ]
            for process in generator.sample(processes, world_size) if killed < kills else ():
                # The starts take a while: of the work, each interval should do its share and no more.
                time.sleep(generator.uniform(0, 2 * seconds / (kills + 1)) + 4 / world_size)
                os.kill(process.pid, signal.SIGKILL)  # not process.kill(): it would wait for one that has ended
            results = [wait(process) for process in processes]
            if failed := [code for code, _ in results if code not in (0, -signal.SIGKILL)]:
                sys.exit(f"translate ended with {failed[0]}: {(self.folder / 'log').read_text()[-300:]}")
            killed += sum(code == -signal.SIGKILL for code, _ in results)
            peak_mb = max(peak_mb, *(peak for _, peak in results))
            if not output.with_name(f"{output.name}.partial").exists():
                break
        return {"kills": killed, "seconds": round(time.perf_counter() - started, 1), "peak_mb": peak_mb}


def wait(process: "subprocess.Popen[bytes]") -> tuple[int, int]:
    """Exit code and peak of the memory in MB."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss // 1024


if __name__ == "__main__":
    main()
