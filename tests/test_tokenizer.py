"""SentencePiece models: what every vocabulary shares, and that no text is lost in them."""

import io
import pickle
import random
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sentencepiece

from seq2seq.special_ids import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from seq2seq.tokenizer import Tokenizer, TokenizerPair

CORPORA = Path(__file__).parents[2] / "shared" / "data"
STRANGE = [
    "",
    " ",
    "\t",
    "a  b   c",
    "  in front",
    "behind  ",
    "tab\there",
    "line\u2028separator\u2029paragraph\x85next\x0bvertical\x0cfeed",
    "nul\x00 bell\x07 escape\x1b delete\x7f",
    "▁",
    "▁▁ a▁b ▁",
    "😀 👨‍👩‍👧 🇩🇪",
    "日本語 العربية ελληνικά",
    "<s> </s> <unk> <pad> <0x41> ⁇",
    "e\u0301 = é, ﬁ, ½, Ⅷ, ａｂｃ",
    "\ufeffmark, soft\u00adhyphen, zero\u200bwidth, no\u00a0break, \ufffd",
    "\U0010ffff \ue000",
    "x" * 3000,
]


@pytest.fixture(scope="module", params=["unigram", "bpe"])
def tokenizer(request: pytest.FixtureRequest, sentences: list[str]) -> Tokenizer:
    return Tokenizer.train(sentences, kind=request.param, vocab_size=295)


def test_special_ids_come_first_and_no_text_contains_them(tokenizer: Tokenizer) -> None:
    assert tokenizer.pieces([PAD_ID, UNK_ID, BOS_ID, EOS_ID]) == ["<pad>", "<unk>", "<s>", "</s>"]
    assert tokenizer.vocab_size == 295
    used = {i for row in tokenizer.encode(STRANGE) for i in row}
    assert used and min(used) > EOS_ID


@pytest.mark.parametrize("normalization", ["nmt_nfkc", "nfkc", "nmt_nfkc_cf", "nfkc_cf", "identity"])
@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_decoding_an_encoding_gives_the_normalised_text(kind, normalization, sentences: list[str]) -> None:
    tokenizer = Tokenizer.train(sentences, kind=kind, vocab_size=295, normalization=normalization)
    for line in STRANGE + sentences:
        assert tokenizer.decode(tokenizer.encode([line])) == tokenizer.normalize([line])
    assert tokenizer.normalize(["  über  Öl  😀"]) == ["über öl 😀" if normalization.endswith("cf") else "über Öl 😀"]


@pytest.mark.skipif(not CORPORA.is_dir(), reason="the corpora of ../shared/data are not here")
@pytest.mark.parametrize("corpus", ["multi30k", "news", "tatoeba"])
def test_decoding_an_encoding_gives_the_normalised_text_of_every_corpus_line(corpus: str) -> None:
    texts = {path: path.read_text(encoding="utf-8").split("\n") for path in sorted((CORPORA / corpus).glob("*.*"))}
    tokenizer = Tokenizer.train((line for lines in texts.values() for line in lines[:500]), kind="bpe", vocab_size=1000)
    for path, lines in texts.items():
        ids = tokenizer.encode(lines)
        assert not any(UNK_ID in row for row in ids), path
        assert tokenizer.decode(ids) == tokenizer.normalize(lines), path
    assert len(texts) >= 6


WORDS = ["open ( shut ) go", "go open 12 + 345", "über"]


@pytest.fixture(scope="module")
def word_tokenizer() -> Tokenizer:
    return Tokenizer.train(WORDS * 2, kind="word", vocab_size=8000, normalization="identity")


def test_of_the_kind_word_each_word_is_one_piece_and_the_vocabulary_holds_no_more(word_tokenizer: Tokenizer) -> None:
    words = {word for line in WORDS for word in line.split()}
    assert word_tokenizer.vocab_size == 4 + 256 + len(words)
    for line, ids in zip(WORDS, word_tokenizer.encode(WORDS), strict=True):
        assert word_tokenizer.pieces(ids) == ["▁" + word for word in line.split()]
        assert word_tokenizer.words_of_line(line) == word_tokenizer.words_of_ids(ids) == list(range(len(ids)))


