"""The folder of a run.

config.yaml     the configuration of this run, complete
origin.json     machine, versions, hashes of the data: what a configuration does not say
checkpoints/    last.ckpt and the best, or several of each: Lightning's, for going on and averaging only
metrics.csv     all figures; tensorboard/ has the same and the sample translations
model/          the bundle of the best weights: what every other command reads
"""

import json
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.loggers import CSVLogger, Logger

from seq2seq.bundle import save_bundle
from seq2seq.datamodule import TranslationDataModule
from seq2seq.models import ARCHITECTURES
from seq2seq.training.checkpoints import metrics_until
from seq2seq.training.module import TranslationModule


def begin_folder(
    folder: Path,
    config: str,
    origin: Mapping[str, Any],
    checkpoint: Mapping[str, Any] | None,
    loggers: Iterable[Logger],
) -> None:
    """Leave nothing of an older run but what this goes on with, and write the configuration that repeats it.

    Args:
        folder: of the run.
        config: complete, as YAML.
        origin: see origin.py.
        checkpoint: that this goes on from.
        loggers: of the trainer; what the one of metrics.csv has written up to the checkpoint stays.
    """
    metrics = folder / "metrics.csv"
    if checkpoint is None:
        for name in ("checkpoints", "tensorboard", "model", "test"):
            shutil.rmtree(folder / name, ignore_errors=True)
        metrics.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    (folder / "origin.json").write_text(json.dumps(origin, indent=1) + "\n", encoding="utf-8")
    if metrics.exists() and checkpoint is not None:  # Lightning's logger begins by deleting it; it should go on
        earlier = metrics_until(metrics.read_bytes(), checkpoint["global_step"], is_within="window" in checkpoint)
        for logger in loggers:
            if isinstance(logger, CSVLogger):
                writer = logger.experiment
                metrics.write_bytes(earlier)
                writer.metrics_keys = earlier.split(b"\r\n")[0].decode().split(",")


def write_model(
    folder: Path, best: Path, model: TranslationModule, data: TranslationDataModule, training: Mapping[str, Any]
) -> None:
    """Write the bundle of the best weights.

    Args:
        folder: of the run.
        best: the checkpoint with these weights.
        model: what was trained.
        data: on which.
        training: figures about the training for config.json of the bundle.
    """
    checkpoint = torch.load(best, map_location="cpu", weights_only=True)
    # A network of its own: of a sharded one this process holds a part.
    tokenizers = data.tokenizers
    sizes = tokenizers.src.vocab_size, tokenizers.tgt.vocab_size
    network = ARCHITECTURES[model.architecture](*sizes, **model.model_config)
    network.load_state_dict({name.removeprefix("model."): w for name, w in checkpoint["state_dict"].items()})
    training = {
        "updates": model.trainer.global_step,
        "best_at_update": checkpoint["global_step"],
        "epoch": checkpoint["epoch"] + 1,
        **training,
        "parameters": sum(p.numel() for p in network.parameters()),
    }
    src_lang, tgt_lang = data.langs
    save_bundle(
        folder / "model",
        network,
        architecture=model.architecture,
        model_config=model.model_config,
        tokenizers=tokenizers,
        src_lang=src_lang,
        tgt_lang=tgt_lang,
        training=training,
    )
    figures = ", ".join(f"{key} {value}" for key, value in training.items())
    print(f"model in {folder / 'model'}: {figures}", file=sys.stderr)
