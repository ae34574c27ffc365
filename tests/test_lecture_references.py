"""What docs/lecture.md and its German version refer to is there, and both say the same.

In the pages a ```text block is an equation, a ```python block quotes lines of the function that its first line names, a
```sh block has commands, and `tests/FILE.py::NAME` is a test.
"""

import ast
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from seq2seq import cli
from seq2seq.training.fit import main as fit

ROOT = Path(__file__).parents[1]
ENGLISH, GERMAN = PAGES = ("lecture.md", "lecture.de.md")
Captured = pytest.CaptureFixture[str]


class Quotation(NamedTuple):
    """Lines of a function, method or class, the file's name relative to the repository."""

    file: str
    place: str
    lines: tuple[str, ...]


@cache
def text_of(page: str) -> str:
    return (ROOT / "docs" / page).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def prose(text: str) -> str:
    return re.sub(r"^```\w*\n.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def quotations(text: str) -> list[Quotation]:
    found = []
    for block in blocks(text, "python"):
        head, *lines = block.splitlines()
        where = re.fullmatch(r"# (\S+\.py): ([\w.]+)", head)
        assert where, f"the first line of a quotation is '# FILE: FUNCTION', not {head!r}"
        found.append(Quotation(where[1], where[2], tuple(lines)))
    return found


def named_tests(text: str) -> list[tuple[str, str]]:
    return re.findall(r"`(tests/\w+\.py)::(\w+)`", text)


def commands(text: str) -> list[list[str]]:
    """Every command of the page, a loop's once."""
    lines = "".join(blocks(text, "sh")).replace("\\\n", " ").splitlines()
    return [shlex.split(line.replace("$cell", "gru")) for line in lines if not re.match(r"for |done$", line)]


def figures(text: str) -> list[str]:
    return re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)


def missing_lines(quotation: Quotation) -> list[str]:
    """Lines that do not stand in the function one behind the other, or behind what "..." leaves out."""
    source = (ROOT / quotation.file).read_text(encoding="utf-8")
    names = quotation.place.split(".")
    inside: ast.AST = ast.parse(source)
    for name in names:
        found = [n for n in ast.iter_child_nodes(inside) if getattr(n, "name", None) == name]
        if not found:
            return [f"{quotation.place} is not there"]
        inside = found[0]
    there = [" ".join(line.split()) for line in (ast.get_source_segment(source, inside) or "").splitlines()]
    rest, may_skip = there, True
    for line in quotation.lines:
        if line.strip() == "...":
            may_skip = True
            continue
        wanted = " ".join(line.split())
        if wanted not in rest or not (may_skip or rest[0] == wanted):
            return [line]
        rest, may_skip = rest[rest.index(wanted) + 1 :], False
    return []


def has_test(file: str, name: str) -> bool:
    path = ROOT / file
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.exists() else ast.Module([], [])
    return any(isinstance(node, ast.FunctionDef) and node.name == name for node in tree.body)


@pytest.mark.parametrize("quotation", quotations(text_of(ENGLISH)), ids=lambda q: q.place)
def test_a_quoted_line_stands_where_the_page_says(quotation: Quotation) -> None:
    assert missing_lines(quotation) == [], f"{quotation.file} has changed; quote it again in both pages"


def test_a_line_that_is_elsewhere_or_gone_is_missed() -> None:
    there = Quotation("seq2seq/models/cells.py", "lstm_step", ("cell = f * cell_prev  + i * u", "..."))
    assert missing_lines(there) == []
    for place, *lines in (
        ("lstm_step", "cell = f * cell_prev"),
        ("gru_step", "cell = f * cell_prev + i * u"),
        ("lstm_step", "cell = f * cell_prev + i * u", "cell = f * cell_prev + i * u"),
        ("lstm_step", "f, i, g, u = lstm_gates(ux, wh)", "return g * torch.tanh(cell), cell"),
        ("no_step", "cell = f * cell_prev + i * u"),
    ):
        assert missing_lines(there._replace(place=place, lines=tuple(lines)))
    assert not has_test("tests/test_cells.py", "test_a_step") and not has_test("tests/test_no.py", "test_no")