def test_the_most_frequent_words_are_pieces_where_not_all_can_be() -> None:
    tokenizer = Tokenizer.train(["a a a b b c", "a b d"], kind="word", vocab_size=262)
    assert tokenizer.vocab_size == 262
    assert tokenizer.pieces([260, 261]) == ["▁a", "▁b"]


def test_a_word_without_a_piece_is_spelt_as_bytes_and_comes_back(word_tokenizer: Tokenizer) -> None:
    for line in [*STRANGE, "new go", "go new new go", "go new"]:
        assert word_tokenizer.decode(word_tokenizer.encode([line])) == word_tokenizer.normalize([line])
    (ids,) = word_tokenizer.encode(["new go né"])
    assert UNK_ID not in ids
    # A space is three bytes, é two.
    assert word_tokenizer.words_of_ids(ids) == [0] * 6 + [1] + [2] * 6
    assert word_tokenizer.words_of_line("new go né") == [0] * 6 + [1] + [2] * 6
    assert word_tokenizer.unknown("new go né") == ["new", "né"]


def test_training_twice_gives_the_same_bytes(tokenizer: Tokenizer, sentences: list[str]) -> None:
    for kind in ("unigram", "bpe"):
        first, second = (Tokenizer.train(iter(sentences), kind=kind, vocab_size=290) for _ in range(2))
        assert first.model == second.model


def test_special_ids_are_passed_over_in_decoding(tokenizer: Tokenizer) -> None:
    [ids] = tokenizer.encode(["der Hund"])
    assert tokenizer.decode([[BOS_ID, *ids, EOS_ID, PAD_ID], [UNK_ID], []]) == ["der Hund", "", ""]


def test_a_decoded_text_is_one_line_whatever_bytes_a_model_produces(tokenizer: Tokenizer) -> None:
    ends = [i for i, piece in enumerate(tokenizer.pieces(range(260))) if piece in ("<0x0A>", "<0x0D>")]
    assert len(ends) == 2
    [hund] = tokenizer.encode(["Hund"])
    assert tokenizer.decode([[*hund, *ends, *hund]]) == ["Hund   Hund"]
    assert tokenizer.decode([[4 + 0xF0, 4 + 0x9F]]) == ["��"], "half a character is no reason to fail"


def test_each_piece_stands_in_a_word_of_the_text(sentences: list[str]) -> None:
    tokenizer = Tokenizer.train(sentences, kind="bpe", vocab_size=320)
    line = "  die\u00a0Katze   漢x."
    pieces = tokenizer.pieces(tokenizer.encode([line])[0])
    assert pieces == ["▁die", "▁Katze", "▁", "<0xE6>", "<0xBC>", "<0xA2>", "<0x78>", "."]
    assert tokenizer.words_of_line(line) == [0, 1, 2, 2, 2, 2, 2, 2]
    (ids,) = tokenizer.encode(["die Katze"])
    space = tokenizer.encode([line])[0][2]
    assert tokenizer.words_of_ids([ids[0], UNK_ID, space, ids[1], EOS_ID]) == [0, None, 1, 1, None]
    assert tokenizer.words_of_ids([ids[0], space]) == [0, None]  # nothing follows


def test_pieces_of_strange_text_stand_in_its_words(tokenizer: Tokenizer) -> None:
    for line in STRANGE:
        (ids,) = tokenizer.encode([line])
        for text, words in ((line, tokenizer.words_of_line(line)), (tokenizer.decode([ids])[0], None)):
            found = tokenizer.words_of_ids(ids) if words is None else words
            assert len(found) == len(ids)
            numbers = [number for number in found if number is not None]
            assert numbers == sorted(numbers)
            assert set(numbers) <= set(range(len(text.split())))


