"""The data of a run: raw text in, batches out; tokenised once into a memory-mapped Arrow cache.

The cache holds two kinds of folders, each named by a hash of all that its contents depend on: tokenizer-HASH (training
text, settings) and pairs-HASH (text, tokenizer models, length limit). So runs on the same text share one tokenizer, and
nothing in the cache is ever out of date: what changed gets another name, and the old folder may be deleted at any time.
So may the files sha256-HASH, which remember the hashes of large corpora.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from seq2seq.batching import ResumableLoader, TokenBatchSampler, round_up
from seq2seq.corpus import (
    corpus_files,
    fingerprint,
    first_pairs,
    iter_pairs,
    outer_fingerprint,
    read_pairs,
    sample_pairs,
)
from seq2seq.mixing import MixedPairs, describe_mixture, in_proportion, shares_of
from seq2seq.pairs import Pairs, SampledPairs, describe, write_once, write_pairs
from seq2seq.stream import Stream, StreamLoader
from seq2seq.tokenizer import Tokenizer, TokenizerPair

_CACHE_FORMAT = 1  # raise it when what is written below changes
_FEWEST_BATCHES = 100  # of an epoch, below which the memory is not filled
_MAX_TOKENIZER_LINES = 250_000  # of each side: with 32 words a line, training on them takes 500 MB


@dataclass(frozen=True)
class TokenizerConfig:
    """How text becomes pieces.

    Args:
        kind: unigram, bpe or word; of words, the most frequent are pieces and all others are spelt as bytes.
        vocab_size: number of pieces, of each side if the vocabulary is not joint; of words at most so many.
        joint: one vocabulary for source and target; tied embeddings need it.
        character_coverage: share of the characters with a piece of their own, the others are spelt as bytes; 0.9995 for
            Chinese or Japanese.
        normalization: SentencePiece's rule; nmt_nfkc_cf also lower-cases.
        sampling_alpha: above 0, training text is cut into other pieces each epoch: for unigram an exponent, 0.1 to 0.5,
            smaller is wilder (Kudo 2018); for bpe the share of merges left out, 0.1 (Provilkov et al. 2020).
        path: a .model file, or a folder that holds tokenizer*.model such as a finished model's; the settings above that
            would train one are then not used.
    """

    kind: Literal["unigram", "bpe", "word"] = "unigram"
    vocab_size: int = 8000
    joint: bool = True
    character_coverage: float = 1.0
    normalization: Literal["nmt_nfkc", "nfkc", "nmt_nfkc_cf", "nfkc_cf", "identity"] = "nmt_nfkc"
    sampling_alpha: float = 0.0
    path: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.sampling_alpha <= 1:
            raise ValueError(f"sampling_alpha {self.sampling_alpha} must lie between 0 (off) and 1")
        if self.kind == "word" and self.sampling_alpha > 0:
            raise ValueError(
                f"sampling_alpha {self.sampling_alpha}: words are not cut; set it to 0, or kind to unigram or bpe"
            )


_UNIGRAM_8000 = TokenizerConfig()


class TranslationDataModule(LightningDataModule):
    """Batches for training and validation; the test sets by name.

    After `setup`: `tokenizers`, and `valid_src` and `valid_tgt`, the raw validation text.

    Args:
        src_lang: language of the source: a file ending (train.de), JSON key or column.
        tgt_lang: language of the target.
        train: training corpus, in one of the forms that seq2seq/corpus/__init__.py lists, for example data/train for
            data/train.de and data/train.en; or several with weights: {data/news: 3, data/web: 1} takes 3 of 4 training
            pairs from the first, whatever their sizes.
        valid: validation corpus.
        tests: test corpora by name; the name becomes a file name.
        streaming: the training corpus is read and tokenised while training runs, and not kept on disk: for one that is
            larger than the disk. It has no number of batches; see seq2seq/stream.py.
        tokenizer: how text becomes pieces.
        max_tokens_per_batch: sentences times longest source or target, padding included, of a batch on one device;
            auto: as many as fit into its memory, but at least 100 batches an epoch.
        pad_to_multiple_of: what the padded lengths of training batches are multiples of. Batches hold more padding but
            have fewer shapes, for each of which a CPU's library of products writes a program.
        max_length: training pairs with more pieces on a side (end of sentence included) are dropped.
        num_workers: processes that prepare training batches; 0 prepares them in the training process.
        cache_dir: where tokenised text is kept; default $SEQ2SEQ_CACHE or ~/.cache/seq2seq.
        seed: of shuffling and of drawing pieces.
    """

    def __init__(
        self,
        src_lang: str,
        tgt_lang: str,
        train: str | dict[str, float],
        valid: str,
        tests: dict[str, str] | None = None,
        streaming: bool = False,
        tokenizer: TokenizerConfig = _UNIGRAM_8000,
        max_tokens_per_batch: int | Literal["auto"] = 4096,
        pad_to_multiple_of: int = 1,
        max_length: int = 256,
        num_workers: int = 0,
        cache_dir: str | None = None,
        seed: int = 1,
    ) -> None:
        super().__init__()
        if pad_to_multiple_of < 1:
            raise ValueError(f"pad_to_multiple_of is {pad_to_multiple_of}; it must be at least 1")
        longest = round_up(max_length, pad_to_multiple_of)
        if max_tokens_per_batch != "auto" and longest > max_tokens_per_batch:
            padded = f" (padded to {longest})" if longest > max_length else ""
            raise ValueError(
                f"max_length {max_length}{padded} is above max_tokens_per_batch {max_tokens_per_batch}, so a pair "
                "could be larger than a batch; lower the first or raise the second"
            )
        if wrong := [name for name in tests or {} if Path(name).name != name]:
            raise ValueError(
                f"the test set name {wrong[0]!r} is not possible: it becomes a file name; leave out the slash"
            )
        if streaming and num_workers > 1:
            raise ValueError(f"num_workers is {num_workers}; a stream is prepared by one process at most, set 0 or 1")
        self.langs = (src_lang, tgt_lang)
        self.train, self.valid, self.tests = train, valid, dict(tests or {})
        self._shares = shares_of(train)
        self.streaming, self.tokenizer = streaming, tokenizer
        self.max_tokens_per_batch, self.max_length = max_tokens_per_batch, max_length
        self.pad_to_multiple_of = pad_to_multiple_of
        # Of the batches; None where the device's memory decides and has not been looked at.
        self.batch_tokens = None if max_tokens_per_batch == "auto" else max_tokens_per_batch
        self.num_workers, self.seed = num_workers, seed
        self.cache_dir = Path(cache_dir or os.environ.get("SEQ2SEQ_CACHE") or "~/.cache/seq2seq").expanduser()
        self._folders: list[Path] = []  # of each training corpus that is no stream, and of validation

    def prepare_data(self) -> None:
        """Check all corpora, train the tokenizer, tokenise: what the cache does not hold yet, once on each machine."""
        if self._folders:
            return
        for spec in (*self._shares, self.valid, *self.tests.values()):
            corpus_files(spec, *self.langs)
        for spec in (self.valid, *self.tests.values()):  # the training corpus is read next
            read_pairs(spec, *self.langs)
        self._fill_cache()

    def setup(self, stage: str | None = None) -> None:
        """Open the cache: the same for every stage."""
        if not self._folders:
            self._fill_cache()
        *train, valid = self._folders
        counts = [json.loads((folder / "counts.json").read_text(encoding="utf-8")) for folder in self._folders]
        *train_parts, valid_part = [describe(count, self.max_length) for count in counts]
        if self.streaming:
            train_parts = [f"{spec} is streamed, share {share:.1%}" for spec, share in self._shares.items()]
        else:
            self._train_pairs = Pairs(*train, pad_to_multiple_of=self.pad_to_multiple_of)
            self._num_rows = [count["pairs"] for count in counts[:-1]]
            if len(train) > 1:
                train_parts = describe_mixture(self._shares, train_parts, self._num_rows)
        self._valid_pairs = Pairs(valid)
        self.valid_src, self.valid_tgt = self._valid_pairs.text()
        rank_zero_info(f"train: {'; '.join(train_parts)}")
        rank_zero_info(f"valid: {valid_part}")

    def hashes(self) -> dict[str, str]:
        """SHA-256 of the training text, of the validation text and of the tokenizers' models, after `prepare_data`."""
        *_, valid = self._fingerprints
        models = self.tokenizers.src.model + self.tokenizers.tgt.model
        return {
            "train_sha256": self._train_fingerprint(),
            "valid_sha256": valid,
            "tokenizer_sha256": hashlib.sha256(models).hexdigest(),
        }

    def shared_with_train(self) -> Iterator[tuple[str, int, int]]:
        """Valid and tests, after `prepare_data`: name, pairs that stand in train as they are, pairs; of no stream."""
        if self.streaming:
            return
        train = Pairs(*self._folders[:-1])
        for name, spec in {"valid": self.valid, **self.tests}.items():
            src, tgt = read_pairs(spec, *self.langs)
            yield name, train.num_found(src, tgt), len(src)

    def longest(self) -> int:
        """Padded length of the longest side of all training pairs; of a stream, what is allowed."""
        if self.streaming:
            return round_up(self.max_length, self.pad_to_multiple_of)
        return int(self._train_pairs.lengths().max())

    def fill_memory(self, batch_tokens: int) -> None:
        """Let batches have so many tokens as fit into the memory, if there remain 100 for each rank in an epoch."""
        most = batch_tokens
        if not self.streaming:
            tokens = int(self._train_pairs.lengths().amax(1).sum())
            most = tokens // (_FEWEST_BATCHES * (self.trainer.world_size if self.trainer else 1))
        self.batch_tokens = max(min(batch_tokens, most), self.longest())
        rank_zero_info(f"max_tokens_per_batch auto: {self.batch_tokens}; {batch_tokens} fit into the memory")

    def state_dict(self) -> dict[str, Any]:
        """The size of the batches: what goes on has to cut the same ones."""
        return {"batch_tokens": self.batch_tokens}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the size of the batches from a checkpoint, if it was not configured."""
        if self.batch_tokens is None:
            self.batch_tokens = state_dict["batch_tokens"]

    def train_dataloader(self) -> ResumableLoader | StreamLoader:
        """Shuffled batches of this rank, resumable between any two."""
        if self.streaming:
            stream = Stream(
                self._shares,
                self.langs,
                self.tokenizers,
                sampling_alpha=self.tokenizer.sampling_alpha,
                max_tokens_per_batch=self._batch_tokens(),
                pad_to_multiple_of=self.pad_to_multiple_of,
                max_length=self.max_length,
                seed=self.seed,
                rank=self.trainer.global_rank if self.trainer else 0,
                world_size=self.trainer.world_size if self.trainer else 1,
            )
            return StreamLoader(stream, num_workers=self.num_workers)
        pairs: Pairs | SampledPairs = self._train_pairs
        if self.tokenizer.sampling_alpha > 0:
            pairs = SampledPairs(
                self._train_pairs,
                self.tokenizers,
                alpha=self.tokenizer.sampling_alpha,
                seed=self.seed,
                max_tokens_per_batch=self._batch_tokens(),
            )
        if len(self._shares) > 1:
            shares = list(self._shares.values())
            mixed = MixedPairs(pairs, num_rows=self._num_rows, shares=shares, seed=self.seed)
            return self._loader(mixed, shuffle=True, num_workers=self.num_workers)
        return self._loader(pairs, shuffle=True, num_workers=self.num_workers)

    def val_dataloader(self) -> ResumableLoader:
        """Every validation pair once over all ranks, over-long ones too."""
        return self._loader(self._valid_pairs, shuffle=False, num_workers=0)

    def _loader(self, pairs: Pairs | SampledPairs | MixedPairs, *, shuffle: bool, num_workers: int) -> ResumableLoader:
        sampler = TokenBatchSampler(
            pairs.lengths(),
            max_tokens_per_batch=self._batch_tokens(),
            shuffle=shuffle,
            seed=self.seed,
            rank=self.trainer.global_rank if self.trainer else 0,
            world_size=self.trainer.world_size if self.trainer else 1,
        )
        return ResumableLoader(pairs, sampler, num_workers=num_workers)

    def _batch_tokens(self) -> int:
        assert self.batch_tokens is not None, "the training looks at the memory before it asks for batches"
        return self.batch_tokens

    def _fill_cache(self) -> None:
        """Write what is missing in the cache; set `tokenizers` and the folders of tokenised text."""
        self._fingerprints = [
            outer_fingerprint(spec, *self.langs)
            if self.streaming
            else fingerprint(spec, *self.langs, remember_in=self.cache_dir)
            for spec in self._shares
        ]
        self._fingerprints.append(fingerprint(self.valid, *self.langs))
        self.tokenizers = self._load_tokenizers()
        models = [hashlib.sha256(t.model).hexdigest() for t in (self.tokenizers.src, self.tokenizers.tgt)]
        folders: list[Path] = []
        specs: list[tuple[str, int | None]] = [(self.valid, None)]
        if not self.streaming:
            specs = [*((spec, self.max_length) for spec in self._shares), *specs]
        for (spec, max_length), text in zip(specs, self._fingerprints[-len(specs) :], strict=True):
            folder = self._folder("pairs", [text, *models, max_length])

            def write(folder: Path, spec: str = spec, max_length: int | None = max_length) -> None:
                write_pairs(folder, iter_pairs(spec, *self.langs), self.tokenizers, max_length, spec)

            write_once(folder, write)
            folders.append(folder)
        self._folders = folders

    def _train_fingerprint(self) -> str:
        """Of what is trained on: one corpus, or several and their shares."""
        if len(self._shares) == 1:
            return self._fingerprints[0]
        mixture = list(zip(self._fingerprints[:-1], self._shares.values(), strict=True))
        return hashlib.sha256(json.dumps(mixture).encode()).hexdigest()

    def _load_tokenizers(self) -> TokenizerPair:
        config = self.tokenizer
        if config.path is not None:
            path = Path(config.path)
            if path.is_dir():
                return TokenizerPair.load(path)
            if not path.is_file():
                raise FileNotFoundError(f"no tokenizer {path}; give a .model file or a folder that holds one")
            tokenizer = Tokenizer.load(path)
            return TokenizerPair(tokenizer, tokenizer)
        settings = [config.kind, config.vocab_size, config.joint, config.character_coverage, config.normalization]
        folder = self._folder("tokenizer", [self._train_fingerprint(), _MAX_TOKENIZER_LINES, *settings])

        def write(folder: Path) -> None:
            sides = self._tokenizer_text()
            emptied = [_emptied(side) for side in sides]
            texts = [chain(*emptied)] if config.joint else emptied
            tokenizers = [
                Tokenizer.train(
                    text,
                    kind=config.kind,
                    vocab_size=config.vocab_size,
                    character_coverage=config.character_coverage,
                    normalization=config.normalization,
                )
                for text in texts
            ]
            TokenizerPair(tokenizers[0], tokenizers[-1]).save(folder)

        write_once(folder, write)
        return TokenizerPair.load(folder)

    def _tokenizer_text(self) -> list[list[str]]:
        """Source and target sentences, those of several corpora in the proportion in which they are trained on."""
        sample_of = first_pairs if self.streaming else sample_pairs
        samples = [
            sample_of(spec, *self.langs, most=max(1, int(share * _MAX_TOKENIZER_LINES)))
            for spec, share in self._shares.items()
        ]
        if len(samples) == 1:
            return list(samples[0])
        return [in_proportion(side, list(self._shares.values())) for side in zip(*samples, strict=True)]

    def _folder(self, kind: str, depends_on: list[Any]) -> Path:
        key = hashlib.sha256(json.dumps([_CACHE_FORMAT, *depends_on]).encode()).hexdigest()
        return self.cache_dir / f"{kind}-{key[:32]}"


def corpora(data: Mapping[str, Any]) -> dict[str, str]:
    """The corpora that the section `data` of a configuration names, by the option that names each."""
    train = data["train"]
    several = train if isinstance(train, dict) else {}  # with their weights
    return {
        **({f"data.train.{corpus}": corpus for corpus in several} or {"data.train": train}),
        "data.valid": data["valid"],
        **{f"data.tests.{name}": corpus for name, corpus in (data["tests"] or {}).items()},
    }


def _emptied(lines: list[str]) -> Iterator[str]:
    """The lines in their order, none of which is kept: SentencePiece has its own copy of each."""
    lines.reverse()
    while lines:
        yield lines.pop()
