"""What the audit says of corpora as text: figures, faults with their lines, held-out pairs that stand in train."""

import io
import json
from pathlib import Path

import pytest

from seq2seq.audit import text as audit_text
from seq2seq.audit.findings import Finding, Section, exit_code
from seq2seq.audit.lengths import bars, histogram, quantile
from seq2seq.audit.overlap import HeldOut
from seq2seq.audit.text import examine_text
from seq2seq.corpus import reading

LANGS = ("de", "en")
TRAIN = [
    ("Der alte Hund schläft hinter dem Haus.", "The old dog sleeps behind the house."),
    ("Zwei Katzen sehen einen Vogel.", "Two cats see a bird."),
    ("Zwei Katzen sehen einen Vogel!", "Two cats see a bird"),
    ("Um 12 Uhr <b>essen</b> wir.", "We eat at 11 o'clock."),
    ("", "Nothing."),
]


@pytest.fixture
def spec(tmp_path: Path) -> str:
    return write(tmp_path / "train", TRAIN)


def write(prefix: Path, pairs: list[tuple[str, str]]) -> str:
    for side, lang in enumerate(LANGS):
        text = "".join(f"{pair[side]}\n" for pair in pairs)
        prefix.with_suffix(f".{lang}").write_text(text, encoding="utf-8")
    return str(prefix)


def found(section: Section) -> dict[str, list[int]]:
    return {finding.check: list(finding.lines) for finding in section.findings}


@pytest.mark.parametrize("rows_at_once", [10_000, 2])
def test_faults_are_found_with_their_lines(spec: str, monkeypatch: pytest.MonkeyPatch, rows_at_once: int) -> None:
    monkeypatch.setattr(reading, "ROWS_AT_ONCE", rows_at_once)
    section = examine_text("train", spec, LANGS)
    assert found(section) == {"blank": [5], "markup": [4], "numbers": [4], "duplicates": [3]}
    examples = {finding.check: finding.examples for finding in section.findings}
    assert examples["duplicates"] == ("line 3: Zwei Katzen sehen einen Vogel! ||| Two cats see a bird",)
    assert section.figures["pairs"] == 5
    assert section.figures["de"] == {"words": 22, "median": 5, "99 %": 7, "longest": 7}


def test_a_share_decides_between_note_and_warning(tmp_path: Path) -> None:
    sound = [(f"Satz {n} ist gut.", f"Sentence {n} is good.") for n in "abcdefghijklmnopqrstuvwxyz"] * 10
    few = write(
        tmp_path / "few", [*sound[:26], *((f"{s} {n}", f"{t} {n}") for n, (s, t) in enumerate(sound)), ("<b>x", "x")]
    )
    [finding] = [finding for finding in examine_text("train", few, LANGS).findings if finding.check == "markup"]
    assert finding.level == "note"
    assert finding.message == "1 pair (0.35%): residue of markup (clean --markup)"
    [finding] = [
        finding
        for finding in examine_text("train", write(tmp_path / "many", TRAIN * 5), LANGS).findings
        if finding.check == "markup"
    ]
    assert finding.level == "warning"


def test_a_language_that_nothing_knows_is_said_not_to_have_been_looked_at(tmp_path: Path) -> None:
    write(tmp_path / "train", TRAIN)
    (tmp_path / "train.de").rename(tmp_path / "train.src")
    (tmp_path / "train.en").rename(tmp_path / "train.tgt")
    section = examine_text("train", str(tmp_path / "train"), ("src", "tgt"))
    assert section.text[0].startswith("languages were not looked at: language does not know 'src'")


def test_bytes_that_would_end_a_training_are_an_error(spec: str) -> None:
    path = Path(f"{spec}.de")
    path.write_bytes(path.read_bytes().replace(b"Zwei", b"Zw\xe4i", 1))
    [error] = [finding for finding in examine_text("train", spec, LANGS).findings if finding.level == "error"]
    assert "train.de line 2: byte 0xe4 is not UTF-8" in error.message
    path.write_text("\ufffd so geschrieben\n" * 5, encoding="utf-8")
    assert "bytes" not in found(examine_text("train", spec, LANGS))


def test_held_out_pairs_are_found_by_kind(spec: str) -> None:
    held_out = HeldOut(
        "valid",
        [
            "Zwei Katzen sehen einen Vogel.",
            "der ALTE hund schläft hinter dem haus",
            "Um 13 Uhr <b>essen</b> wir.",
            "Neu.",
            "Ja.",
        ],
        ["Two cats see a bird.", "The old dog sleeps behind the house!", "At noon we eat.", "Nothing!", "Yes."],
    )
    examine_text("train", spec, LANGS, held_out=[held_out])
    section = held_out.section()
    assert section.figures == {"exact": 1, "near": 1, "source": 1, "target": 1}
    assert [finding.lines for finding in section.findings] == [(1,), (2,), (3,), (4,)]
    assert {finding.level for finding in section.findings} == {"warning"}
    assert section.findings[1].examples == (
        "line 2 is line 1 of train: der ALTE hund schläft hinter dem haus ||| The old dog sleeps behind the house!",
    )


def test_a_set_that_is_new_has_no_finding(spec: str) -> None:
    held_out = HeldOut("test", ["Etwas anderes."], ["Something else."])
    examine_text("train", spec, LANGS, held_out=[held_out])
    section = held_out.section()
    assert (section.findings, section.text) == ([], ["none of 1 pairs, neither wholly nor on one side"])


def test_only_so_many_lines_are_listed(spec: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(audit_text, "MOST_LINES", 2)
    spec = write(tmp_path / "blank", [("", "x")] * 7)
    [finding] = [finding for finding in examine_text("train", spec, LANGS).findings if finding.check == "blank"]
    assert finding.lines == (1, 2)
    assert finding.message.startswith("7 pairs (100.00%)")


def test_lengths_are_counted_in_classes() -> None:
    lengths = histogram([1, 2, 3, 4, 300])
    assert [quantile(lengths, share) for share in (0.2, 0.5, 0.8, 1.0)] == [1, 3, 4, 300]
    lines = bars(lengths, histogram([1, 8]), LANGS)
    assert [line.split() for line in lines[1:]] == [
        ["1-5", "█" * 24, "80.0%", "█" * 15, "50.0%"],
        ["6-10", "0.0%", "█" * 15, "50.0%"],
        [">", "200", "█" * 6, "20.0%", "0.0%"],
    ]


def test_a_section_prints_the_worst_first_and_tells_programs_the_same() -> None:
    note, error = Finding("b", "note", "not bad"), Finding("a", "error", "bad", ("here",), (7,))
    section = Section("Title", ["figures"], {"n": 1}, [note, error])
    out = io.StringIO()
    section.print(out)
    assert out.getvalue() == "\nTitle\n  figures\n  error: bad\n      here\n  note: not bad\n"
    assert json.loads(json.dumps(section.as_dict()))["findings"][1]["lines"] == [7]
    assert exit_code([Section("x"), section]) == 2
    assert exit_code([Section("x", findings=[note])]) == exit_code([]) == 0
