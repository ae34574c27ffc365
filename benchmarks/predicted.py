"""What `seq2seq doctor` predicts for an update, and what `seq2seq fit` then takes.

    OMP_NUM_THREADS=1 python benchmarks/predicted.py configs/demo/lstm.yaml --updates 444 --every 222

Seconds of the processor's time of this program, so that other programs count less; on a GPU they would mean nothing.
The data must be where the configuration looks for it. Prints one line of JSON for each configuration: the predicted
seconds of an update and of a validation, and those between validations.
"""

import argparse
import csv
import json
import tempfile
import time
from itertools import pairwise
from pathlib import Path

time.perf_counter = time.process_time  # before anybody else reads it

from seq2seq import cli  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="+", metavar="CONFIG")
    parser.add_argument("--updates", type=int, default=444)
    parser.add_argument("--every", type=int, default=222, help="updates between validations")
    arguments = parser.parse_args()
    for config in arguments.configs:
        with tempfile.TemporaryDirectory() as folder:
            found, run = Path(folder, "found.json"), Path(folder, "run")
            length = ["--trainer.max_steps", str(arguments.updates), "--trainer.check_val_every_n_epoch=null"]
            length += ["--trainer.val_check_interval", str(arguments.every)]
            if cli.main(["doctor", config, *length, "--json", str(found)]) == 2:
                raise SystemExit(f"{config} has errors")
            predicted = json.loads(found.read_text())["sections"][-1]["figures"]
            cli.main(["fit", "--config", config, *length, "--run_dir", str(run)])
            with (run / "metrics.csv").open() as file:
                rows = [row for row in csv.DictReader(file) if row["valid_bleu"]]
            seconds = [0.0, *(60 * float(row["train_minutes"]) for row in rows)]
            training = json.loads((run / "model" / "config.json").read_text())["training"]
        row = {
            "config": config,
            "predicted_update_s": round(predicted["batch_s"], 3),
            "update_s": [round((b - a) / arguments.every, 3) for a, b in pairwise(seconds)],
            "predicted_validation_s": round(predicted["validation_s"], 2),
            "validation_s": round(60 * training["minutes_in_validations"] / len(rows), 2),
        }
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
