"""The text that a model is looked at with: pairs of lines as batches."""

from collections.abc import Iterator, Sequence

from seq2seq.batching import Batch, TokenBatchSampler, collate
from seq2seq.tokenizer import TokenizerPair


class SentencePairs:
    """Pairs of a source and its translation, without those of which one is blank.

    Args:
        tokenizers: of the model.
        sources, targets: raw text, line for line.

    Attributes:
        lines: numbers of the lines that are kept, from 0.
        sources, targets: what is kept.
        tokenizers: as they came.

    Raises:
        ValueError: nothing is kept.
    """

    def __init__(self, tokenizers: TokenizerPair, sources: Sequence[str], targets: Sequence[str]) -> None:
        both = zip(tokenizers.src.encode(sources), tokenizers.tgt.encode(targets), strict=True)
        kept = [(line, src, tgt) for line, (src, tgt) in enumerate(both) if src and tgt]
        if not kept:
            raise ValueError(f"of {len(sources):,} pairs of lines each has a blank side; give text to look at")
        self.lines = [line for line, _, _ in kept]
        self.sources, self.targets = ([text[line] for line in self.lines] for text in (sources, targets))
        self.tokenizers = tokenizers
        self._src = [src for _, src, _ in kept]
        self._tgt = [tgt for _, _, tgt in kept]

    def __len__(self) -> int:
        return len(self.lines)

    def batches(self, max_tokens: int = 2048) -> Iterator[Batch]:
        """All pairs, those of like length together. `Batch.rows_B` counts what is kept.

        Args:
            max_tokens: of a batch's longer side, padding included.
        """
        lengths = [(len(src) + 1, len(tgt) + 1) for src, tgt in zip(self._src, self._tgt, strict=True)]
        for rows in TokenBatchSampler(lengths, max_tokens_per_batch=max_tokens, shuffle=False, seed=0):
            yield collate([self._src[row] for row in rows], [self._tgt[row] for row in rows], rows)
