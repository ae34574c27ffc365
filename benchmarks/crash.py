"""Kills trainings and lets them go on: does each end with the weights of one that nobody disturbed?

    python benchmarks/crash.py --kills 50

A run is killed with SIGKILL at random moments, half of them while a checkpoint is being written, and goes on with
`--resume auto` until it has ended; then comes the next run. The second run has its TMPDIR on another file system. In
the last one the disk is full when it saves: it has to say so, and go on when there is room again (needs the right to
mount).
Prints one line of JSON for each run, and the sums.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

UPDATES, INTERVAL = 60, 5  # of a training, and between its checkpoints
ROOT = Path(__file__).parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--other_file_system", type=Path, default=Path("/dev/shm"), help="for one run's TMPDIR")
    arguments = parser.parse_args()
    generator = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        demo = [sys.executable, str(ROOT / "data_scripts" / "demo.py"), str(folder / "demo")]
        subprocess.run(demo, check=True, stdout=subprocess.DEVNULL)
        start = time.perf_counter()
        Training(folder, folder / "undisturbed").finish()
        seconds = time.perf_counter() - start
        expected = weights(folder / "undisturbed")
        rows: list[dict[str, Any]] = []
        while sum(row["kills"] for row in rows) < arguments.kills:
            number = len(rows) + 1
            other = arguments.other_file_system if number == 2 else None
            training = Training(folder, folder / f"run{number}", other)
            left = arguments.kills - sum(row["kills"] for row in rows)
            surplus = sum(2 * row["while_saving"] - row["kills"] for row in rows)  # of kills while it saved
            row = training.torment(generator, seconds, left, surplus)
            rows.append(row | {"same_weights": same(weights(training.run_dir), expected)})
            print(json.dumps({"run": number, "tmpdir": str(other) if other else "as it is", **rows[-1]}), flush=True)
        full = fill_the_disk(folder, expected)
        print(json.dumps({"run": "full disk", **full}), flush=True)
    sums = {key: sum(row[key] for row in rows) for key in ("kills", "while_saving", "same_weights")}
    print(json.dumps({"runs": len(rows), **sums}))
    if not all(row["same_weights"] for row in rows) or full.get("same_weights") is False:
        sys.exit("a run ended with other weights")


class Training:
    """`seq2seq fit` of a transformer whose checkpoints of some 60 MB take a while to write."""

    def __init__(self, folder: Path, run_dir: Path, tmpdir: Path | None = None) -> None:
        self.run_dir = run_dir
        self.checkpoints = run_dir / "checkpoints"
        options = {
            "model": "transformer",
            "model.dropout": 0.2,
            "data.src_lang": "de",
            "data.tgt_lang": "en",
            "data.train": folder / "demo" / "train",
            "data.valid": folder / "demo" / "valid",
            "data.tokenizer.vocab_size": 1000,
            "data.max_tokens_per_batch": 400,
            "trainer.max_steps": UPDATES,
            "trainer.val_check_interval": INTERVAL,
            "trainer.limit_val_batches": 1,
            "resume": "auto",
            "run_dir": run_dir,
        }
        flat = [f"--{name}={value}" for name, value in options.items()]
        self.command = [sys.executable, "-m", "seq2seq.cli", "fit", *flat]
        self.environment = os.environ | {"SEQ2SEQ_CACHE": str(folder / "cache"), "PYTHONPATH": str(ROOT)}
        if tmpdir is not None:
            self.environment |= {"TMPDIR": str(tmpdir)}

    def start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(self.command, env=self.environment, stderr=subprocess.PIPE, text=True)

    def finish(self) -> None:
        process = self.start()
        _, said = process.communicate()
        if process.returncode:
            sys.exit(f"fit ended with {process.returncode}: {said.strip().splitlines()[-1]}")

    def torment(self, generator: random.Random, seconds: float, most_kills: int, surplus: int) -> dict[str, Any]:
        """Kill it until it ends before it is killed, or has been often enough."""
        kills = while_saving = 0
        while kills < most_kills:
            process = self.start()
            if surplus + 2 * while_saving - kills <= 0:
                is_saving = self._wait_for_save(process, generator)
            else:
                time.sleep(generator.uniform(0, seconds))
                is_saving = False
            process.kill()
            process.communicate()
            if process.returncode == 0:
                break
            kills += 1
            while_saving += is_saving and any(self.checkpoints.glob("*.partial"))
        self.finish()
        return {"kills": kills, "while_saving": while_saving}

    def _wait_for_save(self, process: "subprocess.Popen[str]", generator: random.Random) -> bool:
        """Until one of the next saves is under way; False if the training ended first."""
        for _ in range(generator.randint(1, 4)):
            for _ in iter(lambda: any(self.checkpoints.glob("*.partial")), True):
                if process.poll() is not None:
                    return False
            before = time.perf_counter()
            pause = generator.uniform(0, 0.05)
            while time.perf_counter() - before < pause:
                pass
        return True


def fill_the_disk(folder: Path, expected: dict[str, torch.Tensor]) -> dict[str, Any]:
    """A run on a small file system, on which there is no room for its second checkpoint."""
    disk = folder / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(disk)], capture_output=True).returncode:
        return {"skipped": "no right to mount a small file system"}
    try:
        training = Training(folder, disk / "run")
        process = training.start()
        while not (training.checkpoints / "last.ckpt").exists() and process.poll() is None:
            time.sleep(0.01)
        filler = disk / "filler"
        try:
            with filler.open("wb") as file:
                while True:
                    file.write(bytes(1 << 20))
        except OSError:
            pass
        _, said = process.communicate()
        row = {"exit": process.returncode, "says": said.strip().splitlines()[-1]}
        row["left_behind"] = [path.name for path in training.checkpoints.glob("*.partial")]
        filler.unlink()
        training.finish()
        return row | {"same_weights": same(weights(training.run_dir), expected)}
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def weights(run_dir: Path) -> dict[str, torch.Tensor]:
    path = run_dir / "checkpoints" / "last.ckpt"
    content: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    return content


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


if __name__ == "__main__":
    main()
