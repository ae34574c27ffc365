"""The benchmark for a GPU has to be ready when there is one: it runs in small on a CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_all_models_train_in_small_on_a_cpu() -> None:
    command = [sys.executable, "benchmarks/gpu.py", "--tiny", "--device=cpu", "--steps=4", "--num_workers=0"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [one["model"] for one in found] == ["transformer base", "transformer big", "attention", "lstm, GNMT's size"]
    for one in found:
        assert one["tokens_per_s"] > 0 and one["tflops_per_s"] > 0 and 0.5 < one["fill"] <= 1
        assert 0 <= one["idle"] < 1
