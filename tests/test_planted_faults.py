"""Faults of many kinds, planted into a copy of Tatoeba: the audit finds every one, and `clean` takes them out."""

import json
import random
from pathlib import Path

import pytest

from seq2seq import cli
from seq2seq.audit.alignment import examine_alignment
from seq2seq.audit.findings import Section
from seq2seq.audit.overlap import HeldOut
from seq2seq.audit.text import examine_text
from seq2seq.corpus import read_pairs
from tests.planted_faults import FAULTS, plant

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
LANGS = ("de", "en")
NUMBER = 40  # of each kind

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data, which is for research use")


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[int]], Section]:
    """A folder with `sound` and `faulty`, the lines of the faults, and what the audit says of the sound corpus."""
    folder = tmp_path_factory.mktemp("planted")
    src, tgt = read_pairs(str(SHARED / "tatoeba" / "train"), *LANGS)
    sound = list(zip(src[:12_000], tgt[:12_000], strict=True))
    faulty, lines = plant(sound, NUMBER)
    for name, pairs in (("sound", sound), ("faulty", faulty)):
        for side, lang in enumerate(LANGS):
            text = "".join(f"{pair[side]}\n" for pair in pairs)
            (folder / f"{name}.{lang}").write_text(text, encoding="utf-8")
    return folder, lines, examine_text("train", str(folder / "sound"), LANGS)


def test_the_audit_finds_every_one_and_hardly_more(planted: tuple[Path, dict[str, list[int]], Section]) -> None:
    folder, lines, of_sound = planted
    found = {finding.check: set(finding.lines) for finding in examine_text("t", str(folder / "faulty"), LANGS).findings}
    before = {finding.check: len(finding.lines) for finding in of_sound.findings}
    of_check: dict[str, set[int]] = {}
    for kind, (check, _) in FAULTS.items():
        missed = set(lines[kind]) - found[check]
        assert not missed, f"{kind}: {check} misses {len(missed)} of {NUMBER}, such as line {min(missed)}"
        of_check.setdefault(check, set()).update(lines[kind])
    for check, wanted in of_check.items():
        planted_elsewhere = {line for kind in FAULTS for line in lines[kind]} - wanted
        alarms = found[check] - wanted - planted_elsewhere
        assert len(alarms) <= before.get(check, 0), f"{check} calls lines bad that it did not call bad before"


def test_a_lost_line_and_exchanged_translations_are_found(
    planted: tuple[Path, dict[str, list[int]], Section], tmp_path: Path
) -> None:
    folder, _, _ = planted
    src, tgt = read_pairs(str(folder / "sound"), *LANGS)
    levels = [finding.level for finding in examine_alignment(str(folder / "sound"), *LANGS, "train").findings]
    assert levels in ([], ["note"])
    exchanged = random.Random(1).sample(range(6000), 240)
    for a, b in zip(exchanged[::2], exchanged[1::2], strict=True):
        tgt[a], tgt[b] = tgt[b], tgt[a]
    tgt = [*tgt[:8000], *tgt[8001:9000], "A line of its own.", *tgt[9000:]]
    for lang, lines in zip(LANGS, (src, tgt), strict=True):
        (tmp_path / f"train.{lang}").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    found = {finding.check: finding for finding in examine_alignment(str(tmp_path / "train"), *LANGS, "t").findings}
    assert found["shifted"].level == "error"
    assert set(range(8005, 8995)) <= set(found["shifted"].lines) <= set(range(7995, 9005))
    suspects = {line - 1 for line in found["misaligned"].lines}
    assert found["misaligned"].level == "warning"
    # Short ones say too little.
    assert len(suspects & set(exchanged)) > 0.7 * len(exchanged)
    assert len(suspects & set(exchanged)) > 0.7 * len(suspects)


def test_held_out_pairs_in_train_are_found(planted: tuple[Path, dict[str, list[int]], Section]) -> None:
    folder, _, _ = planted
    src, tgt = read_pairs(str(folder / "sound"), *LANGS)
    new, rows = read_pairs(str(SHARED / "tatoeba" / "valid"), *LANGS), range(0, 12_000, 60)
    before = HeldOut("valid", *new)
    leaky = HeldOut(
        "valid",
        [*new[0], *(src[row] for row in rows), *(src[row].upper() for row in rows), *(src[row] for row in rows)],
        [*new[1], *(tgt[row] for row in rows), *(tgt[row].lower() for row in rows), *(f"No, {row}." for row in rows)],
    )
    examine_text("train", str(folder / "sound"), LANGS, held_out=[before, leaky])
    found = leaky.section().figures
    assert found == before.section().figures | {"exact": 200, "near": 200} | {
        "source": before.section().figures["source"] + 200
    }
    assert not [finding for finding in before.section().findings if finding.level != "note"]


def test_clean_takes_every_one_out(planted: tuple[Path, dict[str, list[int]], Section]) -> None:
    folder, lines, _ = planted
    argv = ["clean", str(folder / "faulty"), str(folder / "out"), "--src_lang", "de", "--tgt_lang", "en", "--all"]
    assert cli.main([*argv, "--dropped", str(folder / "dropped.tsv"), "--processes", "1"]) == 0
    rows = [line.split("\t") for line in (folder / "dropped.tsv").read_text(encoding="utf-8").split("\n")[:-1]]
    dropped = {int(line): rule for rule, line, *_ in rows}
    for kind, (check, _) in FAULTS.items():
        if check in ("normalize", "tidy", "numbers"):  # is changed, and numbers are the audit's alone
            continue
        kept = [line for line in lines[kind] if line not in dropped]
        # `tidy`, which comes first, has put the control characters right.
        assert not kept or kind == "control characters", f"{kind}: {len(kept)} of {NUMBER} are kept, as {kept[0]}"
    text = (folder / "out.de").read_text(encoding="utf-8") + (folder / "out.en").read_text(encoding="utf-8")
    assert not set(text) & set("\u00a0\u2028\u200b\ufeff\x07\x1b\u0308")
    report = json.loads((folder / "out.cleaning.json").read_text(encoding="utf-8"))
    assert report["pairs_in"] - report["pairs_out"] == len(dropped) == sum(report["dropped"].values())


def test_untouched_multi30k_has_no_warning() -> None:
    for name in ("train", "val", "test_2016_flickr", "test_2017_flickr"):
        section = examine_text(name, str(SHARED / "multi30k" / name), LANGS, processes=2 if name == "train" else 1)
        assert [finding for finding in section.findings if finding.level != "note"] == []
        most = {"tidy": 145, "markup": 16, "max_ratio": 2, "language": 13, "numbers": 3, "duplicates": 5}
        for finding in section.findings:
            assert len(finding.lines) <= most[finding.check], "docs/data.md shows and explains all that are found"