def test_what_has_no_piece_is_unknown(sentences: list[str]) -> None:
    tokenizer = Tokenizer.train(sentences, kind="bpe", vocab_size=320)
    assert tokenizer.unknown("die Katze sieht 漢字 und 😀.") == ["漢", "字", "😀"]
    assert tokenizer.unknown(sentences[3]) == tokenizer.unknown("") == []


def test_sampling_is_reproducible_by_seed_and_keeps_the_text(tokenizer: Tokenizer, sentences: list[str]) -> None:
    drawn = tokenizer.sample(sentences, alpha=0.3, seed=7)
    assert tokenizer.sample(sentences, alpha=0.3, seed=7) == drawn
    assert tokenizer.sample(sentences, alpha=0.3, seed=8) != drawn
    assert drawn != tokenizer.encode(sentences)
    assert tokenizer.decode(drawn) == tokenizer.normalize(sentences)
    assert len({tuple(row) for row in tokenizer.sample(sentences[11:12] * 20, alpha=0.3, seed=7)}) > 1


def test_sampling_is_the_same_in_another_process(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "t.model")
    code = f"""if True:
        from seq2seq.tokenizer import Tokenizer
        print(Tokenizer.load({str(tmp_path / "t.model")!r}).sample(["der Hund sieht die Katze"] * 9, alpha=0.3, seed=7))
    """
    root = Path(__file__).parents[1]
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root).stdout
    assert printed.strip() == str(tokenizer.sample(["der Hund sieht die Katze"] * 9, alpha=0.3, seed=7))


def test_strange_text_survives_sampling(tokenizer: Tokenizer) -> None:
    assert tokenizer.decode(tokenizer.sample(STRANGE, alpha=0.3, seed=1)) == tokenizer.normalize(STRANGE)


def test_the_calmest_sampling_is_the_best_segmentation(sentences: list[str]) -> None:
    for kind, alpha in (("unigram", 1e4), ("bpe", 0.0)):
        tokenizer = Tokenizer.train(sentences, kind=kind, vocab_size=295)
        text = sentences + ["Katzenhaus 123", "überöl", "日本 Hund"]
        assert tokenizer.sample(text, alpha=alpha, seed=1) == tokenizer.encode(text)


def test_unigram_segmentations_come_as_often_as_sentencepiece_draws_them() -> None:
    generator = random.Random(1)
    words = ["".join(generator.choices("abc", k=generator.randint(1, 6))) for _ in range(300)]
    tokenizer = Tokenizer.train(words, kind="unigram", vocab_size=290)
    processor = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.model)
    lines = ["abcab bca"] * 4000
    for alpha in (0.1, 0.5, 1.0):
        ours = Counter(map(tuple, tokenizer.sample(lines, alpha=alpha, seed=1)))
        theirs = Counter(map(tuple, processor.encode(lines, enable_sampling=True, alpha=alpha, nbest_size=-1)))
        assert len(theirs) > 20
        for ids, count in theirs.most_common(10):
            # Six standard deviations: SentencePiece's draws differ from run to run.
            assert abs(ours[ids] - count) < 6 * (2 * count) ** 0.5, (alpha, ours.most_common(5), theirs.most_common(5))


def test_bpe_leaves_out_the_given_share_of_merges() -> None:
    tokenizer = Tokenizer.train(["a b ab c d"] * 3, kind="bpe", vocab_size=266)
    assert [tokenizer.pieces(ids) for ids in tokenizer.encode(["a", "ab"])] == [["▁a"], ["▁a", "b"]]
    drawn = Counter(map(len, tokenizer.sample(["ab"] * 4000, alpha=0.3, seed=1)))
    assert drawn.keys() == {2, 3} and abs(drawn[3] / 4000 - 0.3) < 0.03
    assert tokenizer.pieces(tokenizer.sample(["ab"], alpha=1.0, seed=1)[0]) == ["▁", "a", "b"]


