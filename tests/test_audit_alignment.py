"""Pairs that are no translations of each other and shifted stretches, in the demo corpus with faults put in."""

import random
import sys
from pathlib import Path

import numpy as np
import pytest

from seq2seq.audit import alignment
from seq2seq.audit.alignment import examine_alignment
from seq2seq.audit.findings import Finding, Section
from seq2seq.audit.model1 import Model1, Words, words_of

sys.path.insert(0, str(Path(__file__).parents[1] / "data_scripts"))
import demo

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
EXTRA = "This line belongs to nothing."
Lines = list[str]


@pytest.fixture(scope="module")
def pairs() -> tuple[Lines, Lines]:
    """1,200 clean pairs of the demo corpus."""
    train = demo.generate(train=1200, valid=1, test=1, test_long=30)["train"]
    return [pair.de for pair in train], [pair.en for pair in train]


def examine(folder: Path, src: Lines, tgt: Lines) -> Section:
    for lang, lines in (("de", src), ("en", tgt)):
        (folder / f"train.{lang}").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return examine_alignment(str(folder / "train"), "de", "en", "train")


def swapped(lines: Lines, share: float) -> tuple[Lines, set[int]]:
    """A share of the lines in each other's places, and the numbers of these."""
    rows = random.Random(1).sample(range(len(lines)), round(share * len(lines)))
    lines = list(lines)
    for row, line in zip(rows, [lines[row] for row in rows[1:] + rows[:1]], strict=True):
        lines[row] = line
    return lines, {row + 1 for row in rows}


def shifts(section: Section) -> list[tuple[int, int, int]]:
    return [tuple(stretch.values()) for stretch in section.figures["stretches"]]


def only(section: Section, check: str) -> Finding:
    (finding,) = [finding for finding in section.findings if finding.check == check]
    return finding


def test_clean_text_gives_no_finding(tmp_path: Path, pairs: tuple[Lines, Lines]) -> None:
    section = examine(tmp_path, *pairs)
    assert section.findings == []
    assert section.figures["found_share"] > 0.8


def test_pairs_that_were_swapped_are_found(tmp_path: Path, pairs: tuple[Lines, Lines]) -> None:
    tgt, numbers = swapped(pairs[1], 0.05)
    section = examine(tmp_path, pairs[0], tgt)
    finding = only(section, "misaligned")
    found = set(finding.lines)
    assert finding.level == "warning"
    assert len(found & numbers) > 0.6 * len(numbers)
    assert len(found & numbers) > 0.9 * len(found)
    assert section.figures["misaligned_share"] == pytest.approx(0.05, abs=0.015)
    assert len(finding.examples) == 3
    assert finding.examples[0].startswith("train line ")
    assert " ||| " in finding.examples[0]


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        pytest.param([(0, 400), (401, 501), None, (501, 1200)], [(401, 501, -1)], id="lost"),
        pytest.param([(0, 400), None, (400, 499), (500, 1200)], [(401, 500, 1)], id="too many"),
        pytest.param([(1, 31), None, (31, 1200)], [(1, 31, -1)], id="at the beginning"),
        pytest.param([(0, 1170), None, (1170, 1199)], [(1171, 1200, 1)], id="at the end"),
        pytest.param(
            [(0, 300), (301, 501), (502, 802), None, None, (802, 1200)], [(301, 501, -1), (502, 802, -2)], id="two"
        ),
        pytest.param([None, (0, 1199)], [(1, 1200, 1)], id="all"),
    ],
)
def test_a_shifted_stretch_is_found_with_its_offset(
    tmp_path: Path,
    pairs: tuple[Lines, Lines],
    kept: list[tuple[int, int] | None],
    expected: list[tuple[int, int, int]],
) -> None:
    tgt = [line for part in kept for line in (pairs[1][slice(*part)] if part else [EXTRA])]
    section = examine(tmp_path, pairs[0], tgt)
    found = shifts(section)
    assert [offset for *_, offset in found] == [offset for *_, offset in expected]
    for (first, last, _), (true_first, true_last, _) in zip(found, expected, strict=True):
        # A line at an end may fit both ways.
        assert abs(first - true_first) <= 2
        assert abs(last - true_last) <= 2
    assert {finding.level for finding in section.findings if finding.check == "shifted"} == {"error"}
    assert not [finding for finding in section.findings if finding.level == "warning"]


def test_a_shift_is_told_in_one_line(tmp_path: Path, pairs: tuple[Lines, Lines]) -> None:
    tgt = [*pairs[1][:400], *pairs[1][401:501], EXTRA, *pairs[1][501:]]
    finding = only(examine(tmp_path, pairs[0], tgt), "shifted")
    assert "train lines 401 to 501 are shifted: each target belongs to the source 1 line below" in finding.message
    assert finding.lines == tuple(range(401, 502))


def test_a_long_corpus_is_read_in_part(
    tmp_path: Path, pairs: tuple[Lines, Lines], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alignment, "_MOST_PAIRS", 400)  # every fourth line
    tgt = [*pairs[1][:400], *pairs[1][401:501], EXTRA, *pairs[1][501:]]
    section = examine(tmp_path, pairs[0], tgt)
    assert section.text[0] == "1,200 pairs, every 4th looked at"
    ((first, last, offset),) = shifts(section)
    assert (abs(first - 401) <= 2, abs(last - 501) <= 2, offset) == (True, True, -1)


