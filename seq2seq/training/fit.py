"""`seq2seq fit`: a configuration becomes a run folder with a finished model in it.

config.yaml     the configuration of this run, complete
origin.json     machine, versions, hashes of the data: what a configuration does not say
checkpoints/    best.ckpt and last.ckpt: Lightning's, for going on only
metrics.csv     all figures; tensorboard/ has the same and the sample translations
model/          the bundle of the best weights: what every other command reads
"""

import ctypes
import json
import logging
import shutil
import signal
import sys
import warnings
from pathlib import Path
from typing import Any, Literal, TypeVar

import lightning as L
import torch
import yaml
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.callbacks.weight_averaging import WeightAveraging
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from torch.optim.swa_utils import get_ema_multi_avg_fn

from seq2seq.bundle import save_bundle
from seq2seq.datamodule import TranslationDataModule
from seq2seq.training.budget import Budget, Meter
from seq2seq.training.callbacks import EndBetweenUpdates, ProgressBar, ValidationAtTheEnd, ValidationReport
from seq2seq.training.checkpoints import AtomicCheckpointIO, is_whole, metrics_until, newest_whole, refuse_another_run
from seq2seq.training.configuration import CLASS_PATHS, PARSER_MODE, Parser, long_form
from seq2seq.training.module import TranslationModule
from seq2seq.training.origin import origin, peak_memory_bytes

CLI = TypeVar("CLI", bound=LightningCLI)


def main(argv: list[str]) -> int:
    """Train as the configuration says. Returns the exit code."""
    keep_memory()
    _quieten()
    return _command_line(FitCLI, argv).fit()


def read_configuration(argv: list[str]) -> "Configuration":
    """What a command line says, with nothing done of it."""
    _quieten()
    return _command_line(Configuration, argv)


def _command_line(kind: type[CLI], argv: list[str]) -> CLI:
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


