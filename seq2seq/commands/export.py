"""`seq2seq export`: a model for another program."""

from pathlib import Path

from seq2seq.commands.arguments import Parser

DESCRIPTION = """\
Writes a model for another program. The folder has the tokenizers, a README.md and translate.py, which translates
without seq2seq. Prints the folder.

formats:
  ctranslate2   transformers, for CTranslate2: starts in a fraction of a second, runs on CPUs and GPUs
  huggingface   transformers, as a Marian or Pegasus model with its tokenizer, for AutoModelForSeq2SeqLM
  onnx          all models, as an encoder and a decoder step, for ONNX Runtime"""


def main(argv: list[str]) -> None:
    """Export as `argv` says."""
    parser = Parser("export", DESCRIPTION)
    parser.add_argument("model", metavar="MODEL", help="folder of a finished run, or the bundle model/ inside it")
    parser.add_argument("--format", required=True, choices=["ctranslate2", "huggingface", "onnx"])
    parser.add_argument("--output", required=True, metavar="DIR", help="folder to write, or an older export to replace")
    arguments = parser.parse(argv)

    from seq2seq.bundle import load_bundle
    from seq2seq.export.folder import export_bundle

    export_bundle(load_bundle(arguments.model), Path(arguments.output), arguments.format)
    print(arguments.output)
