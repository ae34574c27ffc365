"""`seq2seq average`: the mean of a run's best or last checkpoints as a model of its own."""

import shutil
from pathlib import Path
from typing import Literal

from seq2seq.commands.arguments import Parser

DESCRIPTION = """\
Writes the mean of the weights of a run's K best or last checkpoints as a new model, usually a better one than each of
them. The run must have kept them: seq2seq fit --keep_best K, or --keep_last K. Prints the folder, which translate and
test take as their MODEL."""


def main(argv: list[str]) -> None:
    """Average as `argv` says."""
    parser = Parser("average", DESCRIPTION)
    parser.add_argument("run", metavar="RUN", help="folder of a finished run")
    parser.add_argument("--best", type=int, metavar="K", help="the K checkpoints with the best validations")
    parser.add_argument("--last", type=int, metavar="K", help="the K latest checkpoints")
    parser.add_argument("--output_dir", metavar="DIR", help="where to write; default RUN-bestK or RUN-lastK")
    arguments = parser.parse(argv)
    if (arguments.best is None) == (arguments.last is None):
        raise ValueError("give either --best K or --last K")
    which: Literal["best", "last"] = "last" if arguments.best is None else "best"
    count: int = getattr(arguments, which)
    if count < 2:
        raise ValueError(f"--{which} is {count}; it must be at least 2, for the mean of one is that one")
    run = Path(arguments.run)
    folder = Path(arguments.output_dir or run.with_name(f"{run.resolve().name}-{which}{count}"))
    if folder.exists():
        raise ValueError(f"{folder} is there already; give another --output_dir, or delete it")

    from seq2seq.bundle import load_bundle, save_bundle
    from seq2seq.checkpoints import kept, mean_weights, read_checkpoint

    bundle = load_bundle(run)
    paths = kept(run / "checkpoints", which, count)
    bundle.model.load_state_dict(mean_weights(paths))
    config = bundle.config
    of_one = ("best_at_update", "epoch", "valid_bleu", "valid_loss")
    training = {name: value for name, value in config["training"].items() if name not in of_one}
    save_bundle(
        folder / "model",
        bundle.model,
        architecture=config["architecture"],
        model_config=config["model"],
        tokenizers=bundle.tokenizers,
        src_lang=config["src_lang"],
        tgt_lang=config["tgt_lang"],
        training=training | {"averaged_updates": [read_checkpoint(path)["global_step"] for path in paths]},
    )
    shutil.copy(run / "config.yaml", folder)  # `seq2seq test` finds the test sets there
    print(folder)