def test_two_different_texts_are_told(tmp_path: Path, pairs: tuple[Lines, Lines]) -> None:
    src, tgt = pairs[0][:1000], random.Random(1).sample(pairs[1], 1000)
    finding = only(examine(tmp_path, src, tgt), "misaligned")
    assert finding.level == "warning"
    assert "train lines 1 to 1,000: hardly any fits its target, or one near" in finding.message


def test_a_stretch_of_another_text_is_told_as_such(tmp_path: Path, pairs: tuple[Lines, Lines]) -> None:
    src = [*pairs[0][:600], *random.Random(1).sample(pairs[0][600:800], 200), *pairs[0][800:]]
    section = examine(tmp_path, src, pairs[1])
    ((first, last, offset),) = shifts(section)
    assert (abs(first - 601) <= 3, abs(last - 800) <= 3, offset) == (True, True, None)
    assert only(section, "misaligned").level == "warning"


def test_empty_lines_say_nothing(tmp_path: Path, pairs: tuple[Lines, Lines]) -> None:
    section = examine(tmp_path, pairs[0], [line if number % 2 else "" for number, line in enumerate(pairs[1])])
    assert section.findings == []
    assert examine(tmp_path, [""] * 1000, [""] * 1000).findings == []


def test_text_without_spaces_is_taken_by_characters(tmp_path: Path, pairs: tuple[Lines, Lines]) -> None:
    words = sorted({word for line in pairs[0] for word in line.split()})
    han = {word: chr(0x4E00 + number) for number, word in enumerate(words)}
    tgt, numbers = swapped(pairs[1], 0.05)
    finding = only(
        examine(tmp_path, ["".join(han[word] for word in line.split()) for line in pairs[0]], tgt), "misaligned"
    )
    assert len(numbers & set(finding.lines)) > 0.6 * len(numbers)


def test_a_small_corpus_is_not_judged(tmp_path: Path, pairs: tuple[Lines, Lines]) -> None:
    section = examine(tmp_path, pairs[0][:900], pairs[1][100:1000])
    assert section.findings == []
    assert section.text == ["900 pairs: too few to learn from which words translate which (1,000 are needed)"]


def test_a_task_whose_words_say_nothing_is_not_judged(tmp_path: Path) -> None:
    dice = random.Random(1)
    src, tgt = ([" ".join(dice.choices("0123456789", k=8)) for _ in range(1500)] for _ in range(2))
    section = examine(tmp_path, src, tgt)
    assert section.findings == []
    assert section.text[-1].endswith("which say little about each other: no judgement")


def test_words_are_runs_of_letters_and_marks() -> None:
    assert words_of("Don't, 12.5 Öl naïve") == ["don", "t", "12", "5", "öl", "naïve"]
    assert words_of("हिन्दी में।") == ["हिन्दी", "में"]
    assert words_of("東京へ go") == ["東", "京", "へ", "go"]


def test_model_1_learns_the_example_of_the_textbooks() -> None:
    """das Haus, das Buch, ein Buch: what "das" is, the other pairs tell (Koehn 2010, "SMT", figure 4.4)."""
    words = Words()
    src = words.read(["das Haus", "das Buch", "ein Buch"] * 50)
    tgt = words.read(["the house", "the book", "a book"] * 50)
    model = Model1(src.with_null(), tgt, np.arange(150), len(words))
    one, other = words.read(["das", "Haus", "Buch", "ein"]), words.read(["the", "house", "book", "a"])
    scores = np.array([model.score(one.with_null(), np.full(4, row), other, np.arange(4)).total for row in range(4)])
    assert scores.argmax(axis=1).tolist() == [0, 1, 2, 3]
    assert (scores[~np.eye(4, dtype=bool)] < 0).all()
    assert (np.diag(scores) > 0).all()


@pytest.mark.skipif(not (SHARED / "multi30k").is_dir(), reason="the shared corpora are not here")
@pytest.mark.parametrize("corpus", ["multi30k/val", "multi30k/test_2016_flickr", "tatoeba/valid", "news/valid"])
def test_real_text_that_is_clean_gives_no_warning(corpus: str) -> None:
    section = examine_alignment(str(SHARED / corpus), "de", "en", corpus)
    assert {finding.level for finding in section.findings} <= {"note"}


@pytest.mark.skipif(not (SHARED / "tatoeba").is_dir(), reason="the shared corpora are not here")
def test_faults_in_real_text_are_found(tmp_path: Path) -> None:
    src, tgt = (
        (SHARED / "tatoeba" / f"train.{lang}").read_text(encoding="utf-8").split("\n")[:10_000] for lang in ("de", "en")
    )
    tgt, numbers = swapped([*tgt[:5000], *tgt[5001:5101], EXTRA, *tgt[5101:]], 0.02)
    section = examine(tmp_path, src, tgt)
    ((first, last, offset),) = shifts(section)
    assert (abs(first - 5001) <= 2, abs(last - 5101) <= 2, offset) == (True, True, -1)
    finding = only(section, "misaligned")
    apart = numbers - set(range(5001, 5102))
    assert finding.level == "warning"
    assert len(apart & set(finding.lines)) > 0.5 * len(apart)
    assert len(apart & set(finding.lines)) > 0.7 * len(finding.lines)
