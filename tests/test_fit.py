"""`seq2seq fit`: what a run leaves in its folder, and what is refused before it begins."""

import itertools
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import yaml

from seq2seq import cli
from seq2seq.bundle import load_bundle
from seq2seq.models import ARCHITECTURES
from seq2seq.training import callbacks
from seq2seq.training.configuration import CLASS_PATHS
from tests.run_folder import assert_equal, checkpoint, error_of, figures, weights

ROOT = Path(__file__).parent.parent
Arguments = Callable[..., list[str]]
Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, toy_arguments: Arguments) -> Path:
    """The folder of a finished run; not to be altered."""
    folder = tmp_path_factory.mktemp("runs") / request.param
    options = ["--trainer.val_check_interval=4", "--seed_everything=7"]
    assert cli.main(toy_arguments(folder, *options, architecture=request.param)) == 0
    return folder


def test_a_run_folder_holds_all_that_belongs_to_the_run(run: Path) -> None:
    names = {path.name for path in run.iterdir()}
    assert names >= {"config.yaml", "origin.json", "checkpoints", "metrics.csv", "tensorboard", "model"}
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert any(path.name.startswith("events.") for path in (run / "tensorboard").iterdir())

    measured = figures(run)
    assert len(measured["train_loss"]) == len(measured["lr"]) == 12
    assert len(measured["valid_bleu"]) == len(measured["valid_loss"]) == len(measured["valid_ppl"]) >= 3
    assert measured["tokens_per_s"] and all(speed > 0 for speed in measured["tokens_per_s"])
    assert measured["lr"][:4] == pytest.approx([0.005, 0.01, 0.015, 0.02])


def test_the_bundle_has_the_best_weights(run: Path) -> None:
    bundle = load_bundle(run)
    assert isinstance(bundle.model, ARCHITECTURES[run.name])
    assert_equal(bundle.model.state_dict(), weights(run))
    measured, training = figures(run), bundle.config["training"]
    assert training["valid_bleu"] == pytest.approx(max(measured["valid_bleu"]), abs=1e-4)
    assert training["seed"] == 7
    assert training["parameters"] == sum(p.numel() for p in bundle.model.parameters())
    assert training["target_tokens"] > 0
    assert training["best_at_update"] == checkpoint(run)["global_step"]
    assert training["updates"] == 12
    assert 0 < training["minutes_in_updates"] + training["minutes_in_validations"] <= training["minutes"] + 0.02
    assert training["peak_memory_bytes"] > 1e7
    assert checkpoint(run, "last")["global_step"] == 12


def test_the_configuration_of_a_run_gives_the_same_run_again(run: Path, tmp_path: Path) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    assert config["model"]["class_path"] == CLASS_PATHS[run.name]
    assert (config["run_dir"], config["seed_everything"]) == (str(run), 7)
    again = tmp_path / "again"
    assert cli.main(["fit", "--config", str(run / "config.yaml"), "--run_dir", str(again)]) == 0
    assert_equal(weights(again, "last"), weights(run, "last"))
    assert figures(again)["train_loss"] == figures(run)["train_loss"]
    other = tmp_path / "other"
    assert cli.main(["fit", "--config", str(run / "config.yaml"), "--run_dir", str(other), "--seed_everything=8"]) == 0
    assert figures(other)["train_loss"] != figures(run)["train_loss"]


def test_a_used_folder_is_refused_unless_told(tmp_path: Path, toy_arguments: Arguments, capsys: Captured) -> None:
    run = tmp_path / "run"
    once = toy_arguments(run, "--trainer.max_steps=2")
    assert cli.main(once) == 0
    (run / "test").mkdir()
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert error_of(capsys, *once) == (
        f"{run} already holds a run; give another --run_dir, or --resume auto to go on with it, or --overwrite true "
        "to start anew"
    )
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before, "nothing in it has changed"

    assert cli.main([*once, "--overwrite=true", "--model.d_ff=48"]) == 0
    assert load_bundle(run).config["model"]["d_ff"] == 48
    assert not (run / "test").exists(), "scores of the weights before"
    assert len(figures(run)["train_loss"]) == 2
    assert len([path for path in (run / "tensorboard").iterdir() if path.name.startswith("events.")]) == 1


@pytest.mark.parametrize("end", ["--trainer.max_steps=3", "--budget.target_tokens=250"])
@pytest.mark.parametrize("interval", [1, 2])
def test_a_run_ends_with_a_validated_model_wherever_it_ends(
    tmp_path: Path, toy_arguments: Arguments, end: str, interval: int
) -> None:
    """Also in the middle of an epoch, and in one that has no validations."""
    run = tmp_path / "run"
    assert cli.main(toy_arguments(run, end, f"--trainer.check_val_every_n_epoch={interval}")) == 0
    assert load_bundle(run).config["training"]["updates"] == 3
    assert len(figures(run)["valid_bleu"]) == 1


