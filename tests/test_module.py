"""Training: what an update is, that accumulation and several processes change nothing, and validation's figures."""

import csv
import inspect
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
import yaml
from torch.nn import functional as F

from seq2seq import cli
from seq2seq.batching import collate
from seq2seq.corpus import read_pairs
from seq2seq.datamodule import TokenizerConfig, TranslationDataModule
from seq2seq.models import ARCHITECTURES
from seq2seq.special_ids import PAD_ID
from seq2seq.training.module import TranslationModule
from seq2seq.training.schedules import Optimization
from seq2seq.training.systems import SYSTEMS, TransformerSeq2Seq
from tests import forked
from tests.run_folder import NEEDS_FSDP
from tests.trainer_callbacks import Recorder

ROOT = Path(__file__).parent.parent
STILL = Optimization(optimizer="sgd", lr=1e-30, schedule="constant", warmup_steps=0)  # weights stay what they are
Tensors = dict[str, torch.Tensor]


@pytest.fixture
def make_data(toy_config: Path) -> Callable[..., TranslationDataModule]:
    def make(**settings: Any) -> TranslationDataModule:
        config = yaml.safe_load(toy_config.read_text(encoding="utf-8"))["data"] | settings
        return TranslationDataModule(**config | {"tokenizer": TokenizerConfig(**config["tokenizer"])})

    return make


def train(
    data: TranslationDataModule, optimization: Optimization, **trainer: Any
) -> tuple[TranslationModule, Recorder]:
    """A small transformer, trained in double precision, and what happened."""
    L.seed_everything(1, verbose=False)
    module = TransformerSeq2Seq(
        d_model=16,
        d_ff=32,
        num_heads=2,
        num_encoder_layers=1,
        num_decoder_layers=1,
        dropout=0,
        optimization=optimization,
    )
    recorder = Recorder()
    settings = {
        "accelerator": "cpu",
        "precision": "64-true",
        "callbacks": [recorder],
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
        "num_sanity_val_steps": 0,
        "limit_val_batches": 0,
    }
    L.Trainer(**settings | trainer).fit(module, datamodule=data)
    return module, recorder


def batch_of(data: TranslationDataModule, rows: list[int]) -> Any:
    """The given rows of the training text as one batch."""
    src, tgt = read_pairs(data.train, *data.langs)
    pieces = (
        tokenizer.encode([lines[row] for row in rows])
        for tokenizer, lines in ((data.tokenizers.src, src), (data.tokenizers.tgt, tgt))
    )
    return collate(*pieces, rows)


def mean_loss(module: TranslationModule, batch: Any, label_smoothing: float) -> torch.Tensor:
    logits_BTV = module.model.double()(batch.src_BS, batch.src_key_padding_mask_BS, batch.tgt_in_BT)
    logits_NV, tgt_N = logits_BTV.flatten(0, 1), batch.tgt_out_BT.flatten()
    return F.cross_entropy(logits_NV, tgt_N, ignore_index=PAD_ID, label_smoothing=label_smoothing)


def assert_close(actual: Tensors, expected: Tensors, atol: float = 1e-6) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=atol)


def norm(tensors: Tensors) -> float:
    return math.sqrt(sum(float(tensor.square().sum()) for tensor in tensors.values()))


# Systems


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_system_offers_what_its_architecture_takes(name: str) -> None:
    taken = inspect.signature(ARCHITECTURES[name]).parameters.keys() - {"src_vocab_size", "tgt_vocab_size"}
    offered = inspect.signature(SYSTEMS[name]).parameters.keys() - {"label_smoothing", "optimization", "search"}
    assert offered == taken
    assert SYSTEMS[name]().model_config.keys() == taken
    assert SYSTEMS[name].architecture == name


def test_three_way_ties_need_one_vocabulary(make_data: Callable[..., TranslationDataModule]) -> None:
    data = make_data(tokenizer={"kind": "bpe", "vocab_size": 290, "joint": False})
    with pytest.raises(
        ValueError, match=r"^tie_embeddings three_way needs one joint vocabulary; set .* or use two_way$"
    ):
        train(data, STILL, max_steps=1)


