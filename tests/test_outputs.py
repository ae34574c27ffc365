"""What `seq2seq translate` writes: JSON, word alignments and the page of attention maps."""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import seq2seq.report.attention
from seq2seq import cli
from seq2seq.bundle import load_bundle
from seq2seq.commands.outputs import Wanted, Written, pharaoh, side_files, write_lines
from seq2seq.decoding import SearchOptions
from seq2seq.report.attention import AttentionPage
from seq2seq.translator import Reading, Translation, Translator

BUNDLES = Path(__file__).parent / "data" / "bundles"
MODEL = str(BUNDLES / "0.1.0-attention")
LINES = ["der Hund schläft heute", "", "heute 漢 lacht unser König", "die Katze läuft nach Hause nicht"]
SEARCH = {"beam_width": 3, "num_best": 2, "max_length_factor": 1.0, "max_length_offset": 0}  # cuts some short
ARGUMENTS = [f"--{name}={value}" for name, value in SEARCH.items() if name != "num_best"]
ErrorOf = Callable[..., str]


@pytest.fixture(scope="module")
def translator() -> Translator:
    return Translator(load_bundle(MODEL), options=SearchOptions(**SEARCH))  # type: ignore[arg-type]


@pytest.fixture
def text(tmp_path: Path) -> str:
    """A file of LINES."""
    (tmp_path / "in").write_text("".join(line + "\n" for line in LINES), encoding="utf-8")
    return str(tmp_path / "in")


def test_json_has_a_line_for_a_line_with_the_figures_of_the_search(translator: Translator) -> None:
    wanted = Wanted(format="jsonl", nbest=True)
    nbests = translator.translate_nbest(LINES)
    objects = [json.loads(line.text) for line in write_lines(translator, LINES, nbests, 0, wanted)]
    for one, nbest in zip(objects, nbests, strict=True):
        assert one["nbest"][0] == {name: value for name, value in one.items() if name not in ("nbest", "unknown")}
        for entry, translation in zip(one["nbest"], nbest, strict=True):
            assert (entry["text"], entry["finished"]) == (translation.text, translation.finished)
            assert entry["score"] == pytest.approx(translation.score, abs=1e-5)
            assert entry["log_probability"] == pytest.approx(translation.log_probability, abs=1e-5)
            assert sum(entry["token_log_probabilities"]) == pytest.approx(translation.log_probability, abs=1e-3)
            assert len(entry["tokens"]) == len(entry["token_log_probabilities"])
            ends = ["</s>"] if translation.finished and translation.tokens else []
            assert entry["tokens"] == translator.tokenizers.tgt.pieces(translation.tokens) + ends
    assert [one["unknown"] for one in objects] == [[], [], ["漢"], []]
    assert objects[1]["tokens"] == []
    assert {entry["finished"] for one in objects for entry in one["nbest"] if entry["text"]} == {True, False}