def test_threads_do_not_disturb_each_others_sampling(tokenizer: Tokenizer, sentences: list[str]) -> None:
    alone = [tokenizer.sample(sentences, alpha=0.3, seed=seed) for seed in range(20)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda seed: tokenizer.sample(sentences, alpha=0.3, seed=seed), range(20)))
    assert together == alone


def test_a_tokenizer_survives_pickling_saving_and_many_lines_at_once(
    tokenizer: Tokenizer, sentences: list[str], tmp_path: Path
) -> None:
    expected = [ids for line in sentences for ids in tokenizer.encode([line])]
    tokenizer.save(tmp_path / "t.model")
    for copy in (pickle.loads(pickle.dumps(tokenizer)), Tokenizer.load(tmp_path / "t.model")):
        assert copy.encode(sentences) == expected
    assert tokenizer.encode(sentences * 20) == expected * 20


def test_a_pair_is_saved_as_one_file_if_joint_and_as_two_if_not(
    tokenizers: TokenizerPair, separate_tokenizers: TokenizerPair, tmp_path: Path
) -> None:
    for pair, joint, names in (
        (tokenizers, True, ["tokenizer.model"]),
        (separate_tokenizers, False, ["tokenizer.src.model", "tokenizer.tgt.model"]),
    ):
        folder = tmp_path / str(joint)
        folder.mkdir()
        assert pair.joint is joint
        assert pair.save(folder) == names == sorted(path.name for path in folder.iterdir())
        loaded = TokenizerPair.load(folder)
        assert (loaded.src.model, loaded.tgt.model) == (pair.src.model, pair.tgt.model)
    with pytest.raises(FileNotFoundError, match="looked for tokenizer.model"):
        TokenizerPair.load(tmp_path)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"vocab_size": 0}, "vocab_size 0 must be positive"),
        ({"vocab_size": 265}, r"vocab_size 265 is too small: .* need 2\d\d; raise vocab_size"),
        ({"vocab_size": 50_000}, r"vocab_size 50000 is too large: this text gives at most \d+ pieces; lower"),
        ({"character_coverage": 0.5}, "character_coverage 0.5 must lie between 0.98 and 1"),
        ({"normalization": "nfd"}, "unknown normalization 'nfd'; choose nmt_nfkc"),
    ],
)
@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_an_impossible_setting_gives_one_line_and_nothing_else(
    kind, setting: dict, message: str, sentences: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match=message) as error:
        Tokenizer.train(sentences, **({"kind": kind, "vocab_size": 295} | setting))
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("vocab_size", [1, 259])
def test_words_need_room_beside_bytes_and_special_ids(vocab_size: int) -> None:
    message = rf"vocab_size {vocab_size} is too small: bytes and special ids alone need 260; raise vocab_size"
    with pytest.raises(ValueError, match=message):
        Tokenizer.train(["a b"], kind="word", vocab_size=vocab_size)


def test_training_says_nothing(sentences: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    Tokenizer.train(sentences, kind="unigram", vocab_size=295)
    assert capfd.readouterr() == ("", "")


def test_no_text_is_an_error() -> None:
    with pytest.raises(ValueError, match="there is no text"):
        Tokenizer.train(["", " "], kind="bpe", vocab_size=295)


def test_a_foreign_model_with_other_special_ids_is_refused(sentences: list[str], tmp_path: Path) -> None:
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences), model_writer=written, vocab_size=50, hard_vocab_limit=False, minloglevel=2
    )
    (tmp_path / "foreign.model").write_bytes(written.getvalue())
    with pytest.raises(
        ValueError, match=r"foreign.model: .* at -1, 0, 1, 2; they must be at 0, 1, 2, 3: train it with"
    ):
        Tokenizer.load(tmp_path / "foreign.model")
    (tmp_path / "text.model").write_text("no model", encoding="utf-8")
    with pytest.raises(ValueError, match=r"text.model: this is not a SentencePiece model"):
        Tokenizer.load(tmp_path / "text.model")
