"""What several test files use: small tokenizers, small models whose weights are random, a corpus, and runs."""

import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Before torch is imported: two threads that wait for each other are slower than one, and the tests' models are tiny.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
import yaml

from seq2seq import cli
from seq2seq.bundle import save_bundle
from seq2seq.comparison.runs import Run
from seq2seq.models import ARCHITECTURES
from seq2seq.tokenizer import Tokenizer, TokenizerPair

# Files that take a minute or more. They come first, so that no process is left with one when the other has nothing.
LONG = ("test_slurm.py", "test_several_hosts.py", "test_resume.py", "test_compare.py", "test_module.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put these files first."""
    order = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(item.path.name, len(LONG)))


SMALL: dict[str, dict[str, Any]] = {
    "lstm": {"d_embedding": 8, "d_model": 16},
    "attention": {"d_embedding": 8, "d_model": 16},
    "transformer": {"d_model": 16, "d_ff": 32, "num_heads": 2, "num_encoder_layers": 1, "num_decoder_layers": 1},
}


@pytest.fixture(scope="session")
def sentences() -> list[str]:
    """Sixty different lines of 1 to 12 words, with umlauts and capitals."""
    generator = random.Random(3)
    words = ["der", "Hund", "sieht", "die", "Katze", "über", "läuft", "nicht", "schön", "Haus", "groß", "und", "Öl"]
    return [" ".join(generator.choices(words, k=1 + number % 12)) + "." for number in range(60)]


@pytest.fixture(scope="session")
def tokenizers(sentences: list[str]) -> TokenizerPair:
    """A joint vocabulary; without the table of the usual normalization it is small."""
    tokenizer = Tokenizer.train(sentences, kind="bpe", vocab_size=310, normalization="identity")
    return TokenizerPair(tokenizer, tokenizer)


@pytest.fixture(scope="session")
def separate_tokenizers(sentences: list[str], tokenizers: TokenizerPair) -> TokenizerPair:
    """Two vocabularies of different sizes."""
    return TokenizerPair(tokenizers.src, Tokenizer.train(sentences, kind="bpe", vocab_size=300))


WriteBundle = Callable[..., Path]


@pytest.fixture(scope="session")
def write_bundle(tokenizers: TokenizerPair) -> WriteBundle:
    """write_bundle(folder, architecture="transformer", tokenizers=joint, **model_config) -> the folder."""

    def write(
        folder: Path,
        architecture: str = "transformer",
        tokenizers: TokenizerPair = tokenizers,
        **model_config: object,
    ) -> Path:
        torch.manual_seed(5)
        config = SMALL[architecture] | model_config
        sizes = (tokenizers.src.vocab_size, tokenizers.tgt.vocab_size)
        model = ARCHITECTURES[architecture](*sizes, **config)
        with torch.no_grad():  # of a fresh model's translations too many are alike
            for parameter in model.parameters():
                if parameter.dim() == 2 and model_config.get("norm") == "post":
                    parameter *= 12  # which otherwise begin at almost zero
                parameter += 0.3 * torch.randn_like(parameter)
        save_bundle(
            folder,
            model,
            architecture=architecture,
            model_config=config,
            tokenizers=tokenizers,
            src_lang="de",
            tgt_lang="en",
            training={"steps": 0},
        )
        return folder

    return write


@pytest.fixture(scope="session")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory, write_bundle: WriteBundle) -> Path:
    """A transformer's bundle; not to be altered."""
    return write_bundle(tmp_path_factory.mktemp("bundles") / "transformer")