def test_the_folder_is_named_after_the_configuration(
    tmp_path: Path, toy_config: Path, toy_arguments: Arguments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    argv = [argument for argument in toy_arguments(tmp_path) if not argument.startswith("--run_dir")]
    assert cli.main([*argv, "--trainer.max_steps=1"]) == 0
    assert (tmp_path / "runs" / "toy" / "model").is_dir()


# What is refused


@pytest.fixture
def broken(tmp_path: Path, toy_config: Path) -> Iterator[Path]:
    """A folder with copies of the training text as broken.de and broken.en, to be spoilt."""
    for lang in ("de", "en"):
        shutil.copy(toy_config.parent / f"train.{lang}", tmp_path / f"broken.{lang}")
    yield tmp_path


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "broken.en").unlink(), r"no corpus '.*broken'.*"),
        (
            lambda folder: (folder / "broken.en").write_text("the dog\n"),
            r".*broken\.de has 60 lines but .*broken\.en has 1.*",
        ),
        (
            lambda folder: [(folder / f"broken.{lang}").write_text("") for lang in ("de", "en")],
            r".*broken\.de and .*broken\.en hold no lines; .*",
        ),
    ],
    ids=["missing", "unequal", "empty"],
)
@pytest.mark.parametrize("which", ["train", "valid"])
def test_data_that_cannot_be_used_is_refused_before_a_folder_is_made(
    broken: Path,
    toy_arguments: Arguments,
    capsys: Captured,
    spoil: Callable[[Path], object],
    message: str,
    which: str,
) -> None:
    spoil(broken)
    argv = toy_arguments(broken / "run", f"--data.{which}={broken / 'broken'}")
    assert re.fullmatch(message, error_of(capsys, *argv))
    assert not (broken / "run").exists()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--ema_decay=1", "ema_decay is 1.0; it must lie between 0 (off) and 1, such as 0.999"),
        ("--model.optimization.lr=-1", "lr -1.0 must be positive and warmup_steps 4 not negative"),
        ("--model.search.beam_width=0", "beam_width is 0; it must be at least 1"),
        ("--data.tokenizer.sampling_alpha=3", "sampling_alpha 3.0 must lie between 0 (off) and 1"),
        ("--data.tokenizer.joint=false", "tie_embeddings three_way needs one joint vocabulary; .*"),
        ("--model.num_heads=3", "d_model .*"),
        ("--model.d_ff=0", "d_ff is 0; it must be at least 1"),
        ("--model.dropout=2", "dropout is 2.0; it must lie between 0 and 1"),
        ("--model.label_smoothing=1", "label_smoothing is 1.0; it must be at least 0 and below 1"),
        (
            "--trainer.strategy=fsdp --ema_decay=0.9",
            "ema_decay is 0.9, but trainer.strategy fsdp averages no weights; set ema_decay 0 or use ddp",
        ),
        (
            "--trainer.strategy=fsdp --data.max_tokens_per_batch=auto",
            "data.max_tokens_per_batch is auto, which trainer.strategy fsdp cannot measure; write a number, or use ddp",
        ),
        (
            "--trainer.strategy=fsdp --trainer.precision=16-mixed",
            "trainer.precision is 16-mixed, but trainer.strategy fsdp takes 32-true, bf16-mixed and bf16-true; use one "
            "of them, or ddp",
        ),
        (
            "--trainer.strategy=ModelParallelStrategy",
            "trainer.strategy is ModelParallelStrategy, which cannot share these models out; use fsdp",
        ),
        ("--trainer.accelerator=cuda --trainer.devices=99", r"trainer\.(accelerator|devices) is .*GPU.*"),
        ("--trainer.accelerator=cdua", "Lightning cannot make such a trainer: .* Available names are: auto, .*"),
    ],
)
def test_values_that_do_not_fit_are_refused_in_one_line(
    tmp_path: Path, toy_arguments: Arguments, capsys: Captured, option: str, message: str
) -> None:
    argv = toy_arguments(tmp_path / "run", "--model.num_heads=2", *option.split())
    assert re.fullmatch(message.replace("(off)", r"\(off\)"), error_of(capsys, *argv))
    # One vocabulary or two: that is known when the tokenizer is there.
    assert not (tmp_path / "run").exists() or "three_way" in message


def test_cosine_needs_an_end_and_the_second_try_is_not_refused(
    tmp_path: Path, toy_arguments: Arguments, capsys: Captured
) -> None:
    argv = toy_arguments(tmp_path / "run", "--model.optimization.schedule=cosine")
    assert "set trainer.max_steps" in error_of(capsys, *argv, "--trainer.max_steps=-1")
    assert cli.main([*argv, "--trainer.max_steps=2"]) == 0


