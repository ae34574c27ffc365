"""`seq2seq report`: render results again, merge several, and set other people's translations beside them."""

import sys
from collections.abc import Sequence
from pathlib import Path

from seq2seq.commands.arguments import Parser
from seq2seq.commands.files import read_lines
from seq2seq.evaluation.results import Output, Results, Run, System, TestSet, merge, read_results, write_results

DESCRIPTION = """\
Writes report.html, report.md and report.json from the results of comparisons: results.json files, or the folders that
seq2seq compare wrote them to. Several become one comparison, whose results.json is written as well: their test sets
must be the same. --foreign adds a system of which only translations are known. Without RESULTS it compares foreign
systems alone:

  seq2seq report --output_dir report --reference flickr flickr.en --source flickr flickr.de \\
      --foreign ours flickr ours.txt --foreign theirs flickr theirs.txt

Text files hold one sentence a line, raw (.gz is read too). Prints the path of the page."""

Named = Sequence[tuple[str, str]]  # name of a test set, file


def main(argv: list[str]) -> None:
    """Write the report that `argv` asks for."""
    parser = Parser("report", DESCRIPTION)
    parser.add_argument("results", nargs="*", metavar="RESULTS", help="results.json, or a folder that holds one")
    parser.add_argument("--output_dir", required=True, metavar="DIR", help="where to write; made if it is not there")
    parser.add_argument(
        "--foreign",
        nargs=3,
        action="append",
        default=[],
        metavar=("NAME", "TEST_SET", "FILE"),
        help="a system's translations of a test set; one for each test set",
    )
    for option, what in (
        ("--reference", "the raw reference translations"),
        ("--source", "the source text, to be shown"),
    ):
        metavar = ("TEST_SET", "FILE")
        parser.add_argument(
            option, nargs=2, action="append", default=[], metavar=metavar, help=f"without RESULTS: {what}"
        )
    arguments = parser.parse(argv)
    folder = Path(arguments.output_dir)
    if arguments.results and (arguments.reference or arguments.source):
        raise ValueError("RESULTS hold the test sets already; leave out --reference and --source")
    if not arguments.results and not (arguments.reference and arguments.foreign):
        raise ValueError("give RESULTS, or --reference and --foreign (see seq2seq report --help)")

    files = [_file(Path(path)) for path in arguments.results]
    several = [read_results(file) for file in files]
    known = several[0].test_sets if several else _test_sets(arguments.reference, arguments.source)
    if arguments.foreign:
        several.append(_foreign(arguments.foreign, known, name=folder.resolve().name))
    results = merge(several)

    from seq2seq.evaluation.analysis import analyse
    from seq2seq.report import write_report

    if sys.stderr.isatty():
        print("computing scores and tests", file=sys.stderr)
    page = write_report(results, analyse(results), folder)
    if (folder / "results.json").resolve() not in [file.resolve() for file in files]:
        write_results(results, folder / "results.json")
    print(page)


def _file(path: Path) -> Path:
    return path / "results.json" if path.is_dir() else path


def _test_sets(references: Named, sources: Named) -> list[TestSet]:
    """The test sets of a comparison of foreign systems alone."""
    source_of = _by_name(sources, "--source")
    reference_of = _by_name(references, "--reference")
    for name in source_of:
        if name not in reference_of:
            raise ValueError(f"--source names test set {name}, for which there is no --reference")
    found = []
    for name, file in reference_of.items():
        lines = _lines(file)
        source = _lines(source_of[name], like=(file, lines)) if name in source_of else []
        found.append(TestSet(name, source, lines))
    return found


def _foreign(given: Sequence[tuple[str, str, str]], tests: Sequence[TestSet], name: str) -> Results:
    """Systems of which only translations are known, on these test sets."""
    by_name = {test.name: test for test in tests}
    outputs: dict[str, dict[str, Output]] = {}
    for system, test, file in given:
        if test not in by_name:
            raise ValueError(f"--foreign {system} names test set {test}; there are {', '.join(by_name)}")
        of_system = outputs.setdefault(system, {})
        if test in of_system:
            raise ValueError(f"--foreign gives translations of {test} by {system} twice")
        of_system[test] = Output(_lines(file, like=(f"test set {test}", by_name[test].references)))
    systems = [System(system) for system in outputs]
    runs = [Run(system, None, of_system) for system, of_system in outputs.items()]
    return Results(name, systems, list(tests), runs)


def _by_name(given: Named, option: str) -> dict[str, str]:
    files: dict[str, str] = {}
    for name, file in given:
        if name in files:
            raise ValueError(f"{option} names test set {name} twice")
        files[name] = file
    return files


def _lines(file: str, like: tuple[str, Sequence[str]] | None = None) -> list[str]:
    """The lines of a file; if `like` is given (what it is, its lines), it must have as many."""
    lines = read_lines(file)
    if not lines:
        raise ValueError(f"{file} is empty; it must hold one sentence a line")
    if like is not None and len(lines) != len(like[1]):
        raise ValueError(
            f"{file} has {len(lines)} lines and {like[0]} has {len(like[1])}; line n of one must belong to line n of "
            "the other"
        )
    return lines
