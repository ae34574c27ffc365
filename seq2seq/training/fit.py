"""`seq2seq fit`: a configuration becomes a run folder (see run_folder.py) with a finished model in it."""

import signal
import sys
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.callbacks.weight_averaging import WeightAveraging
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy, ParallelStrategy
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from torch.optim.swa_utils import get_ema_multi_avg_fn

from seq2seq.audit.overlap import MOST_SHARED
from seq2seq.checkpoints import fingerprint, is_whole, newest_whole, read_checkpoint
from seq2seq.device_memory import keep_memory
from seq2seq.training.budget import Meter
from seq2seq.training.callbacks import (
    DivergedError,
    EndAtDivergence,
    EndBetweenUpdates,
    ProgressBar,
    TrainingLog,
    ValidationAtTheEnd,
    ValidationReport,
)
from seq2seq.training.checkpoints import AtomicCheckpointIO, refuse_another_run
from seq2seq.training.configuration import CLASS_PATHS
from seq2seq.training.heap import GiveBack
from seq2seq.training.hosts import PATIENCE, lost_connection, refuse_differences, started_by_torchrun, waiting_for_all
from seq2seq.training.options import FitOptions, command_line
from seq2seq.training.origin import origin, peak_memory_bytes, versions
from seq2seq.training.run_folder import begin_folder, write_model
from seq2seq.training.settings import by_name, examine, refuse_or_warn
from seq2seq.training.sharding import FullySharded
from seq2seq.training.slurm import under_slurm


def main(argv: list[str]) -> int:
    """Train as the configuration says. Returns the exit code."""
    keep_memory()
    return command_line(FitCLI, argv).fit()


