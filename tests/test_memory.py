"""Batches that do not fit into the memory, and batches that fill it."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
import yaml

from seq2seq import cli
from seq2seq.batching import Batch
from seq2seq.datamodule import TokenizerConfig, TranslationDataModule
from seq2seq.models import ARCHITECTURES
from seq2seq.training import memory
from seq2seq.training.loss import cross_entropy_sum
from seq2seq.training.memory import tokens_that_fit
from seq2seq.training.schedules import Optimization
from seq2seq.training.systems import TransformerSeq2Seq
from tests.run_folder import checkpoint, error_of, figures
from tests.trainer_callbacks import LittleMemory, Recorder

ROOT = Path(__file__).parent.parent
V = 300


@pytest.fixture
def data(toy_config: Path) -> TranslationDataModule:
    config = yaml.safe_load(toy_config.read_text(encoding="utf-8"))["data"]
    return TranslationDataModule(**config | {"tokenizer": TokenizerConfig(**config["tokenizer"])})


def train(data: TranslationDataModule, little_memory: LittleMemory | None, **trainer: Any) -> Recorder:
    L.seed_everything(1, verbose=False)
    optimization = Optimization(optimizer="sgd", lr=0.5, warmup_steps=0, schedule="constant")
    sizes = dict(d_model=16, d_ff=32, num_heads=2, num_encoder_layers=1, num_decoder_layers=1, dropout=0)
    recorder = Recorder()
    L.Trainer(
        accelerator="cpu",
        precision="64-true",
        callbacks=[recorder, *([little_memory] if little_memory else [])],
        max_steps=6,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        **trainer,
    ).fit(TransformerSeq2Seq(**sizes, optimization=optimization), datamodule=data)  # type: ignore[arg-type]
    return recorder


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("accumulated", [1, 3])
def test_a_batch_that_does_not_fit_trains_in_pieces_as_it_would_whole(
    data: TranslationDataModule, accumulated: int, backward: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"accumulate_grad_batches": accumulated, "limit_val_batches": 0}
    whole = train(data, None, **settings)
    little_memory = LittleMemory(100, backward=backward)
    parts = train(data, little_memory, **settings)
    assert parts.rows == whole.rows
    for before, after in zip(whole.weights, parts.weights, strict=True):
        torch.testing.assert_close(after, before, rtol=0, atol=1e-12)
    assert "in 2 pieces" in capsys.readouterr().err
    too_large = [tokens for tokens in little_memory.tried if tokens > 100]
    assert 0 < len(too_large) < len(whole.rows) / 2, "it learns what does not fit"


def test_batches_in_pieces_are_counted(
    tmp_path: Path, toy_arguments: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT)
    little = ["--trainer.callbacks+=tests.trainer_callbacks.LittleMemory", "--trainer.callbacks.tokens=100"]
    assert cli.main(toy_arguments(tmp_path, *little, "--trainer.val_check_interval=4")) == 0
    counts = [float(count) for count in figures(tmp_path)["split_batches"] if count]
    assert counts == sorted(counts)
    assert counts[-1] > 4


def test_a_sentence_pair_that_does_not_fit_ends_the_training(data: TranslationDataModule) -> None:
    message = (
        r"^a sentence pair of \d+ and \d+ tokens does not fit into the memory; lower data\.max_length or the "
        r"sizes of the model$"
    )
    with pytest.raises(ValueError, match=message):
        train(data, LittleMemory(5), limit_val_batches=0)


# Filling it


def loss_sum_of(name: str, **sizes: Any) -> Callable[[Batch], torch.Tensor]:
    torch.manual_seed(1)
    model = ARCHITECTURES[name](V, V, **sizes)

    def loss_sum(batch: Batch) -> torch.Tensor:
        x_BTE = model.features(batch.src_BS, batch.src_key_padding_mask_BS, batch.tgt_in_BT)
        return cross_entropy_sum(x_BTE.flatten(0, 1), model.output_layer(), batch.tgt_out_BT.flatten())

    return loss_sum


SIZES: dict[str, dict[str, Any]] = {"lstm": {}, "attention": {}, "transformer": dict(d_ff=64, num_heads=2)}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_what_a_batch_needs_follows_a_straight_line(name: str) -> None:
    loss_sum = loss_sum_of(name, d_model=32, **SIZES[name])
    cpu = torch.device("cpu")

    def fitting(bytes_free: float) -> int:
        return tokens_that_fit(loss_sum, [], length=20, vocab_sizes=(V, V), device=cpu, bytes_free=bytes_free)

    tokens = fitting(50e6)
    assert tokens % 20 == 0
    needed, of_one_more = (
        memory.bytes_needed(loss_sum, [], memory._made_up(tokens // 20 + more, 20, (V, V), cpu)) for more in (0, 1)
    )
    assert needed <= 50e6 * 1.01
    assert of_one_more > 50e6 * 0.99
    assert fitting(100e6) == pytest.approx(2 * tokens, rel=0.1)
    assert fitting(1) == 20, "one sentence is tried in any case"


def test_attention_needs_more_memory_a_token_in_long_sentences() -> None:
    loss_sum = loss_sum_of("attention", d_model=32)
    cpu = torch.device("cpu")
    short, long = (
        tokens_that_fit(loss_sum, [], length=length, vocab_sizes=(V, V), device=cpu, bytes_free=100e6)
        for length in (10, 160)
    )
    assert long < 0.7 * short


def test_auto_fills_the_memory_and_goes_on_with_what_it_found(
    tmp_path: Path, toy_arguments: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(name: str, bytes_free: float, *options: str) -> int:
        monkeypatch.setattr("seq2seq.training.module.bytes_for_batches", lambda *_: bytes_free)
        auto = ["--data.max_tokens_per_batch=auto", "--trainer.val_check_interval=1"]
        assert cli.main(toy_arguments(tmp_path / name, *auto, *options)) == 0
        return int(checkpoint(tmp_path / name, "last")["TranslationDataModule"]["batch_tokens"])

    monkeypatch.setattr("seq2seq.datamodule._FEWEST_BATCHES", 4)
    little, much = train("little", 1e5, "--trainer.max_steps=5"), train("much", 1e9, "--trainer.max_steps=5")
    assert 40 < little < much
    assert train("little", 1e9, "--trainer.max_steps=9", "--resume=auto") == little


def test_another_size_of_the_batches_is_refused_when_going_on(
    tmp_path: Path, toy_arguments: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(toy_arguments(tmp_path, "--data.max_tokens_per_batch=auto", "--trainer.max_steps=5")) == 0
    error = error_of(capsys, *toy_arguments(tmp_path, "--trainer.max_steps=9", "--resume=auto"))
    assert "comes from data.max_tokens_per_batch auto, not 100" in error


def test_the_machines_memory_is_shared_by_its_processes() -> None:
    cpu, parameters = torch.device("cpu"), [torch.nn.Parameter(torch.zeros(1000))]
    alone, of_four = (memory.bytes_for_batches(cpu, number, parameters) for number in (1, 4))
    assert alone + 16_000 == pytest.approx(4 * (of_four + 16_000), rel=0.2)
    assert math.isfinite(alone)
    assert alone > 0