def test_every_named_test_exists() -> None:
    named = named_tests(text_of(ENGLISH))
    assert [f"{file}::{name}" for file, name in named if not has_test(file, name)] == []
    assert text_of(ENGLISH).count("tests/") == len(named) + 1, "a test is written `tests/FILE.py::NAME`"


def test_every_equation_has_code_and_a_test() -> None:
    for part in re.split(r"^```text\n", text_of(ENGLISH), flags=re.MULTILINE)[1:]:
        equation, rest = part.split("```\n", 1)
        rest = re.split(r"^## |^\*\*", rest, flags=re.MULTILINE)[0]
        assert blocks(rest, "python"), f"no code for {equation}"
        assert named_tests(rest), f"no test for {equation}"


def test_every_figure_is_a_small_drawing_of_its_own() -> None:
    shown = figures(text_of(ENGLISH))
    assert sorted(shown) == sorted(f"figures/{path.name}" for path in (ROOT / "docs" / "figures").iterdir())
    for figure in shown:
        drawing = (ROOT / "docs" / figure).read_text(encoding="utf-8")
        assert drawing.startswith("<svg xmlns=")
        assert len(drawing.encode()) < 40_000
        assert re.search(r'<rect width="[\d.]+" height="[\d.]+" fill="#ffffff"/>', drawing), (
            "a dark page shines through"
        )


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    text = text_of(page)
    titles = re.findall(r"^#+ (.*)$", prose(text), flags=re.MULTILINE)
    anchors = {"#" + re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        assert target in anchors if target.startswith("#") else (ROOT / "docs" / target).is_file(), target


def of_program(name: str) -> list[list[str]]:
    return [argv for argv in commands(text_of(ENGLISH)) if argv[0] == name]


def test_every_command_is_of_a_program_that_is_known_here() -> None:
    assert {argv[0] for argv in commands(text_of(ENGLISH))} == {"seq2seq", "python", "echo"}


@pytest.mark.parametrize("argv", of_program("seq2seq"), ids=" ".join)
def test_every_command_of_seq2seq_is_understood(
    argv: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Captured
) -> None:
    if argv[1] == "fit":
        monkeypatch.chdir(ROOT)
        with pytest.raises(SystemExit) as ended:
            fit([*argv[2:], "--print_config"])
        assert ended.value.code == 0, capsys.readouterr().err
        return
    monkeypatch.chdir(tmp_path)
    assert cli.main(argv[1:]) == 2
    error = capsys.readouterr().err  # there are no files here; what it does not understand it would have said first
    assert re.search("No such file|does not exist|there is no file", error), error


@cache
def help_of(script: str, *subcommand: str) -> str:
    shown = subprocess.run(
        [sys.executable, ROOT / script, *subcommand, "--help"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return shown.stdout


@pytest.mark.parametrize("argv", of_program("python"), ids=" ".join)
def test_every_script_has_the_options_that_are_used(argv: list[str]) -> None:
    subcommand = argv[2:3] if argv[1] == "data_scripts/tasks.py" else []
    shown = help_of(argv[1], *subcommand)
    assert [word for word in argv[2:] if word.startswith("-") and f"{word} " not in shown] == []


# Two languages


@pytest.mark.parametrize("of", ["text", "python", "sh"])
def test_both_languages_have_the_same_equations_code_and_commands(of: str) -> None:
    english, german = (blocks(text_of(page), of) for page in PAGES)
    assert len(english) >= 8
    assert german == english


def test_both_languages_have_the_same_tests_figures_and_headings() -> None:
    english, german = map(text_of, PAGES)
    assert named_tests(german) == named_tests(english)
    assert figures(german) == figures(english)
    for text in (english, german):
        assert re.findall(r"^(#+) ", prose(text), flags=re.MULTILINE) == ["#"] + ["##"] * 8


def numbers(page: str) -> Counter[str]:
    """The numbers of a page's prose, as the English write them."""
    text = re.sub(r"`[^`]*`|\]\([^)]*\)", "", prose(text_of(page)))
    if page == GERMAN:
        text = text.translate(str.maketrans(",.", ".,"))
    return Counter(number.replace(",", "") for number in re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?", text))


def test_both_languages_have_the_same_figures() -> None:
    english, german = map(numbers, PAGES)
    assert english - german == Counter()
    assert german - english == Counter()