class FitCLI(FitOptions):
    """LightningCLI with a run folder, best and last checkpoints, early stopping and the bundle at the end."""

    def before_instantiate_classes(self) -> None:
        config = self.config
        if not 0 <= config.ema_decay < 1:
            raise ValueError(f"ema_decay is {config.ema_decay}; it must lie between 0 (off) and 1, such as 0.999")
        self.run_dir = Path(config.run_dir or Path("runs") / self._name())
        config.run_dir = str(self.run_dir)
        if config.resume == "auto":
            self.checkpoint = newest_whole(self.run_dir / "checkpoints")
        else:
            self.checkpoint = config.resume and Path(config.resume)
        if self.checkpoint is not None and not is_whole(self.checkpoint):
            what = "is no whole checkpoint" if self.checkpoint.is_file() else "is not there"
            raise FileNotFoundError(f"{self.checkpoint} {what}; --resume auto goes on from the newest whole one")
        # Only the first process looks: the others start when it has already begun to write.
        is_used = (self.run_dir / "model").exists() or any(self.run_dir.glob("checkpoints/*.ckpt"))
        is_first = getattr(rank_zero_only, "rank", 0) == 0
        if is_first and is_used and not (config.overwrite or config.resume):
            raise ValueError(
                f"{self.run_dir} already holds a run; give another --run_dir, or --resume auto to go on with it, or "
                "--overwrite true to start anew"
            )

    def _name(self) -> str:
        """Of the configuration file, or else of the architecture."""
        files = self.config.get("config") or []
        if files:
            return Path(str(files[-1])).stem
        return {path: name for name, path in CLASS_PATHS.items()}.get(self.config.model.class_path, "run")

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        budget = self._get(self.config_init, "budget")
        self.meter = Meter(budget)
        self.checkpoint_io = AtomicCheckpointIO()
        self.interrupt = EndBetweenUpdates()
        mode = "max" if self.config.monitor == "valid_bleu" else "min"
        self.best = ModelCheckpoint(
            self.run_dir / "checkpoints",
            filename="best",
            monitor=self.config.monitor,
            mode=mode,
            enable_version_counter=False,
        )
        # A callback of its own: `save_last` of the other one saves only when there is a new best.
        last = ModelCheckpoint(
            self.run_dir / "checkpoints", filename="last", enable_version_counter=False, save_on_exception=True
        )
        callbacks: list[Callback] = [
            self.meter,
            ValidationAtTheEnd(),
            ValidationReport(self.meter),
            self.best,
            last,
            self.interrupt,
        ]
        if self.config.ema_decay:
            # Before the validation's callbacks, which are to see the average.
            average = get_ema_multi_avg_fn(self.config.ema_decay)
            callbacks.insert(0, WeightAveraging(use_buffers=False, multi_avg_fn=average))
        if self.config.patience > 0:
            callbacks.append(EarlyStopping(self.config.monitor, mode=mode, patience=self.config.patience))
        if self.config.trainer.enable_progress_bar:
            callbacks.append(ProgressBar())
        loggers = [
            CSVLogger(self.run_dir, name="", version=""),
            TensorBoardLogger(self.run_dir, name="", version="tensorboard"),
        ]
        config = {**self._get(self.config_init, "trainer", default={}), **kwargs}
        config["callbacks"] = [*(config.get("callbacks") or []), *callbacks]
        config["logger"] = loggers if config.get("logger") in (None, True) else config["logger"]
        config["plugins"] = [*(config.get("plugins") or []), self.checkpoint_io]
        config["default_root_dir"] = str(self.run_dir)
        if budget.updates is not None:
            config["max_steps"] = budget.updates
        return L.Trainer(**config)

    def fit(self) -> int:
        """Train, and write the bundle of the best weights. Returns the exit code."""
        if self.trainer.is_global_zero:
            self.datamodule.prepare_data()  # what is wrong with the data leaves no run folder behind
            self.model.identity = self._identity()
            earlier = None
            if self.checkpoint is not None:
                earlier = torch.load(self.checkpoint, map_location="cpu", weights_only=True, mmap=True)
                refuse_another_run(self.checkpoint, before=earlier.get("seq2seq", {}), now=self.model.identity)
            self._begin_folder(0 if earlier is None else earlier["global_step"])
        self.model.share_done = self.meter.share
        try:
            self.trainer.fit(self.model, datamodule=self.datamodule, ckpt_path=self.checkpoint)
        except SystemExit:  # how Lightning answers KeyboardInterrupt, after it has saved last.ckpt
            if not self.trainer.interrupted:
                raise
        if self.trainer.is_global_zero and self.best.best_model_path:
            self._write_bundle()
        if self.trainer.interrupted:
            where = f"--resume auto --run_dir {self.run_dir}"
            has_begun = (self.run_dir / "checkpoints" / "last.ckpt").exists()
            hint = f"the same command with {where} goes on" if has_begun else "training had not begun"
            print(f"seq2seq: interrupted; {hint}", file=sys.stderr)
            return 128 + (self.interrupt.signal or signal.SIGINT)  # as shells count
        return 0

    def _identity(self) -> dict[str, Any]:
        """What a checkpoint depends on: other text or batches would give its place in the data another meaning."""
        data = self.datamodule
        return {
            **data.hashes(),
            "architecture": self.model.architecture,
            **{f"model.{name}": value for name, value in self.model.model_config.items()},
            "data.max_tokens_per_batch": data.max_tokens_per_batch,
            "data.max_length": data.max_length,
            "data.seed": data.seed,
            "number of devices": self.trainer.world_size,
        }

    def _begin_folder(self, updates: int) -> None:
        """Leave nothing of an older run but what this goes on with, and write the configuration that repeats it.

        Args:
            updates: done when the checkpoint that this goes on from was written.
        """
        metrics = self.run_dir / "metrics.csv"
        if self.checkpoint is None:
            for name in ("checkpoints", "tensorboard", "model", "test"):
                shutil.rmtree(self.run_dir / name, ignore_errors=True)
            metrics.unlink(missing_ok=True)
        self.run_dir.mkdir(parents=True, exist_ok=True)
        config = self.config.clone()
        config.resume, config.overwrite = None, False
        text = self.parser.dump(config, skip_none=False)
        (self.run_dir / "config.yaml").write_text(text, encoding="utf-8")
        found = origin(self.datamodule, self.trainer)
        (self.run_dir / "origin.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        if metrics.exists():  # Lightning's logger begins by deleting it; it should go on
            earlier = metrics_until(metrics.read_bytes(), updates)
            for logger in self.trainer.loggers:
                if isinstance(logger, CSVLogger):
                    writer = logger.experiment
                    metrics.write_bytes(earlier)
                    writer.metrics_keys = earlier.split(b"\r\n")[0].decode().split(",")

    def _write_bundle(self) -> None:
        checkpoint = torch.load(self.best.best_model_path, map_location="cpu", weights_only=True)
        self.model.load_state_dict(checkpoint["state_dict"])
        network = self.model.model
        score = self.best.best_model_score
        src_lang, tgt_lang = self.datamodule.langs
        training = {
            "updates": self.trainer.global_step,
            "best_at_update": checkpoint["global_step"],
            "epoch": checkpoint["epoch"] + 1,
            "minutes": round(self.meter.minutes, 3),  # wall-clock, validations included
            "minutes_in_updates": round(self.meter.seconds / 60, 3),
            "minutes_in_validations": round(self.meter.validation_seconds / 60, 3),
            "minutes_in_checkpoints": round(self.checkpoint_io.seconds / 60, 3),
            "target_tokens": self.meter.target_tokens,
            "flops": self.meter.flops,
            "peak_memory_bytes": peak_memory_bytes(self.trainer.strategy.root_device),
            "parameters": sum(p.numel() for p in network.parameters()),
            self.config.monitor: None if score is None else round(float(score), 4),
            "seed": self.config.seed_everything,
        }
        save_bundle(
            self.run_dir / "model",
            network,
            architecture=self.model.architecture,
            model_config=self.model.model_config,
            tokenizers=self.datamodule.tokenizers,
            src_lang=src_lang,
            tgt_lang=tgt_lang,
            training=training,
        )
        figures = ", ".join(f"{key} {value}" for key, value in training.items())
        print(f"model in {self.run_dir / 'model'}: {figures}", file=sys.stderr)


def keep_memory() -> None:
    """Let glibc keep freed memory: by default it gives big blocks back, and each step faults them in again.

    A training step on a CPU takes 1.4 times as long otherwise. Other C libraries have no such call.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    m_mmap_max, m_trim_threshold = -4, -1  # names and numbers of malloc.h
    mallopt(m_mmap_max, 0)
    mallopt(m_trim_threshold, 2**31 - 1)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether Lightning says something that is neither an advertisement nor said by us in other words."""
    message = record.getMessage()
    return not ("💡" in message or "TPU available" in message or "KeyboardInterrupt" in message)


def _quieten() -> None:
    """Silence warnings about what is meant so."""
    for message in (
        ".*WeightAveraging callback with a model that overrides.*",  # no layer is sharded
        ".*does not have many workers.*",  # batches are ready-made in the cache
        ".*sync_dist=True.*",  # the sums over the ranks are taken before logging
        ".*Experiment logs directory.*exists and is not empty.*",
        ".*Checkpoint directory.*exists and is not empty.*",
        ".*`isinstance\\(treespec, LeafSpec\\)` is deprecated.*",
    ):
        warnings.filterwarnings("ignore", message)
    for logger in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.rank_zero"):
        logging.getLogger(logger).addFilter(_is_news)
