"""From raw text to batches: what is dropped, what is cached, what is refused."""

import json
import logging
import random
import shutil
from dataclasses import replace
from pathlib import Path

import datasets
import pytest
import torch

from seq2seq.batching import Batch
from seq2seq.datamodule import TokenizerConfig, TranslationDataModule
from seq2seq.special_ids import EOS_ID, PAD_ID
from seq2seq.tokenizer import Tokenizer, TokenizerPair

SMALL = TokenizerConfig(kind="bpe", vocab_size=285)


def write_corpus(folder: Path, num_train: int = 300) -> None:
    """train, valid and test in `folder`: each word has its translation."""
    generator = random.Random(1)
    words = {
        "Hund": "dog",
        "Katze": "cat",
        "läuft": "runs",
        "sieht": "sees",
        "schnell": "fast",
        "und": "and",
        "grün": "green",
    }
    for name, num_rows in (("train", num_train), ("valid", 20), ("test", 5)):
        lines = [generator.choices(list(words), k=generator.randint(1, 12)) for _ in range(num_rows)]
        (folder / f"{name}.de").write_text("".join(" ".join(line) + "\n" for line in lines), encoding="utf-8")
        translated = [" ".join(words[word] for word in line) for line in lines]
        (folder / f"{name}.en").write_text("".join(line + "\n" for line in translated), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a corpus, which is also the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEQ2SEQ_CACHE", str(tmp_path / "cache"))
    write_corpus(tmp_path)
    return tmp_path


def data(**settings) -> TranslationDataModule:
    defaults = {"train": "train", "valid": "valid", "tokenizer": SMALL, "max_tokens_per_batch": 300, "max_length": 100}
    return TranslationDataModule("de", "en", **(defaults | settings))


def prepared(**settings) -> TranslationDataModule:
    module = data(**settings)
    module.prepare_data()
    module.setup("fit")
    return module


def lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").split("\n")[:-1]


def texts(batch: Batch, tokenizers: TokenizerPair) -> list[tuple[int, str, str]]:
    src, tgt = tokenizers.src.decode(batch.src_BS.tolist()), tokenizers.tgt.decode(batch.tgt_out_BT.tolist())
    return list(zip(batch.rows_B.tolist(), src, tgt, strict=True))


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("sampling_alpha", [0.0, 0.2])
def test_an_epoch_gives_every_training_pair_once_within_the_limit(
    folder: Path, joint: bool, sampling_alpha: float
) -> None:
    module = prepared(tokenizer=replace(SMALL, joint=joint, sampling_alpha=sampling_alpha))
    assert module.tokenizers.joint is joint
    batches = list(module.train_dataloader())
    assert max(max(batch.src_BS.numel(), batch.tgt_in_BT.numel()) for batch in batches) <= 300
    found = sorted(pair for batch in batches for pair in texts(batch, module.tokenizers))
    assert found == list(zip(range(300), lines("train.de"), lines("train.en"), strict=True))


@pytest.mark.parametrize("sampling_alpha", [0.0, 0.2])
@pytest.mark.parametrize("streamed", [False, True])
def test_padded_lengths_are_multiples_and_batches_have_fewer_shapes(
    folder: Path, sampling_alpha: float, streamed: bool
) -> None:
    def epoch(**settings: object) -> list[Batch]:
        tokenizer = replace(SMALL, sampling_alpha=sampling_alpha)
        module = prepared(tokenizer=tokenizer, streaming=streamed, **settings)
        batches, seen, wanted = [], set(), set(zip(lines("train.de"), lines("train.en"), strict=True))
        for batch in module.train_dataloader():
            batches.append(batch)
            seen |= {(src, tgt) for _, src, tgt in texts(batch, module.tokenizers)}
            if seen == wanted:
                return batches
        raise AssertionError(f"{len(wanted - seen)} pairs never came")

    def shapes(batches: list[Batch]) -> set[tuple[int, ...]]:
        return {(*batch.src_BS.shape, batch.tgt_in_BT.shape[1]) for batch in batches}

    found = shapes(epoch(pad_to_multiple_of=8))
    assert all(S % 8 == 0 and T % 8 == 0 and B * max(S, T) <= 300 for B, S, T in found)
    assert len(found) < len(shapes(epoch())) / 2


def test_validation_keeps_raw_text_and_every_pair(folder: Path) -> None:
    long = "Hund " * 400
    (folder / "valid.de").write_text(f"Hund  Katze\n\n{long}\n", encoding="utf-8")
    (folder / "valid.en").write_text(f"\ndog\n{long}\n", encoding="utf-8")
    module = prepared()
    assert module.valid_src == ["Hund  Katze", "", long] and module.valid_tgt == ["", "dog", long]
    batches = list(module.val_dataloader())
    assert sorted(row for batch in batches for row in batch.rows_B.tolist()) == [0, 1, 2]
    [alone] = [batch for batch in batches if 2 in batch.rows_B]
    assert len(alone.rows_B) == 1 and alone.src_BS.shape[1] > 300
    [short] = [batch for batch in batches if 2 not in batch.rows_B]
    assert sorted((row, src, tgt) for row, src, tgt in texts(short, module.tokenizers)) == [
        (0, "Hund Katze", ""),
        (1, "", "dog"),
    ]


def test_empty_and_long_training_pairs_are_dropped_and_counted_in_one_line(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        (folder / "train.de").open("a", encoding="utf-8") as de,
        (folder / "train.en").open("a", encoding="utf-8") as en,
    ):
        de.write("\nHund\n \n" + "Hund " * 200 + "\nHund\n")
        en.write("dog\n\u200b\n\ndog\n" + "dog " * 200 + "\n")
    expected = ["train: 300 pairs, 5 dropped (3 empty, 2 longer than 100 pieces)", "valid: 20 pairs"]
    for _ in range(2):  # also when all is cached
        caplog.clear()
        with caplog.at_level(logging.INFO):
            module = prepared()
        assert [record.message for record in caplog.records if "pairs" in record.message] == expected
    assert sum(len(batch.rows_B) for batch in module.train_dataloader()) == 300


def test_the_length_limit_counts_the_end_of_the_sentence(folder: Path) -> None:
    module = prepared()
    longest = max(batch.src_BS.shape[1] for batch in module.train_dataloader())
    assert sum(len(batch.rows_B) for batch in prepared(max_length=longest).train_dataloader()) == 300
    assert sum(len(batch.rows_B) for batch in prepared(max_length=longest - 1).train_dataloader()) < 300


def test_a_second_start_tokenises_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = [batch.src_BS.tolist() for batch in prepared().train_dataloader()]

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("nothing is to be tokenised")

    monkeypatch.setattr(Tokenizer, "train", forbidden)
    monkeypatch.setattr(Tokenizer, "encode", forbidden)
    assert [batch.src_BS.tolist() for batch in prepared().train_dataloader()] == first
    assert [batch.src_BS.tolist() for batch in prepared(cache_dir="cache").train_dataloader()] == first
    setup_alone = data()  # as on the ranks that do not prepare
    setup_alone.setup("fit")
    assert [batch.src_BS.tolist() for batch in setup_alone.train_dataloader()] == first


def cached(kind: str) -> set[str]:
    return {path.name for path in Path("cache").iterdir() if path.is_dir() and path.name.startswith(kind)}


def test_the_cache_follows_contents_tokenizer_and_limit_and_nothing_else(folder: Path) -> None:
    prepared()
    tokenizers, pairs = cached("tokenizer-"), cached("pairs-")
    assert (len(tokenizers), len(pairs)) == (1, 2) and len(cached("")) == 3, "nothing unfinished is left"

    for name in ("train.de", "train.en"):
        shutil.copy(name, f"copied.{name[-2:]}")
    prepared(train="copied", seed=5, max_tokens_per_batch=500, tests={"t": "test"})
    prepared(tokenizer=replace(SMALL, sampling_alpha=0.1))
    assert (cached("tokenizer-"), cached("pairs-")) == (tokenizers, pairs), "same text, same settings"

    prepared(max_length=90)
    assert cached("tokenizer-") == tokenizers and len(cached("pairs-") - pairs) == 1, "only the training text anew"

    (folder / "valid.en").write_text("dog\n" * 20, encoding="utf-8")
    assert prepared().valid_tgt == ["dog"] * 20
    assert cached("tokenizer-") == tokenizers and len(cached("pairs-") - pairs) == 2

    write_corpus(folder, num_train=301)
    assert sum(len(batch.rows_B) for batch in prepared().train_dataloader()) == 301
    assert len(cached("tokenizer-") - tokenizers) == 1


def test_a_failed_start_leaves_nothing_half_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = Tokenizer.encode
    monkeypatch.setattr(Tokenizer, "encode", lambda self, lines: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        prepared()
    assert not cached("pairs-") and not cached("unfinished-")
    monkeypatch.setattr(Tokenizer, "encode", encode)
    assert len(prepared().valid_src) == 20


def test_a_given_tokenizer_is_used_and_none_is_trained(folder: Path, separate_tokenizers: TokenizerPair) -> None:
    (folder / "model").mkdir()
    separate_tokenizers.save(folder / "model")
    module = prepared(tokenizer=TokenizerConfig(path="model"))
    assert module.tokenizers.tgt.model == separate_tokenizers.tgt.model and not module.tokenizers.joint
    assert not cached("tokenizer-")
    module = prepared(tokenizer=TokenizerConfig(path="model/tokenizer.src.model"))
    assert module.tokenizers.joint and module.tokenizers.src.model == separate_tokenizers.src.model


@pytest.mark.parametrize(("kind", "alpha"), [("unigram", 0.05), ("bpe", 0.2)])
def test_pieces_are_drawn_anew_each_epoch_and_the_same_again_from_the_same_seed(folder: Path, kind, alpha) -> None:
    config = replace(SMALL, kind=kind, sampling_alpha=alpha)

    def epoch(number: int, **settings) -> dict[int, list[int]]:
        loader = prepared(tokenizer=config, **settings).train_dataloader()
        loader.batch_sampler.sampler.set_epoch(number)
        return {
            row: src for batch in loader for row, src in zip(batch.rows_B.tolist(), batch.src_BS.tolist(), strict=True)
        }

    def pieces(rows: dict[int, list[int]]) -> list[list[int]]:
        return [[i for i in rows[row] if i not in (PAD_ID, EOS_ID)] for row in range(300)]

    first = pieces(epoch(0))
    assert pieces(epoch(0)) == first
    assert pieces(epoch(0, num_workers=2)) == first
    best = prepared(tokenizer=config).tokenizers.src.encode(lines("train.de"))
    for other in (pieces(epoch(1)), pieces(epoch(0, seed=2)), best):
        assert sum(a != b for a, b in zip(first, other, strict=True)) > 20


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("sampling_alpha", [0.0, 0.2])
def test_training_resumes_in_the_middle_of_an_epoch_with_the_same_batches(
    folder: Path, num_workers: int, sampling_alpha: float
) -> None:
    settings = {"num_workers": num_workers, "tokenizer": replace(SMALL, sampling_alpha=sampling_alpha)}
    loader = prepared(**settings).train_dataloader()
    loader.batch_sampler.sampler.set_epoch(2)
    batches = iter(loader)
    for _ in range(3):
        next(batches)
    state = json.loads(json.dumps(loader.state_dict()))
    rest = list(batches)
    resumed = prepared(**settings).train_dataloader()
    resumed.load_state_dict(state)
    resumed.batch_sampler.sampler.set_epoch(2)
    again = list(resumed)
    assert len(again) == len(rest) == len(loader) - 3
    for one, other in zip(again, rest, strict=True):
        assert all(torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in zip(one, other, strict=True))


def test_every_form_of_a_corpus_gives_the_same_batches(folder: Path, separate_tokenizers: TokenizerPair) -> None:
    separate_tokenizers.save(folder)
    rows = [{"de": de, "en": en} for de, en in zip(lines("train.de"), lines("train.en"), strict=True)]
    (folder / "x.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    datasets.Dataset.from_list(rows).save_to_disk(folder / "saved")
    first, *others = (
        [
            batch.tgt_out_BT.tolist()
            for batch in prepared(train=spec, tokenizer=TokenizerConfig(path=".")).train_dataloader()
        ]
        for spec in ("train", "train.de,train.en", "x.jsonl", "saved")
    )
    assert all(other == first for other in others)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train": "nothing"}, r"no corpus 'nothing': looked for nothing\.de and nothing\.de\.gz"),
        ({"valid": "nothing"}, r"no corpus 'nothing'"),
        ({"tests": {"a": "test", "b": "nothing"}}, r"no corpus 'nothing'"),
        ({"tests": {"a": "test.de,train.en"}}, r"test\.de has 5 lines but train\.en has 300"),
        ({"tests": {"a/b": "test"}}, r"the test set name 'a/b' is not possible: it becomes a file name"),
        ({"valid": "test.de,train.en"}, r"test\.de has 5 lines but train\.en has 300"),
        ({"max_length": 2}, r"train has no usable pairs: 0 pairs, 300 dropped \(0 empty, 300 longer than 2 pieces\)"),
        ({"max_length": 301}, r"max_length 301 is above max_tokens_per_batch 300"),
        (
            {"max_length": 300, "pad_to_multiple_of": 8},
            r"max_length 300 \(padded to 304\) is above max_tokens_per_batch",
        ),
        ({"pad_to_multiple_of": 0}, r"pad_to_multiple_of is 0; it must be at least 1"),
        ({"tokenizer": TokenizerConfig(vocab_size=9000)}, r"vocab_size 9000 is too large: .* at most \d+ pieces"),
        ({"tokenizer": TokenizerConfig(path="no.model")}, r"no tokenizer no\.model; give a \.model file or a folder"),
        ({"tokenizer": TokenizerConfig(path="cache")}, r"no tokenizer in cache: looked for tokenizer\.model"),
        ({"tokenizer": TokenizerConfig(path="train.de")}, r"train\.de: this is not a SentencePiece model"),
        (
            {"cache_dir": "train.de/cache"},
            r"cannot write to the cache train\.de/cache \(Not a directory\); set cache_dir",
        ),
    ],
)
def test_what_cannot_be_trained_on_is_one_line_before_training(folder: Path, settings: dict, message: str) -> None:
    (folder / "cache").mkdir()
    with pytest.raises((ValueError, FileNotFoundError), match=message) as error:
        data(**settings).prepare_data()
    assert "\n" not in str(error.value)


def test_sampling_strength_is_checked() -> None:
    with pytest.raises(ValueError, match=r"sampling_alpha 1\.5 must lie between 0 \(off\) and 1"):
        TokenizerConfig(sampling_alpha=1.5)
    with pytest.raises(
        ValueError, match=r"sampling_alpha 0\.1: words are not cut; set it to 0, or kind to unigram or bpe"
    ):
        TokenizerConfig(kind="word", sampling_alpha=0.1)


@pytest.mark.parametrize("settings", [{"tests": {"late": "nothing"}}, {"valid": "test.de,train.en"}])
def test_broken_small_corpora_are_found_before_the_tokenizer_is_trained(folder: Path, settings: dict) -> None:
    with pytest.raises((ValueError, FileNotFoundError)):
        data(**settings).prepare_data()
    assert not Path("cache").exists()


def test_held_out_pairs_that_stand_in_train_are_counted(folder: Path) -> None:
    """Only pairs of which both sides stand on one line of train, whatever stands on other lines."""
    src, tgt = [f"Hund {n}" for n in range(300)], [f"dog {n}" for n in range(300)]
    write_lines(folder / "train", src, tgt)
    write_lines(folder / "valid", src * 2, [*tgt[1:], tgt[0], *tgt[:3], *["new"] * 297])
    write_lines(folder / "test", [*src[:2], "neu"], [*tgt[:2], tgt[5]])
    found = prepared(tests={"test": "test"}).shared_with_train()
    assert list(found) == [("valid", 3, 600), ("test", 2, 3)]


def write_lines(prefix: Path, src: list[str], tgt: list[str]) -> None:
    for side, lang in ((src, "de"), (tgt, "en")):
        prefix.with_suffix(f".{lang}").write_text("".join(f"{line}\n" for line in side), encoding="utf-8")