# An update


def test_accumulated_batches_give_the_gradients_of_one_large_batch(
    make_data: Callable[..., TranslationDataModule],
) -> None:
    data = make_data()
    module, recorder = train(data, STILL, max_epochs=1, accumulate_grad_batches=3)
    windows = [list(chain(*recorder.rows[i : i + 3])) for i in range(0, len(recorder.rows), 3)]
    batches = [batch_of(data, rows) for rows in windows]
    assert len(recorder.rows) % 3 != 0, "the last window is to be a short one"
    assert len({batch_of(data, rows).num_tgt_tokens for rows in recorder.rows[:3]}) > 1, (
        "a mean of means is to be wrong"
    )
    assert len(recorder.gradients) == len(windows) > 2

    for batch, gradients in zip(batches, recorder.gradients, strict=True):
        module.zero_grad()
        mean_loss(module, batch, module.label_smoothing).backward()
        assert_close(gradients, {name: p.grad for name, p in module.model.named_parameters()}, atol=1e-7)

    everything = make_data(max_tokens_per_batch=10_000)
    _, once = train(everything, STILL, max_epochs=1)
    _, in_parts = train(data, STILL, max_epochs=1, accumulate_grad_batches=len(recorder.rows))
    assert len(once.rows) == len(once.gradients) == len(in_parts.gradients) == 1
    assert_close(in_parts.gradients[0], once.gradients[0], atol=1e-7)


def test_clipping_sees_the_gradients_of_the_whole_update(make_data: Callable[..., TranslationDataModule]) -> None:
    plain, clipped = (
        train(make_data(), STILL, max_steps=1, accumulate_grad_batches=3, gradient_clip_val=limit)[1].gradients[0]
        for limit in (None, 0.01)
    )
    assert norm(plain) > 0.1
    assert_close(clipped, {name: 0.01 / norm(plain) * gradient for name, gradient in plain.items()}, atol=1e-7)
    within = train(make_data(), STILL, max_steps=1, accumulate_grad_batches=3, gradient_clip_val=norm(plain) * 1.01)
    assert_close(within[1].gradients[0], plain, atol=1e-7)


@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_a_fused_step_is_clipped_under_bfloat16(
    make_data: Callable[..., TranslationDataModule], algorithm: str
) -> None:
    """Lightning refuses it: a fused step unscales gradients by itself, after clipping. bfloat16 has no scale."""
    settings = dict(max_steps=1, precision="bf16-mixed", gradient_clip_algorithm=algorithm)
    _, recorder = train(make_data(), Optimization(), **settings, gradient_clip_val=1e-3)
    gradients = recorder.gradients[0]
    largest = max(float(gradient.abs().max()) for gradient in gradients.values())
    assert (norm(gradients) if algorithm == "norm" else largest) == pytest.approx(1e-3, rel=1e-3)


def test_the_first_update_uses_the_first_share_of_the_warm_up(make_data: Callable[..., TranslationDataModule]) -> None:
    optimization = Optimization(optimizer="sgd", lr=0.4, schedule="inverse_sqrt", warmup_steps=4)
    _, recorder = train(make_data(), optimization, max_steps=16, accumulate_grad_batches=2)
    assert [recorder.rates[s - 1] for s in (1, 2, 3, 4, 16)] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.2])
    for s in (1, 2, 16):
        before, after, gradients = recorder.weights[s - 1], recorder.weights[s], recorder.gradients[s - 1]
        assert_close(
            after, {name: before[name] - recorder.rates[s - 1] * gradients[name] for name in before}, atol=1e-7
        )


def test_cosine_ends_at_zero_with_the_last_update(make_data: Callable[..., TranslationDataModule]) -> None:
    optimization = Optimization(lr=0.4, schedule="cosine", warmup_steps=1)
    for end in ({"max_epochs": 2}, {"max_steps": 5}):
        _, recorder = train(make_data(), optimization, accumulate_grad_batches=3, **end)
        assert recorder.rates[0] == pytest.approx(0.4)
        assert all(rate > 1e-3 for rate in recorder.rates[:-1])
        assert recorder.rates[-1] == pytest.approx(0.0, abs=1e-9)


