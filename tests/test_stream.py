"""A corpus that is read while training runs: what comes, in which order, and going on."""

import gzip
import itertools
import json
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import datasets
import pytest
import torch

from seq2seq import cli, stream
from seq2seq.batching import Batch
from seq2seq.corpus import read_pairs
from seq2seq.datamodule import TranslationDataModule
from seq2seq.stream import StreamLoader
from tests import forked
from tests.run_folder import assert_equal, checkpoint, error_of, figures, weights
from tests.test_datamodule import SMALL, cached, prepared, texts, write_corpus
from tests.test_resume import Arguments

FORMS = ["train", "part-*.jsonl", "part-*.parquet", "saved", "zipped.tsv.gz"]
Pair = tuple[str, str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with 300 training pairs in several forms, which is also the working directory; a window has 70."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEQ2SEQ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(stream, "_WINDOW_PAIRS", 70)
    monkeypatch.setattr(stream, "_ROWS_AT_ONCE", 32)
    write_corpus(tmp_path)
    pairs = training_pairs()
    rows = [{"de": de, "en": en} for de, en in pairs]
    for number, part in enumerate((rows[:110], rows[110:120], rows[120:])):
        dataset = datasets.Dataset.from_list(part)
        dataset.to_json(f"part-{number}.jsonl")
        dataset.to_parquet(f"part-{number}.parquet", batch_size=25)
    datasets.Dataset.from_list(rows).save_to_disk("saved")
    Path("zipped.tsv.gz").write_bytes(gzip.compress("".join(f"{de}\t{en}\n" for de, en in pairs).encode()))
    return tmp_path


def training_pairs(corpus: str = "train") -> list[Pair]:
    return list(zip(*read_pairs(corpus, "de", "en"), strict=True))


def streaming(train: str | dict[str, float] = "train", **settings) -> TranslationDataModule:
    return prepared(train=train, streaming=True, **settings)


def passes(module: TranslationDataModule, number: int) -> list[list[Batch]]:
    """The batches of the first passes."""
    loader, found = module.train_dataloader(), [[] for _ in range(number)]
    done = 0
    for num_given, batch in enumerate(loader, 1):
        found[done].append(batch)
        done = loader.passes(num_given)
        if done == number:
            return found
    raise AssertionError("a stream has no end")


def pairs_of(batches: list[Batch], module: TranslationDataModule) -> list[Pair]:
    return [(src, tgt) for batch in batches for _, src, tgt in texts(batch, module.tokenizers)]


def assert_same(some: Iterator[Batch] | list[Batch], others: Iterator[Batch] | list[Batch]) -> None:
    for one, other in zip(some, others, strict=True):
        assert all(torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("train", FORMS)
def test_a_pass_gives_every_pair_once_within_the_limit_in_another_order_each_time(folder: Path, train: str) -> None:
    module = streaming(train)
    found = passes(module, 3)
    orders = [pairs_of(batches, module) for batches in found]
    for batches, order in zip(found, orders, strict=True):
        assert sorted(order) == sorted(training_pairs())
        assert max(max(batch.src_BS.numel(), batch.tgt_in_BT.numel()) for batch in batches) <= 300
    assert orders[0] != orders[1] != orders[2]
    assert [pairs_of(batches, module) for batches in passes(streaming(train), 3)] == orders
    other = streaming(train, seed=2)
    assert pairs_of(passes(other, 1)[0], other) != orders[0]


def test_files_come_in_another_order_in_each_pass(folder: Path) -> None:
    module = streaming("part-*.jsonl", max_tokens_per_batch=100)
    firsts = set(training_pairs("part-0.jsonl")) - set(training_pairs("part-2.jsonl"))
    places = {[pair in firsts for pair in pairs_of(batches, module)].index(True) > 69 for batches in passes(module, 9)}
    assert places == {True, False}


def test_nothing_but_tokenizer_and_validation_is_written(folder: Path) -> None:
    passes(streaming(), 1)
    assert len(cached("pairs-")) == 1 and len(cached("tokenizer-")) == 1


def test_empty_and_long_pairs_are_dropped(folder: Path) -> None:
    with Path("train.de").open("a") as de, Path("train.en").open("a") as en:
        de.write("\nHund\n" + "Hund " * 200 + "\n")
        en.write("dog\n\n" + "dog\n")
    module = streaming()
    assert Counter(pairs_of(passes(module, 1)[0], module)) == Counter(training_pairs()[:300])


def test_pieces_are_drawn_anew_and_still_fit(folder: Path) -> None:
    module = streaming(tokenizer=replace(SMALL, sampling_alpha=0.3), max_tokens_per_batch=120)
    first, second = passes(module, 2)
    assert sorted(pairs_of(first, module)) == sorted(pairs_of(second, module)) == sorted(training_pairs())
    assert max(max(batch.src_BS.numel(), batch.tgt_in_BT.numel()) for batch in first) <= 120
    numbers = [
        Counter(str(row[row > 3].tolist()) for batch in part for row in batch.src_BS) for part in (first, second)
    ]
    assert sum((numbers[0] - numbers[1]).values()) > 100


class Rank:
    def __init__(self, rank: int) -> None:
        self.global_rank, self.world_size = rank, 2


def test_ranks_share_the_batches_of_each_window_evenly(folder: Path) -> None:
    [whole] = passes(streaming(), 1)
    ranks = []
    for rank in range(2):
        module = streaming()
        module.trainer = Rank(rank)
        ranks += passes(module, 1)
    assert len(ranks[0]) == len(ranks[1]) > 3
    together = Counter(pair for batches in ranks for pair in pairs_of(batches, module))
    assert together <= Counter(pairs_of(whole, module))
    assert together.total() > 200, "of a window, one batch at most is left out"


def test_a_rest_too_small_for_all_ranks_is_left_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_WINDOW_PAIRS", 299)
    for rank in range(2):
        module = streaming()
        module.trainer = Rank(rank)
        first, second = passes(module, 2)
        assert len(first) == len(second)
    monkeypatch.setattr(stream, "_WINDOW_PAIRS", 1)
    module = streaming()
    module.trainer = Rank(0)
    with pytest.raises(ValueError, match="1 rows make 1 batches of at most 300 tokens, too few for 2 processes"):
        next(iter(module.train_dataloader()))


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize("train", [*FORMS, {"train": 1, "part-*.jsonl": 2}])
def test_a_stream_goes_on_after_any_batch(folder: Path, num_workers: int, train: str | dict[str, float]) -> None:
    settings = {"num_workers": num_workers, "tokenizer": replace(SMALL, sampling_alpha=0.2)}
    loader = streaming(train, **settings).train_dataloader()
    batches, states = [], [loader.state_dict()]
    for batch in loader:
        batches.append(batch)
        states.append(json.loads(json.dumps(loader.state_dict())))
        if loader.passes(len(batches)) == 1 and len(batches) > 4:
            break
    batches += itertools.islice(loader, 12)
    every = 1 if num_workers == 0 else 9
    module = streaming(train, **settings)
    for number in range(0, len(states), every):
        resumed = module.train_dataloader()
        resumed.load_state_dict(states[number])
        assert_same(itertools.islice(resumed, 12), batches[number : number + 12])


def test_a_state_may_say_that_the_last_batches_were_not_used(folder: Path) -> None:
    loader = streaming().train_dataloader()
    batches = list(itertools.islice(loader, 20))
    resumed = streaming().train_dataloader()
    resumed.load_state_dict(loader.state_dict() | {"num_given": 18})
    assert_same(itertools.islice(resumed, 2), batches[18:])
    assert resumed.state_dict()["num_given"] == 20


def test_windows_of_a_mixture_have_its_shares_and_small_corpora_come_again(folder: Path) -> None:
    for lang, word in (("de", "Öl"), ("en", "oil")):
        Path(f"small.{lang}").write_text("".join(f"{word} {number}\n" for number in range(10)), encoding="utf-8")
    module = streaming({"train": 3, "small": 1}, tokenizer=replace(SMALL, vocab_size=300))
    [batches] = passes(module, 1)
    found = pairs_of(batches, module)
    small = [pair for pair in found if pair[0].startswith("Öl")]
    # 52 of 300 pairs a window: the sixth ends the pass.
    assert (len(found), len(small)) == (6 * 70, 6 * 18)
    counts = Counter(small).values()
    assert len(counts) == 10 and max(counts) - min(counts) <= 1
    assert set(found) >= set(training_pairs())


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_error_in_the_middle_of_a_stream_is_one_line(folder: Path, num_workers: int) -> None:
    with Path("train.en").open("ab") as file:
        file.write(b"\xff\n")
    with pytest.raises(ValueError, match=r"^train\.en line 301: byte 0xff is not UTF-8; convert") as error:
        passes(streaming(num_workers=num_workers), 1)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("train", ["train", {"train": 1, "long": 1}])
def test_a_corpus_without_usable_pairs_is_an_error(folder: Path, train: str | dict[str, float]) -> None:
    for lang in ("de", "en"):
        Path(f"long.{lang}").write_text("Hund " * 200 + "\n")
    name, max_length = ("train", 2) if train == "train" else ("long", 100)
    with pytest.raises(ValueError, match=rf"^{name} has no usable pairs; check the files or raise max_length$"):
        next(iter(streaming(train, max_length=max_length).train_dataloader()))


def test_more_than_one_worker_is_refused(folder: Path) -> None:
    with pytest.raises(
        ValueError, match=r"^num_workers is 2; a stream is prepared by one process at most, set 0 or 1$"
    ):
        streaming(num_workers=2)


# Trainings on a stream of 60 pairs, in windows of 25

STREAM = ["--data.streaming=true", "--trainer.val_check_interval=4", "--model.dropout=0.3"]


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_WINDOW_PAIRS", 25)


def with_small_windows(arguments: list[str]) -> int:
    """`seq2seq` in a process of its own."""
    stream._WINDOW_PAIRS = 25
    return cli.main(arguments)


@pytest.mark.parametrize(
    ("options", "where", "update"),
    [
        ([], "update", 9),
        (["--data.num_workers=1"], "validation", 9),
        (["--trainer.accumulate_grad_batches=2"], "update", 6),
    ],
)
@pytest.mark.usefixtures("small_windows")
def test_a_killed_training_on_a_stream_ends_with_the_same_weights(
    tmp_path: Path, toy_arguments: Arguments, options: list[str], where: str, update: int
) -> None:
    options = [*STREAM, *options, "--trainer.max_steps=20"]
    kill = ["--trainer.callbacks+=tests.trainer_callbacks.Kill", f"--trainer.callbacks.where={where}"]
    kill.append(f"--trainer.callbacks.update={update}")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert cli.main(toy_arguments(whole, *options)) == 0
    killed = forked.run(toy_arguments(parts, *options, *kill), program=with_small_windows)
    assert killed == -signal.SIGKILL
    assert 0 < checkpoint(parts, "last")["global_step"] < 20
    assert cli.main(toy_arguments(parts, *options, "--resume=auto")) == 0
    assert_equal(weights(parts, "last"), weights(whole, "last"))
    assert_equal(weights(parts), weights(whole))
    assert figures(parts)["train_loss"] == figures(whole)["train_loss"]
    assert figures(parts)["valid_bleu"] == figures(whole)["valid_bleu"]


@pytest.mark.usefixtures("small_windows")
def test_a_training_on_a_stream_that_has_ended_goes_on(tmp_path: Path, toy_arguments: Arguments) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert cli.main(toy_arguments(whole, *STREAM, "--trainer.max_steps=22")) == 0
    for max_steps in (6, 22):
        assert cli.main(toy_arguments(parts, *STREAM, f"--trainer.max_steps={max_steps}", "--resume=auto")) == 0
    assert_equal(weights(parts, "last"), weights(whole, "last"))


@pytest.mark.usefixtures("small_windows")
def test_more_epochs_of_a_stream_go_on_where_it_ended(tmp_path: Path, toy_arguments: Arguments) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for run, epochs in ((whole, 2), (parts, 1), (parts, 2)):
        options = [*STREAM, "--trainer.max_steps=-1", f"--trainer.max_epochs={epochs}", "--resume=auto"]
        assert cli.main(toy_arguments(run, *options)) == 0
    assert_equal(weights(parts, "last"), weights(whole, "last"))
    assert checkpoint(parts, "last")["global_step"] == checkpoint(whole, "last")["global_step"]


@pytest.mark.usefixtures("small_windows")
def test_epochs_of_a_stream_end_with_its_passes_and_a_validation(
    tmp_path: Path, toy_config: Path, toy_arguments: Arguments
) -> None:
    run = tmp_path / "run"
    options = ["--trainer.max_steps=-1", "--trainer.max_epochs=2", "--data.max_tokens_per_batch=90"]
    assert cli.main(toy_arguments(run, *STREAM, *options)) == 0
    loader = TranslationDataModule(
        "de",
        "en",
        train=str(toy_config.parent / "train"),
        valid=str(toy_config.parent / "valid"),
        streaming=True,
        tokenizer=replace(SMALL, path=str(run / "model")),
        max_tokens_per_batch=90,
        max_length=60,
        cache_dir=str(tmp_path),
    )
    loader.setup()
    num_batches = sum(map(len, passes(loader, 2)))
    assert checkpoint(run, "last")["global_step"] == num_batches
    assert figures(run)["valid_bleu"][-1:] and figures(run)["step"][-1] == num_batches - 1


@pytest.mark.usefixtures("small_windows")
def test_a_budget_ends_a_training_on_a_stream_and_the_cosine_follows_it(
    tmp_path: Path, toy_arguments: Arguments
) -> None:
    options = ["--trainer.max_steps=-1", "--model.optimization.schedule=cosine", "--budget.target_tokens=2000"]
    assert cli.main(toy_arguments(tmp_path / "run", *STREAM, *options)) == 0
    assert figures(tmp_path / "run")["lr"][-1] < 0.005


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--trainer.val_check_interval=1.0"], "a stream has no end to validate at; set trainer.val_check_interval to"),
        (
            ["--model.optimization.schedule=cosine", "--trainer.max_steps=-1", "--trainer.max_epochs=3"],
            "schedule cosine falls to zero at the end, but no end is set; set trainer.max_steps, trainer.max_epochs",
        ),
        (["--data.num_workers=2"], "num_workers is 2; a stream is prepared by one process at most, set 0 or 1"),
    ],
)
def test_what_a_stream_cannot_do_is_one_line(
    tmp_path: Path, toy_arguments: Arguments, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert error_of(capsys, *toy_arguments(tmp_path / "run", *STREAM, *options)).startswith(message)


def test_a_loader_has_no_length(folder: Path) -> None:
    loader = streaming().train_dataloader()
    assert isinstance(loader, StreamLoader)
    with pytest.raises(TypeError):
        len(loader)
