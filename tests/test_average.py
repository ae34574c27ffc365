"""`seq2seq average`: the mean of the checkpoints that a run has kept, as a model like any other."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from seq2seq import cli
from seq2seq.bundle import load_bundle
from seq2seq.checkpoints import kept
from tests.run_folder import checkpoint, figures, weights

Arguments = Callable[..., list[str]]
ErrorOf = Callable[..., str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, toy_arguments: Arguments) -> Path:
    """A run with six validations that has kept its three best and two last checkpoints; not to be altered."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    validations = ["--trainer.val_check_interval=2", "--trainer.check_val_every_n_epoch=null"]
    assert cli.main(toy_arguments(folder, *validations, "--keep_best=3", "--keep_last=2")) == 0
    return folder


def validated(run: Path) -> dict[int, float]:
    """BLEU of the validations by update."""
    return dict(zip((2, 4, 6, 8, 10, 12), figures(run)["valid_bleu"], strict=True))


def test_fit_keeps_as_many_checkpoints_as_it_is_told(run: Path) -> None:
    names = {path.name for path in (run / "checkpoints").iterdir()}
    assert names >= {"last.ckpt", "update-10.ckpt", "update-12.ckpt"}
    best = [name for name in names if name.startswith("best-")]
    assert len(best) == 3 and len(names) == 6
    by_bleu = sorted(validated(run).values(), reverse=True)
    updates = [int(name.removeprefix("best-").removesuffix(".ckpt")) for name in best]
    assert sorted((validated(run)[update] for update in updates), reverse=True) == by_bleu[:3]
    assert load_bundle(run).config["training"]["valid_bleu"] == pytest.approx(by_bleu[0], abs=1e-4)


def test_the_kept_ones_come_in_their_order(run: Path) -> None:
    assert [path.name for path in kept(run / "checkpoints", "last", 2)] == ["update-12.ckpt", "update-10.ckpt"]
    updates = [checkpoint(run, path.stem)["global_step"] for path in kept(run / "checkpoints", "best", 3)]
    scores = [validated(run)[update] for update in updates]
    assert scores == sorted(scores, reverse=True)
    assert [path.name for path in kept(run / "checkpoints", "best", 1)] == [f"best-{updates[0]}.ckpt"]


def test_of_losses_the_lowest_is_the_best(tmp_path: Path, toy_arguments: Arguments) -> None:
    run = tmp_path / "run"
    options = ["--monitor=valid_loss", "--keep_best=2", "--trainer.val_check_interval=4", "--trainer.max_steps=8"]
    assert cli.main(toy_arguments(run, *options)) == 0
    losses = dict(zip((4, 8), figures(run)["valid_loss"], strict=False))
    [path] = kept(run / "checkpoints", "best", 1)
    assert path.name == f"best-{min(losses, key=losses.__getitem__)}.ckpt"


@pytest.mark.parametrize(("which", "count"), [("best", 3), ("last", 2), ("best", 2)])
def test_the_mean_of_the_weights_is_a_model_that_tests_and_translates(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], which: str, count: int
) -> None:
    output = tmp_path / "average"
    assert cli.main(["average", str(run), f"--{which}={count}", f"--output_dir={output}"]) == 0
    assert capsys.readouterr().out == f"{output}\n"
    paths = kept(run / "checkpoints", which, count)  # type: ignore[arg-type]
    some = [weights(run, path.stem) for path in paths]
    expected = {name: sum(one[name] for one in some) / count for name in some[0]}
    bundle = load_bundle(output)
    torch.testing.assert_close(bundle.model.state_dict(), expected, rtol=1e-6, atol=1e-7)
    assert bundle.model.src_embedding.weight is bundle.model.tgt_embedding.weight, "what was tied still is"
    training = bundle.config["training"]
    assert training["averaged_updates"] == [checkpoint(run, path.stem)["global_step"] for path in paths]
    assert "valid_bleu" not in training and training["updates"] == 12

    assert cli.main(["test", str(output)]) == 0
    assert json.loads((output / "test" / "valid.json").read_text())["bundle_sha256"] == bundle.sha256


def test_the_folder_is_named_after_the_run(run: Path) -> None:
    assert cli.main(["average", f"{run}/", "--last=2"]) == 0
    assert load_bundle(run.with_name("run-last2")).config["training"]["averaged_updates"] == [12, 10]


def test_what_cannot_be_averaged_is_refused(run: Path, tmp_path: Path, bundle_folder: Path, error_of: ErrorOf) -> None:
    assert error_of("average", str(run)) == "give either --best K or --last K"
    assert error_of("average", str(run), "--best=1", "--last=1") == "give either --best K or --last K"
    assert error_of("average", str(run), "--best=1") == (
        "--best is 1; it must be at least 2, for the mean of one is that one"
    )
    assert error_of("average", str(run), "--best=4", f"--output_dir={tmp_path / 'x'}") == (
        f"{run}/checkpoints has 3 of the best checkpoints, 4 are wanted; train with --keep_best 4"
    )
    assert error_of("average", str(run), "--best=2", f"--output_dir={tmp_path}") == (
        f"{tmp_path} is there already; give another --output_dir, or delete it"
    )
    assert error_of("average", str(bundle_folder), "--best=2", f"--output_dir={tmp_path / 'x'}") == (
        f"{bundle_folder}/checkpoints holds no checkpoints; give the folder of a run"
    )
    assert not (tmp_path / "x").exists()