class FitCLI(FitOptions):
    """LightningCLI with a run folder, best and last checkpoints, early stopping and the bundle at the end."""

    def before_instantiate_classes(self) -> None:
        config = self.config
        refuse_or_warn(examine(by_name(config.as_dict())))
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
        folder = self.run_dir / "checkpoints"
        # At the end of an epoch Lightning would take it for finished, also where the last update comes in its middle.
        after_validations: dict[str, Any] = dict(save_on_train_epoch_end=False, enable_version_counter=False)
        self.best = ModelCheckpoint(
            folder,
            filename="best" if self.config.keep_best == 1 else "best-{step}",
            monitor=self.config.monitor,
            mode=mode,
            save_top_k=self.config.keep_best,
            auto_insert_metric_name=False,
            **after_validations,
        )
        latest = ModelCheckpoint(
            folder,
            filename="update-{step}",
            monitor="step",
            mode="max",
            save_top_k=self.config.keep_last,
            auto_insert_metric_name=False,
            **after_validations,
        )
        # A callback of its own: `save_last` of the other one saves only when there is a new best.
        last = ModelCheckpoint(folder, filename="last", save_on_exception=True, **after_validations)
        callbacks: list[Callback] = [
            self.meter,
            EndAtDivergence(),
            ValidationAtTheEnd(),
            ValidationReport(self.meter),
            self.best,
            *([latest] if self.config.keep_last > 1 else []),
            last,
            GiveBack(),
            self.interrupt,
        ]
        if self.config.ema_decay:
            # Before the validation's callbacks, which are to see the average.
            average = get_ema_multi_avg_fn(self.config.ema_decay)
            callbacks.insert(0, WeightAveraging(use_buffers=False, multi_avg_fn=average))
        if self.config.patience > 0:
            callbacks.append(
                EarlyStopping(
                    self.config.monitor, mode=mode, patience=self.config.patience, check_on_train_epoch_end=False
                )
            )
        callbacks.append(ProgressBar() if self.config.trainer.enable_progress_bar else TrainingLog(self.meter))
        loggers = [
            CSVLogger(self.run_dir, name="", version=""),
            TensorBoardLogger(self.run_dir, name="", version="tensorboard"),
        ]
        config = {**self._get(self.config_init, "trainer", default={}), **kwargs}
        config["callbacks"] = [*(config.get("callbacks") or []), *callbacks]
        config["logger"] = loggers if config.get("logger") in (None, True) else config["logger"]
        config.update(under_slurm(config))
        config["plugins"] = [*(config.get("plugins") or []), self.checkpoint_io]
        config["default_root_dir"] = str(self.run_dir)
        config.update(started_by_torchrun(config["num_nodes"], config["devices"]))
        if config["strategy"] == "fsdp":
            # Weights that a validation gathered in inference mode could not be trained with afterwards.
            config.update(strategy=FullySharded(timeout=PATIENCE), inference_mode=False)
        elif config["strategy"] in ("auto", "ddp") and config["num_nodes"] > 1:
            config.update(strategy=DDPStrategy(timeout=PATIENCE))
        if budget.updates is not None:
            config["max_steps"] = budget.updates
        try:
            return L.Trainer(**config)
        except (MisconfigurationException, ValueError) as error:  # such as GPUs that nobody gave to the container
            raise ValueError(f"Lightning cannot make such a trainer: {error}") from None

    def fit(self) -> int:
        """Train, and write the bundle of the best weights. Returns the exit code."""
        self.model.share_done = self.meter.share
        try:
            self._begin()
            self.trainer.fit(self.model, datamodule=self.datamodule, ckpt_path=self.checkpoint)
        except DivergedError:
            if self.trainer.is_global_zero and self.best.best_model_path:
                self._write_bundle()
            raise
        except RuntimeError as error:
            reason = lost_connection(error)
            if reason is None:
                raise
            raise ValueError(
                f"another process has ended or cannot be reached ({reason}); what it says stands in its own output. "
                "The same command on all hosts with --resume auto goes on from the last checkpoint"
            ) from error
        except (MisconfigurationException, ValueError) as error:
            if not _is_lightnings(error):
                raise
            raise ValueError(f"Lightning cannot train so: {' '.join(str(error).split())}") from error
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

    def _begin(self) -> None:
        """Prepare the data, check that all belongs together, begin the run folder: what is wrong leaves none behind."""
        strategy = self.trainer.strategy
        if not isinstance(strategy, ParallelStrategy) or isinstance(strategy.cluster_environment, LightningEnvironment):
            if self.trainer.is_global_zero:  # and alone: others will be started by the trainer's `fit`
                self._begin_run()
            return
        # torchrun or srun has started all processes. They meet now, not in the trainer's `fit`, so that none waits in
        # vain for another that an error has ended.
        strategy.connect(self.model)
        strategy.setup_environment()
        with waiting_for_all() as wait:
            refuse_differences(strategy, self._configured())
            self.datamodule.prepare_data()
            wait()
            refuse_differences(strategy, self.datamodule.hashes())
            if self.trainer.is_global_zero:
                self._begin_run()

    def _begin_run(self) -> None:
        self.datamodule.prepare_data()
        self.model.identity = self._identity()
        earlier = None
        if self.checkpoint is not None:
            earlier = read_checkpoint(self.checkpoint)
            refuse_another_run(self.checkpoint, before=earlier.get("seq2seq", {}), now=self.model.identity)
        for name, found, total in self.datamodule.shared_with_train():
            if found > MOST_SHARED * total:
                print(
                    f"seq2seq: warning: {found:,} of {total:,} pairs of {name} stand in train, so scores on them are "
                    "too good; seq2seq doctor shows which",
                    file=sys.stderr,
                )
        config = self.config.clone()
        config.resume, config.overwrite = None, False
        text = self.parser.dump(config, skip_none=False)
        begin_folder(self.run_dir, text, origin(self.datamodule, self.trainer), earlier, self.trainer.loggers)

    def _configured(self) -> dict[str, Any]:
        """What all hosts must have alike; their folders may lie in different places."""
        of_a_host = ["config", "run_dir"]
        of_a_host += [f"data.{name}" for name in ("train", "valid", "tests", "tokenizer.path", "cache_dir")]
        checkpoint = "missing"
        if self.checkpoint is not None:
            checkpoint = f"{self.checkpoint.name} ({fingerprint(self.checkpoint)[:12]})"
        return {
            **versions(),
            **{name: str(value) for name, value in vars(self.config.as_flat()).items() if name not in of_a_host},
            "the checkpoint to go on from": checkpoint,
        }

    def _identity(self) -> dict[str, Any]:
        """What a checkpoint depends on: other text or batches would give its place in the data another meaning."""
        data = self.datamodule
        return {
            "data.streaming": data.streaming,  # before the hashes, which it changes
            **data.hashes(),
            "architecture": self.model.architecture,
            **{f"model.{name}": value for name, value in self.model.model_config.items()},
            "data.max_tokens_per_batch": data.max_tokens_per_batch,
            "data.pad_to_multiple_of": data.pad_to_multiple_of,
            "data.max_length": data.max_length,
            "data.seed": data.seed,
            "number of devices": self.trainer.world_size,
            "sharded weights": isinstance(self.trainer.strategy, FullySharded),
        }

    def _write_bundle(self) -> None:
        score = self.best.best_model_score
        training = {
            "minutes": round(self.meter.minutes, 3),  # wall-clock, validations included
            "minutes_in_updates": round(self.meter.seconds / 60, 3),
            "minutes_in_validations": round(self.meter.validation_seconds / 60, 3),
            "minutes_in_checkpoints": round(self.checkpoint_io.seconds / 60, 3),
            "target_tokens": self.meter.target_tokens,
            "flops": self.meter.flops,
            "peak_memory_bytes": peak_memory_bytes(self.trainer.strategy.root_device),
            self.config.monitor: None if score is None else round(float(score), 4),
            "seed": self.config.seed_everything,
        }
        write_model(self.run_dir, Path(self.best.best_model_path), self.model, self.datamodule, training)


def _is_lightnings(error: Exception) -> bool:
    """Whether Lightning has raised it, such as for a share of batches that is less than one."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback is not None and traceback.tb_frame.f_globals["__name__"].startswith("lightning.")