def test_json_of_the_command_comes_with_what_is_asked_for(
    text: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    plain = ["translate", MODEL, *ARGUMENTS, "--input", text]
    assert cli.main(plain) == 0
    expected = capfdbinary.readouterr().out.decode().split("\n")[:-1]
    found = {}
    for name, options in {"plain": [], "best": ["--num_best", "2"], "aligned": ["--alignment"]}.items():
        assert cli.main([*plain, "--format", "jsonl", *options]) == 0
        found[name] = [json.loads(line) for line in capfdbinary.readouterr().out.decode().split("\n")[:-1]]
        assert [one["text"] for one in found[name]] == expected
    always = {"text", "score", "log_probability", "finished", "tokens", "token_log_probabilities", "unknown"}
    assert found["plain"][0].keys() == always
    assert found["best"][0].keys() == always | {"nbest"}
    assert found["aligned"][0].keys() == always | {"alignment", "attention", "source_tokens"}
    for one in found["aligned"]:
        assert len(one["attention"]) == len(one["tokens"])
        assert all(sum(row) == pytest.approx(1, abs=0.01) for row in one["attention"])
        assert all(len(row) == len(one["source_tokens"]) for row in one["attention"])


def test_an_alignment_joins_words_by_the_strongest_attention_of_each_piece(translator: Translator) -> None:
    src_pieces = ["▁d", "er", "▁H", "un", "d", "</s>"]
    rows = {  # weights on the pieces of the source
        "▁the": [0.4, 0.1, 0.1, 0.1, 0.3, 0.0],  # "der"
        "▁d": [0.0, 0.0, 0.2, 0.3, 0.2, 0.3],  # "Hund"
        "o": [0.0, 0.0, 0.1, 0.0, 0.3, 0.6],  # "Hund", for the end is left out
        "g": [0.1, 0.5, 0.0, 0.4, 0.0, 0.0],  # "der"
        "</s>": [0.0, 0.0, 0.0, 0.0, 1.0, 0.0],  # nothing, for it is no word
    }
    (tokens,) = translator.tokenizers.tgt.encode(["the dog"])
    reading = Reading(src_pieces, list(rows), [], torch.tensor(list(rows.values())))
    assert translator.tokenizers.tgt.pieces(tokens) == reading.tgt_pieces[:-1]
    translation = Translation("the dog", 0.0, 0.0, True, tokens)
    assert pharaoh(translator, "der Hund", translation, reading) == "0-0 0-1 1-1"


def test_alignments_go_to_a_file_with_a_line_for_a_line(
    text: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    for name, options in (("plain", []), ("best", ["--num_best", "2"]), ("json", ["--format", "jsonl"])):
        asked = ["--alignment", str(tmp_path / name), *options]
        assert cli.main(["translate", MODEL, *ARGUMENTS, "--input", text, *asked]) == 0
        printed = capfdbinary.readouterr().out.decode().split("\n")[:-1]
        rows = (tmp_path / name).read_text().split("\n")
        assert len(rows) == len(LINES) + 1
        assert rows[1] == ""
        assert (tmp_path / name).read_bytes() == (tmp_path / "plain").read_bytes()
        if name == "json":
            assert [json.loads(line)["alignment"] for line in printed] == rows[:-1]
    translations = [json.loads(line)["text"].split() for line in printed]
    for line, translation, row in zip(LINES, translations, rows, strict=False):
        pairs = [tuple(map(int, pair.split("-"))) for pair in row.split()]
        assert pairs == sorted(set(pairs))
        assert {t for _, t in pairs} == set(range(len(translation)))  # each word of the translation has a partner
        assert {s for s, _ in pairs} <= set(range(len(line.split())))


def test_lines_are_the_same_in_any_groups(translator: Translator) -> None:
    wanted = Wanted(nbest=True, alignment=True, attention=True)
    nbests = translator.translate_nbest(LINES)
    whole = write_lines(translator, LINES, nbests, 7, wanted)
    parts = [
        write_lines(translator, [line], [nbest], number, wanted)[0]
        for number, (line, nbest) in enumerate(zip(LINES, nbests, strict=True), 7)
    ]
    assert [one[:2] for one in whole] == [one[:2] for one in parts]
    for one, other, number in zip(whole, parts, range(8, 12), strict=True):
        assert (one.map is None) == (other.map is None) == (number == 9)
        if one.map is not None and other.map is not None:
            assert one.map["number"] == other.map["number"] == number
            assert one.map["target_pieces"] == other.map["target_pieces"]


def test_a_model_without_attention_is_refused_in_one_line(error_of: ErrorOf, text: str, tmp_path: Path) -> None:
    lstm = str(BUNDLES / "0.1.0-lstm")
    for option, value in (("--alignment", str(tmp_path / "al")), ("--attention", str(tmp_path / "at.html"))):
        assert error_of("translate", lstm, "--input", text, option, value) == (
            f"{lstm} has no attention for {option}; give an attention model or a transformer"
        )
    assert error_of("translate", MODEL, "--input", text, "--alignment") == (
        "--alignment needs a FILE to write to, unless --format is jsonl"
    )
    assert "there is no folder" in error_of("translate", MODEL, "--input", text, "--attention", f"{tmp_path}/no/at")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_the_page_has_the_map_of_each_line_that_is_not_blank(text: str, tmp_path: Path) -> None:
    page, output = tmp_path / "at.html", tmp_path / "out"
    own = ["--attention", str(page), "--output", str(output)]
    assert cli.main(["translate", MODEL, *ARGUMENTS, "--input", text, *own]) == 0
    html = page.read_text(encoding="utf-8")
    data = json.loads(html.partition('id="data">')[2].partition("</script>")[0])
    translations = output.read_text(encoding="utf-8").split("\n")
    assert [(one["number"], one["source"], one["translation"]) for one in data] == [
        (number, LINES[number - 1], translations[number - 1]) for number in (1, 3, 4)
    ]
    for one in data:
        assert len(base64.b64decode(one["weights"])) == len(one["source_pieces"]) * len(one["target_pieces"])
    assert "3 sentences." in html
    assert "http" not in html.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")


def test_the_page_says_what_it_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seq2seq.report.attention, "MAX_ATTENTION_CHARACTERS", 1000)
    page = AttentionPage("<script>")
    page.add([{"number": n, "source": "<!--</script>" + 300 * "x"} for n in range(10)])
    html = page.html()
    assert "2 sentences. The 8 after these are left out: the page would become too large." in html
    assert "&lt;script&gt;" in html
    assert html.count("</script>") == 2  # those of the page itself


def test_a_failure_leaves_no_side_file(tmp_path: Path) -> None:
    files = str(tmp_path / "al"), str(tmp_path / "at.html")
    with pytest.raises(KeyboardInterrupt), side_files(*files, "") as write:
        write([Written("", "0-0", None)])
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