# Averaging


def test_the_moving_average_of_the_weights_is_what_is_validated_and_kept(
    tmp_path: Path, toy_arguments: Arguments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT)
    run, parts = tmp_path / "run", tmp_path / "parts"
    options = ["--ema_decay=0.8", "--trainer.max_steps=12", "--model.dropout=0.3"]
    recorder = ["--trainer.callbacks+=tests.trainer_callbacks.Recorder", f"--trainer.callbacks.folder={tmp_path}"]
    assert cli.main(toy_arguments(run, *options, *recorder)) == 0
    [recorded] = [torch.load(path) for path in tmp_path.glob("rank*.pt")]
    first, *others = recorded["weights"][1:]
    expected = {name: tensor.clone() for name, tensor in first.items()}
    for weights_of_update in others:
        for name, tensor in weights_of_update.items():
            expected[name] = 0.8 * expected[name] + 0.2 * tensor
    found = dict(load_bundle(run).model.named_parameters())
    torch.testing.assert_close({name: found[name].detach() for name in expected}, expected, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(found["decoder_norm.weight"], others[-1]["decoder_norm.weight"], atol=1e-6)

    handler = signal.getsignal(signal.SIGINT)
    interrupting = ["--trainer.callbacks+=tests.trainer_callbacks.Interrupt", "--trainer.callbacks.update=5"]
    interrupting.append("--trainer.callbacks.name=SIGTERM")
    try:
        assert cli.main(toy_arguments(parts, *options, *interrupting)) == 143
    finally:
        signal.signal(signal.SIGINT, handler)
    assert cli.main(toy_arguments(parts, *options, "--resume=auto")) == 0
    assert_equal(weights(parts, "last"), weights(run, "last"))


def test_a_log_gets_a_line_a_minute_with_the_time_left_of_what_goes_on_now(
    tmp_path: Path, toy_arguments: Arguments, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    clock = itertools.count(0, 30)  # an update takes half a minute
    monkeypatch.setattr(callbacks, "monotonic", lambda: next(clock))
    figure = r"update (\d+)  epoch \d+  \d+\.\d min  train_loss \d\.\d{3}  [\d,]+ tokens/s  (.*) left\n"
    run = tmp_path / "run"
    assert cli.main(toy_arguments(run, "--trainer.max_steps=6")) == 0
    assert re.findall(figure, capsys.readouterr().err) == [("2", "0:02:00"), ("4", "0:01:00"), ("6", "0:00:00")]
    assert cli.main(toy_arguments(run, "--trainer.max_steps=10", "--resume=auto")) == 0
    assert re.findall(figure, capsys.readouterr().err) == [("8", "0:01:00"), ("10", "0:00:00")]
    endless = ["--trainer.max_steps=-1", "--patience=1", "--overwrite=true", "--model.optimization.lr=1e-30"]
    assert cli.main(toy_arguments(run, *endless)) == 0
    said = capsys.readouterr().err
    assert re.search(r"^update 2  .* tokens/s$", said, re.MULTILINE)
    assert " left\n" not in said


# Stopping and learning


def test_patience_ends_a_run_that_does_not_get_better(tmp_path: Path, toy_arguments: Arguments) -> None:
    run = tmp_path / "run"
    still = ["--model.optimization.optimizer=sgd", "--model.optimization.lr=1e-30", "--trainer.max_steps=1000"]
    stopping = ["--patience=2", "--monitor=valid_loss", "--trainer.val_check_interval=2"]
    assert cli.main(toy_arguments(run, *still, *stopping)) == 0
    assert len(figures(run)["valid_loss"]) == 3
    assert checkpoint(run, "last")["global_step"] == 6
    assert "valid_loss" in load_bundle(run).config["training"]


def test_every_architecture_learns(run: Path) -> None:
    measured = figures(run)
    assert measured["train_loss"][-1] < 0.8 * measured["train_loss"][0]
    assert measured["valid_loss"][-1] < measured["valid_loss"][0]


def test_a_transformer_learns_to_translate(tmp_path: Path, toy_arguments: Arguments) -> None:
    """Blind to its source, a model that knows these sentences' one pattern by heart gets about 15 BLEU."""
    run = tmp_path / "run"
    sizes = ["--model.d_model=32", "--model.d_ff=64", "--model.optimization.lr=0.01", "--data.max_tokens_per_batch=300"]
    cosine = ["--model.optimization.schedule=cosine", "--model.optimization.warmup_steps=20"]
    assert (
        cli.main(toy_arguments(run, *sizes, *cosine, "--trainer.max_steps=200", "--trainer.check_val_every_n_epoch=9"))
        == 0
    )
    assert max(figures(run)["valid_bleu"]) > 30