@pytest.fixture
def error_of(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """error_of(*argv) -> the one line of a command that fails with exit code 2."""

    def run(*argv: str) -> str:
        assert cli.main(list(argv)) == 2
        captured = capsys.readouterr()
        assert captured.err.startswith("seq2seq: error: ")
        assert captured.err.count("\n") == 1
        return captured.err.removeprefix("seq2seq: error: ").rstrip("\n")

    return run


@pytest.fixture(scope="session")
def toy_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """toy.yaml, of runs that take a second: 12 updates on 60 sentence pairs, which stand in the same folder.

    It says nothing of the model. Training and validation text are train.de, train.en, valid.de and valid.en; `valid` is
    a test set as well.
    """
    folder = tmp_path_factory.mktemp("toy")
    generator = random.Random(2)
    words = {"Hund": "dog", "Katze": "cat", "Maus": "mouse", "Kuh": "cow", "Igel": "hedgehog", "Esel": "donkey"}
    for name, num_pairs in (("train", 60), ("valid", 12)):
        clauses = [generator.choices(list(words), k=2 * generator.randint(1, 3)) for _ in range(num_pairs)]
        for lang, pattern in (("de", "{} sieht {}"), ("en", "the {} sees the {}")):
            nouns = [[words[noun] if lang == "en" else noun for noun in row] for row in clauses]
            pairs = [zip(row[::2], row[1::2], strict=True) for row in nouns]
            lines = [" , ".join(pattern.format(*pair) for pair in row) + " .\n" for row in pairs]
            (folder / f"{name}.{lang}").write_text("".join(lines), encoding="utf-8")
    config = {
        "data": {
            "src_lang": "de",
            "tgt_lang": "en",
            "train": str(folder / "train"),
            "valid": str(folder / "valid"),
            "tests": {"valid": str(folder / "valid")},
            "tokenizer": {"kind": "bpe", "vocab_size": 300, "normalization": "identity"},
            "max_tokens_per_batch": 100,
            "max_length": 60,
            "cache_dir": str(folder / "cache"),
        },
        "trainer": {"accelerator": "cpu", "max_steps": 12, "log_every_n_steps": 1},
    }
    (folder / "toy.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return folder / "toy.yaml"


ToyArguments = Callable[..., list[str]]


@pytest.fixture(scope="session")
def toy_arguments(toy_config: Path) -> ToyArguments:
    """toy_arguments(run_dir, *options, architecture="transformer") -> the arguments of `seq2seq` that train on it."""

    def arguments(run_dir: Path, *options: str, architecture: str = "transformer") -> list[str]:
        sizes = [f"--model.{name}={value}" for name, value in SMALL[architecture].items()]
        rates = ["--model.optimization.lr=0.02", "--model.optimization.warmup_steps=4"]
        config = [f"--config={toy_config}", "--model", architecture, *sizes, "--model.dropout=0", *rates]
        return ["fit", *config, f"--run_dir={run_dir}", *options]

    return arguments


FAKE_CONFIG = {"budget": {"updates": None}, "trainer": {"max_steps": -1}, "data": {"tests": {"one": "data/one"}}}
MakeRun = Callable[..., Run]


@pytest.fixture
def make(tmp_path: Path) -> MakeRun:
    """make("lstm", seed=1, steps=4, beam_width=5, config={...}, fingerprints={...}) -> a run that has not begun.

    Its commands are those of `fake_training.py`; `config` has sections that win over those of FAKE_CONFIG.
    """
    program = sys.executable, str(Path(__file__).with_name("fake_training.py"))
    (tmp_path / "runs").mkdir()

    def make(
        system: str = "lstm",
        seed: int = 1,
        steps: int = 4,
        beam_width: int = 5,
        config: dict[str, dict[str, Any]] | None = None,
        fingerprints: dict[str, str] | None = None,
    ) -> Run:
        folder = tmp_path / "runs" / f"{system}-{seed}"
        commands = (*program, "fit", str(folder)), (*program, "test", str(folder), f"--beam_width={beam_width}")
        complete = {name: section | (config or {}).get(name, {}) for name, section in FAKE_CONFIG.items()}
        run = Run(system, seed, folder, commands, complete, fingerprints or {"data.train": "a1"})
        run.beside(".steps").write_text(str(steps))
        run.beside(".config").write_text(yaml.safe_dump(complete))
        return run

    return make
