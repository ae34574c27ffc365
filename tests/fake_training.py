"""A program in place of `seq2seq fit` and `seq2seq test`, for the tests of who starts, watches and ends them.

Trains for as many steps of 0.05 s as FOLDER.steps says, with a validation after each; SIGINT makes it save its state
and end with 130. Fails at once as long as there is a file FOLDER.broken, and in a folder in which another is at work.
Says in FOLDER.history what it was asked for.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path


def main(command: str, name: str, *options: str) -> None:
    folder = Path(name)

    def beside(ending: str) -> Path:
        return folder.with_name(folder.name + ending)

    beside(".process").write_text(str(os.getpid()))
    with beside(".history").open("a") as history:
        history.write(" ".join([command, *options]) + "\n")
    if command == "test":
        (folder / "test").mkdir(exist_ok=True)
        (folder / "test" / "one.json").write_text("{}")
        return
    last, steps = folder / "checkpoints" / "last.ckpt", int(beside(".steps").read_text())
    last.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.close(os.open(folder / "alone", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        sys.exit("two trainings in one folder")
    if beside(".broken").exists():
        os.unlink(folder / "alone")
        print("a traceback\nseq2seq: error: there is no corpus", file=sys.stderr)
        sys.exit(2)
    beside(".environment").write_text(json.dumps(dict(os.environ)))
    (folder / "config.yaml").write_text(beside(".config").read_text())
    is_ended = []
    signal.signal(signal.SIGINT, lambda *_: is_ended.append(True))
    assert "--resume=auto" in options
    done = int(last.read_text()) if last.exists() else 0
    while done < steps and not is_ended:
        time.sleep(0.05)
        done += 1
        with (folder / "metrics.csv").open("a") as metrics:
            if metrics.tell() == 0:
                metrics.write("step,target_tokens,train_minutes,valid_bleu,valid_loss,budget_used\n")
            metrics.write(f"{done - 1},{done * 10},{done / 2},{done},{1 / done},{done / steps}\n")
        if done % 3 == 0 or is_ended:
            last.with_name("new").write_text(str(done))
            os.replace(last.with_name("new"), last)
    os.unlink(folder / "alone")
    if is_ended:
        print("seq2seq: interrupted; the same command goes on", file=sys.stderr)
        sys.exit(130)
    (folder / "model").mkdir(exist_ok=True)
    training = {"updates": done, "minutes_in_updates": 1.5, "valid_bleu": 20.25}
    (folder / "model" / "config.json").write_text(json.dumps({"training": training}))


if __name__ == "__main__":
    main(*sys.argv[1:])
