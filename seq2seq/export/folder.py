"""The folder of an export: the model as its format has it, the tokenizers, and the lines that translate with both.

source.spm  target.spm    the SentencePiece models of either side
translate.py              standard input to standard output, with the packages of the format alone
README.md                 what to install, and those lines
...                       the files of the format
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from seq2seq import __version__
from seq2seq.atomic import folder_replaced_when_whole
from seq2seq.bundle import Bundle
from seq2seq.export import ctranslate2, huggingface, onnx

SOURCE_TOKENIZER, TARGET_TOKENIZER = "source.spm", "target.spm"
# By its first line a README tells that the folder may be replaced.
_MARK = "<!-- written by seq2seq export; the next export to this folder replaces all of it -->"


class Format(NamedTuple):
    """A format to export to."""

    title: str
    write: Callable[[Bundle, Path], None]
    needs: str | None  # the package that `write` imports
    translate_needs: str  # those of translate.py, as pip takes them
    notes: str  # for the README


FORMATS = {
    "ctranslate2": Format(
        "CTranslate2", ctranslate2.write, "ctranslate2", "ctranslate2 sentencepiece", ctranslate2.NOTES
    ),
    "huggingface": Format(
        "Hugging Face", huggingface.write, None, "torch 'transformers>=5' sentencepiece", huggingface.NOTES
    ),
    "onnx": Format("ONNX", onnx.write, "onnx", "onnxruntime sentencepiece", onnx.NOTES),
}


def export_bundle(bundle: Bundle, folder: Path, format_name: str) -> None:
    """Write a model in another format; if that fails or is interrupted, `folder` holds what it held before.

    Args:
        bundle: the model, on the CPU.
        folder: to create, or an older export to replace.
        format_name: a name in `FORMATS`.

    Raises:
        ValueError: `folder` holds something else, the format has no such models, or its package is not installed.
    """
    folder = folder.resolve()
    if folder == Path.cwd():
        raise ValueError(f"{folder} is the current folder, which cannot be replaced from within: choose another folder")
    if folder.exists() and not _is_export(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} exists and is no export; nothing is written over it: choose another folder")
    export = FORMATS[format_name]
    if export.needs is not None:
        try:
            importlib.import_module(export.needs)
        except ModuleNotFoundError:
            raise ValueError(
                f"--format {format_name} needs the package {export.needs}: pip install 'seq2seq[export]'"
            ) from None
    lines = Path(__file__).with_name(f"translate_with_{format_name}.py").read_text(encoding="utf-8")
    with folder_replaced_when_whole(folder) as new:
        export.write(bundle, new)
        bundle.tokenizers.src.save(new / SOURCE_TOKENIZER)
        bundle.tokenizers.tgt.save(new / TARGET_TOKENIZER)
        (new / "translate.py").write_text(lines, encoding="utf-8")
        (new / "README.md").write_text(_readme(bundle, export, lines), encoding="utf-8")


def _is_export(folder: Path) -> bool:
    readme = folder / "README.md"
    return readme.is_file() and readme.read_text(encoding="utf-8", errors="replace").startswith(_MARK)


def _readme(bundle: Bundle, export: Format, lines: str) -> str:
    languages = f"{bundle.config['src_lang']}-{bundle.config['tgt_lang']}"
    return f"""\
{_MARK}
# {languages} {bundle.config["architecture"]} for {export.title}

Translates one sentence a line:

```sh
pip install {export.translate_needs}
python3 translate.py < source.txt > translation.txt
```

`translate.py` has these lines:

```python
{lines.rstrip()}
```

{export.notes.strip()}

Written by seq2seq {__version__} from the model whose SHA256SUMS has the hash
`{bundle.sha256}`.
"""