def test_cosine_without_an_end_is_refused_before_training(make_data: Callable[..., TranslationDataModule]) -> None:
    with pytest.raises(ValueError, match=r"no end is set; set trainer\.max_steps, .*$"):
        train(make_data(), Optimization(schedule="cosine"), max_epochs=-1)


@pytest.mark.parametrize("interval", [{"check_val_every_n_epoch": None, "val_check_interval": 4}, {}])
def test_plateau_halves_the_rate_by_validations(
    make_data: Callable[..., TranslationDataModule], interval: dict[str, Any]
) -> None:
    optimization = Optimization(optimizer="sgd", lr=0.8, schedule="plateau", patience=2)
    data = make_data(max_tokens_per_batch=200)
    still = {"gradient_clip_val": 1e-30}
    _, recorder = train(data, optimization, max_epochs=8, limit_val_batches=1, **still, **interval)
    batches = len(recorder.rows) // 8
    every = interval.get("val_check_interval", batches)
    # The first validation sets the mark; of those after it none is better.
    expected = [0.8 * 0.5 ** (max(0, update // every - 1) // 2) for update in range(len(recorder.rates))]
    assert recorder.rates == pytest.approx(expected)
    assert recorder.rates[-1] < 0.2


# Validation


def test_valid_loss_is_the_mean_over_all_tokens_without_smoothing(
    make_data: Callable[..., TranslationDataModule],
) -> None:
    data = make_data(valid=make_data().train)
    module, recorder = train(data, STILL, max_steps=1, val_check_interval=1, limit_val_batches=1.0)
    everything = batch_of(data, list(range(len(data.valid_src))))
    assert recorder.valid_loss[-1] == pytest.approx(mean_loss(module, everything, 0.0).item(), rel=1e-6)


def test_bleu_in_training_is_that_of_the_test_command_and_of_sacrebleu(
    tmp_path: Path, toy_config: Path, toy_arguments: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    monkeypatch.syspath_prepend(ROOT)
    recorded = ["--trainer.callbacks+=tests.trainer_callbacks.Recorder", f"--trainer.callbacks.folder={tmp_path}"]
    options = [*recorded, "--trainer.max_steps=60", "--trainer.val_check_interval=5", "--trainer.log_every_n_steps=5"]
    assert cli.main(toy_arguments(run, *options)) == 0
    assert cli.main(["test", str(run), "--beam_width", "1"]) == 0

    in_training = torch.load(tmp_path / "rank0.pt")["valid_bleu"]
    [bleu] = [
        score
        for score in json.loads((run / "test" / "valid.json").read_text(encoding="utf-8"))["scores"]
        if score["name"] == "BLEU" and "case:mixed" in score["signature"]
    ]
    assert len(set(in_training)) > 3
    assert bleu["value"] == max(in_training) > 5
    with (run / "metrics.csv").open(encoding="utf-8", newline="") as file:
        logged = [float(row["valid_bleu"]) for row in csv.DictReader(file) if row["valid_bleu"]]
    assert logged == pytest.approx(in_training, abs=1e-4)

    files = [str(toy_config.parent / "valid.en"), "-i", str(run / "test" / "valid.hyp.txt")]
    command = [sys.executable, "-m", "sacrebleu", *files, "-m", "bleu", "-b", "-w", "12"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{bleu['value']:.12f}"


# Several processes


@pytest.mark.parametrize(
    ("architecture", "strategy", "processes", "accumulated", "little_memory", "launched"),
    [
        ("transformer", "ddp", 2, 1, False, True),
        ("attention", "ddp", 2, 3, True, False),
        ("lstm", "ddp", 3, 2, False, False),
        pytest.param("transformer", "fsdp", 3, 2, False, False, marks=NEEDS_FSDP),
        pytest.param("attention", "fsdp", 2, 2, False, False, marks=NEEDS_FSDP),
        pytest.param("lstm", "fsdp", 2, 1, False, True, marks=NEEDS_FSDP),
    ],
)
def test_several_processes_do_what_one_does(
    tmp_path: Path,
    make_data: Callable[..., TranslationDataModule],
    toy_arguments: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
    architecture: str,
    strategy: str,
    processes: int,
    accumulated: int,
    little_memory: bool,
    launched: bool,
) -> None:
    """k ranks that accumulate m batches, and one process that accumulates k m: the same global batches.

    Also where one rank has little memory: it takes its batches in pieces, and nobody waits in vain. The ranks are
    launched by Lightning from a single process, or forked here.
    """
    options = [
        "--trainer.plugins+=lightning.pytorch.plugins.precision.DoublePrecision",
        "--trainer.max_epochs=4",
        f"--data.max_tokens_per_batch={tokens_that_come_out_even(make_data, processes, accumulated)}",
        "--trainer.max_steps=-1",
        "--trainer.gradient_clip_val=null",
        "--trainer.callbacks+=tests.trainer_callbacks.Recorder",
    ]

    def arguments(name: str, *more: str) -> list[str]:
        (tmp_path / name).mkdir()
        folder = f"--trainer.callbacks.folder={tmp_path / name}"
        return toy_arguments(tmp_path / name / "run", *options, folder, *more, architecture=architecture)

    several = [f"--trainer.devices={processes}", f"--trainer.strategy={strategy}"]
    several.append(f"--trainer.accumulate_grad_batches={accumulated}")
    if little_memory:
        several.append("--trainer.callbacks+=tests.trainer_callbacks.LittleMemory")
        several += ["--trainer.callbacks.tokens=100", "--trainer.callbacks.rank=1"]
    monkeypatch.syspath_prepend(ROOT)
    assert cli.main(arguments("one", f"--trainer.accumulate_grad_batches={processes * accumulated}")) == 0
    if launched:
        command = [sys.executable, "-m", "seq2seq.cli", *arguments("several", *several)]
        with subprocess.Popen(command, cwd=ROOT, start_new_session=True) as distributed:
            try:
                assert distributed.wait(timeout=300) == 0
            finally:
                if distributed.poll() is None:
                    os.killpg(distributed.pid, signal.SIGKILL)  # both ranks
    else:
        assert forked.run(arguments("several", *several), variables=forked.ranks(processes)) == 0

    [one] = list(recorded(tmp_path / "one"))
    ranks = list(recorded(tmp_path / "several"))
    assert len(ranks) == processes
    in_turns = zip(*(rank["rows"] for rank in ranks), strict=True)
    assert list(chain(*in_turns)) == one["rows"]
    assert len(one["gradients"]) >= 12
    for rank in ranks:
        assert len(rank["gradients"]) == len(one["gradients"])
        assert_close(rank["gradients"][0], one["gradients"][0], atol=1e-7)
        assert_close(rank["gradients"][-1], one["gradients"][-1])
        assert_close(rank["weights"][-1], one["weights"][-1])
        assert rank["valid_bleu"] == pytest.approx(one["valid_bleu"], abs=1e-6)
        assert rank["valid_loss"] == pytest.approx(one["valid_loss"], abs=1e-6)
    assert len(set(one["valid_loss"])) > 2

    models = [
        json.loads((tmp_path / name / "run/model/config.json").read_text(encoding="utf-8"))
        for name in ("one", "several")
    ]
    for figure in ("updates", "target_tokens", "flops"):
        assert models[0]["training"][figure] == models[1]["training"][figure] > 0


def tokens_that_come_out_even(make_data: Callable[..., TranslationDataModule], processes: int, accumulated: int) -> int:
    """max_tokens_per_batch with which no rank lacks its last batch; the last window is short, if batches accumulate."""
    for tokens in range(100, 200):
        data = make_data(max_tokens_per_batch=tokens)
        data.setup()
        of_rank, rest = divmod(len(data.train_dataloader()), processes)
        if rest == 0 and (accumulated == 1 or of_rank % accumulated):
            return tokens
    raise AssertionError("the toy corpus has changed")


def recorded(folder: Path) -> Iterator[dict[str, Any]]:
    """What the Recorder of each rank wrote."""
    for path in sorted(folder.glob("rank*.pt")):
        yield torch.load(path)
