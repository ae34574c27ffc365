"""Several corpora in the shares that their weights say, from slots to a training."""

import json
import logging
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from seq2seq import cli
from seq2seq.batching import Batch
from seq2seq.corpus import read_pairs
from seq2seq.datamodule import TranslationDataModule
from seq2seq.mixing import MixedPairs, in_proportion, shares_of
from tests.run_folder import assert_equal, weights
from tests.test_datamodule import SMALL, cached, prepared, texts, write_corpus
from tests.test_resume import Arguments

NUM_ROWS = {"big": 300, "small": 40}


@pytest.fixture
def corpora(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two training corpora, big and small, which is also the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEQ2SEQ_CACHE", str(tmp_path / "cache"))
    write_corpus(tmp_path)
    for name, num_rows in NUM_ROWS.items():
        (tmp_path / name).mkdir()
        write_corpus(tmp_path / name, num_rows)
    return tmp_path


def mixed(mixture: dict[str, float], **settings) -> TranslationDataModule:
    return prepared(train={f"{name}/train": weight for name, weight in mixture.items()}, **settings)


def epochs(module: TranslationDataModule, num_epochs: int) -> list[list[Batch]]:
    loader, found = module.train_dataloader(), []
    for epoch in range(num_epochs):
        loader.batch_sampler.sampler.set_epoch(epoch)
        found.append(list(loader))
    return found


def rows(batches: list[Batch]) -> list[int]:
    return [row for batch in batches for row in batch.rows_B.tolist()]


@pytest.mark.parametrize("mixture", [{"big": 1, "small": 1}, {"big": 1, "small": 3}, {"small": 1, "big": 99}])
@pytest.mark.parametrize("sampling_alpha", [0.0, 0.2])
def test_shares_follow_the_weights_and_rows_come_equally_often(
    corpora: Path, mixture: dict[str, float], sampling_alpha: float
) -> None:
    module = mixed(mixture, tokenizer=replace(SMALL, sampling_alpha=sampling_alpha))
    found = epochs(module, 7)
    sizes = [Counter(len(batch.rows_B) for batch in batches) for batches in found]
    assert sizes[1:] == sizes[:-1], "number and sizes of the batches do not depend on the epoch"
    assert max(max(batch.src_BS.numel(), batch.tgt_in_BT.numel()) for batches in found for batch in batches) <= 300

    seen: Counter[int] = Counter()
    first = 0
    for batches in found:
        seen.update(rows(batches))
    for name, weight in mixture.items():
        of_corpus = range(first, first := first + NUM_ROWS[name])
        for batches in found:
            assert sum(row in of_corpus for row in rows(batches)) == round(340 * weight / sum(mixture.values()))
        counts = [seen[row] for row in of_corpus]
        assert max(counts) - min(counts) <= 1
    assert rows(found[0]) != rows(found[1])


def test_a_row_number_stands_for_its_pair(corpora: Path) -> None:
    module = mixed({"small": 1, "big": 1})
    pairs = [pair for name in ("small", "big") for pair in zip(*read_pairs(f"{name}/train", "de", "en"), strict=True)]
    for batch in epochs(module, 1)[0]:
        for row, src, tgt in texts(batch, module.tokenizers):
            assert pairs[row] == (src, tgt)


def test_batches_are_as_full_as_those_of_one_corpus(corpora: Path) -> None:
    [batches] = epochs(mixed({"big": 1, "small": 2}, max_tokens_per_batch=1000), 1)
    padded = sum(batch.src_BS.numel() + batch.tgt_in_BT.numel() for batch in batches)
    pieces = sum(int((batch.src_BS != 0).sum() + (batch.tgt_in_BT != 0).sum()) for batch in batches)
    assert pieces / padded > 0.8


class Rank:
    def __init__(self, rank: int) -> None:
        self.global_rank, self.world_size = rank, 2


def test_ranks_share_the_batches_of_one_process(corpora: Path) -> None:
    [whole] = epochs(mixed({"big": 1, "small": 2}), 1)
    ranks = []
    for rank in range(2):
        module = mixed({"big": 1, "small": 2})
        module.trainer = Rank(rank)
        ranks += epochs(module, 1)
    interleaved = [batch for step in zip(*ranks, strict=True) for batch in step]
    assert len(interleaved) >= len(whole) - 1
    for one, other in zip(interleaved, whole, strict=False):
        assert torch.equal(one.rows_B, other.rows_B)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_mixture_resumes_in_the_middle_of_an_epoch(corpora: Path, num_workers: int) -> None:
    def loader():
        module = mixed({"big": 1, "small": 2}, num_workers=num_workers, tokenizer=replace(SMALL, sampling_alpha=0.2))
        loader = module.train_dataloader()
        loader.batch_sampler.sampler.set_epoch(3)
        return loader

    straight = loader()
    batches = iter(straight)
    for _ in range(4):
        next(batches)
    state = json.loads(json.dumps(straight.state_dict()))
    rest = list(batches)
    resumed = loader()
    resumed.load_state_dict(state)
    again = list(resumed)
    assert len(again) == len(rest) > 3
    for one, other in zip(again, rest, strict=True):
        assert torch.equal(one.src_BS, other.src_BS) and torch.equal(one.tgt_out_BT, other.tgt_out_BT)


def test_other_weights_tokenise_nothing_again_with_the_same_tokenizer(corpora: Path) -> None:
    tokenizers = mixed({"big": 1, "small": 1}).tokenizers
    tokenizers.save(corpora)
    given = replace(SMALL, path=".")
    mixed({"big": 1, "small": 1}, tokenizer=given)
    pairs = cached("pairs-")
    modules = [mixed(mixture, tokenizer=given) for mixture in ({"big": 1, "small": 3}, {"big": 2, "small": 6})]
    assert cached("pairs-") == pairs
    three, six = (module.hashes()["train_sha256"] for module in modules)
    assert three == six != mixed({"big": 1, "small": 1}, tokenizer=given).hashes()["train_sha256"]


def test_one_corpus_with_a_weight_is_that_corpus(corpora: Path) -> None:
    plain, weighted = prepared(train="big/train"), mixed({"big": 5})
    assert plain.hashes() == weighted.hashes()
    assert [rows(batches) for batches in epochs(plain, 2)] == [rows(batches) for batches in epochs(weighted, 2)]


def test_the_start_says_what_comes_how_often(corpora: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        mixed({"big": 3, "small": 1})
    [line] = [record.message for record in caplog.records if record.message.startswith("train:")]
    assert line == (
        "train: 340 pairs; big/train 300 pairs, share 75.0%, each 0.85 times an epoch; small/train 40 pairs, "
        "share 25.0%, each 2.12 times an epoch"
    )


def test_the_tokenizer_is_trained_on_the_text_in_the_shares_of_the_training() -> None:
    lines = in_proportion([["a"] * 90, [f"b{i}" for i in range(10)]], [0.5, 0.5])
    assert Counter(lines) == {"a": 50, **{f"b{i}": 5 for i in range(10)}}


def test_the_longest_row_of_a_slot_is_planned_with() -> None:
    class Lengths:
        def lengths(self) -> torch.Tensor:
            return torch.tensor([[5, 9], [1, 1], [7, 2], [3, 3], [8, 8], [2, 1]])

    planned = MixedPairs(Lengths(), num_rows=[4, 2], shares=[1 / 3, 2 / 3], seed=1).lengths()
    assert planned.amax(1).tolist() == [3, 9, 2, 2, 8, 8]


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({}, r"^train names no corpus; give one, or several with weights such as \{data/news: 3, data/web: 1\}$"),
        ({"a": 1, "b": 0}, r"^the corpus b has the weight 0; give a positive number, or leave it out$"),
        ({"a": -1.5}, r"^the corpus a has the weight -1\.5; "),
        ({"a": float("nan")}, r"^the corpus a has the weight nan; "),
    ],
)
def test_weights_that_cannot_be_are_one_line(train: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        shares_of(train)


def test_a_training_on_a_mixture_goes_on_as_if_it_had_never_stopped(
    tmp_path: Path, toy_config: Path, toy_arguments: Arguments
) -> None:
    corpus = toy_config.parent
    train = json.dumps({str(corpus / "train"): 3, str(corpus / "valid"): 1})
    options = [f"--data.train={train}", "--trainer.val_check_interval=4", "--data.tokenizer.vocab_size=290"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert cli.main(toy_arguments(whole, *options, "--trainer.max_steps=20")) == 0
    assert cli.main(toy_arguments(parts, *options, "--trainer.max_steps=9")) == 0
    assert cli.main(toy_arguments(parts, *options, "--trainer.max_steps=20", "--resume=auto")) == 0
    assert_equal(weights(parts, "last"), weights(whole, "last"))
