"""The command line of `seq2seq fit`: its options beside those of model, data and trainer, and reading them."""

import logging
import sys
import warnings
from typing import Any, Literal, TypeVar

import yaml
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from seq2seq.datamodule import TranslationDataModule
from seq2seq.training.budget import Budget
from seq2seq.training.configuration import PARSER_MODE, Parser, long_form
from seq2seq.training.module import TranslationModule

CLI = TypeVar("CLI", bound=LightningCLI)


def read_configuration(argv: list[str]) -> "Configuration":
    """What a command line says, with nothing done of it."""
    return command_line(Configuration, argv)


def command_line(kind: type[CLI], argv: list[str]) -> CLI:
    """The command line `argv`, read as LightningCLI's subclass `kind` reads it.

    Raises:
        ValueError: an object of ours cannot be made with the values that it names.
    """
    _quieten()
    try:
        return kind(
            TranslationModule,
            TranslationDataModule,
            subclass_mode_model=True,
            run=False,
            args=long_form(argv),
            seed_everything_default=1,
            save_config_callback=None,
            parser_class=Parser,
            parser_kwargs={
                "parser_mode": PARSER_MODE,
                "prog": "seq2seq fit",
                "description": _DESCRIPTION,
                "allow_abbrev": False,  # or --trainer.max_step would be taken for one of the options it begins
            },
            trainer_defaults={
                "gradient_clip_val": 1.0,
                "use_distributed_sampler": False,  # the batch sampler shares the batches out itself
                "enable_progress_bar": sys.stderr.isatty(),
                "enable_model_summary": False,
                "max_epochs": -1,  # until max_steps or patience end it; for Lightning 1000 epochs would be the end
                "log_every_n_steps": 50,
            },
        )
    except ValueError as error:
        if isinstance(error.__cause__, ValueError):  # what a class of ours says of its values; jsonargparse reports it
            raise error.__cause__ from None
        raise


_DESCRIPTION = """\
Train a translation model and write it to a run folder.

Example: seq2seq fit --config configs/demo/transformer.yaml --model.d_model 128 --trainer.max_steps 1000
Every option can stand in a configuration file or here; what stands later wins. --print_config shows them all.
"""


class FitOptions(LightningCLI):
    """The command line of `seq2seq fit`."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--run_dir", type=str | None, help="the run's folder (default: runs/ + the config's name)")
        parser.add_argument("--overwrite", type=bool, default=False, help="start anew in a folder that holds a run")
        parser.add_argument(
            "--resume", type=str | None, help="go on from this checkpoint, or: auto, the newest whole one of the run"
        )
        parser.add_argument(
            "--monitor", type=Literal["valid_bleu", "valid_loss"], default="valid_bleu", help="what best means"
        )
        parser.add_argument(
            "--patience", type=int, default=0, help="stop after so many validations without a better one; 0: never"
        )
        parser.add_argument("--keep_best", type=int, default=1, help="so many of the best checkpoints are kept")
        parser.add_argument(
            "--keep_last",
            type=int,
            default=1,
            help="so many of the latest checkpoints are kept: for seq2seq average, as those of --keep_best",
        )
        parser.add_argument(
            "--ema_decay",
            type=float,
            default=0.0,
            help="validate and keep an exponential moving average of the weights, such as 0.999; 0: the weights",
        )
        parser.add_argument("--budget", type=Budget, default=Budget(), help="what the training may spend")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        self.config = parser.parse_args(args)  # without the warning of Lightning's own


class Configuration(FitOptions):
    """All that a command line says: `model` and `datamodule`, made as it says, and nothing on disk."""

    def instantiate_trainer(self, **kwargs: Any) -> None:  # type: ignore[override]
        """None: there is nothing to train."""

    def as_dict(self) -> dict[str, Any]:
        """The complete configuration, as config.yaml of a run holds it."""
        content: dict[str, Any] = yaml.safe_load(self.parser.dump(self.config, skip_none=False))
        return content


def _is_news(record: logging.LogRecord) -> bool:
    """Whether Lightning says something that is neither an advertisement nor said by us in other words."""
    message = record.getMessage()
    unasked = ("💡", "TPU available", "KeyboardInterrupt", "to estimate number of stepping batches")
    return not any(words in message for words in unasked)


def _quieten() -> None:
    """Silence warnings about what is meant so."""
    for message in (
        ".*WeightAveraging callback with a model that overrides.*",  # no layer is sharded
        ".*does not have many workers.*",  # batches are ready-made in the cache
        ".*smaller than the logging interval.*",  # the interval counts updates, whatever the epoch
        ".*sync_dist=True.*",  # the sums over the ranks are taken before logging
        ".*FSDP2-wrapped module.*returned a view.*",  # nothing is written into it
        ".*Experiment logs directory.*exists and is not empty.*",
        ".*Checkpoint directory.*exists and is not empty.*",
        ".*`srun` command is available.*",  # a machine of a cluster can be trained on as any other
        ".*`isinstance\\(treespec, LeafSpec\\)` is deprecated.*",
    ):
        warnings.filterwarnings("ignore", message)
    for logger in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.rank_zero"):
        logging.getLogger(logger).addFilter(_is_news)
