"""Sentence pairs out of files: what each form of a corpus is called, and how it is read.

    data/train               data/train.de and data/train.en, each perhaps .gz
    a.txt,b.txt              source and target file, each perhaps .gz
    x.tsv, x.tsv.gz          source TAB target
    x.jsonl, x.jsonl.gz      {"de": ..., "en": ...} or {"translation": {"de": ..., "en": ...}} on each line
    x.parquet, x.arrow       columns de and en, or a column `translation` that holds both
    x-*.jsonl                several files of one of these three forms, in the order of their names
    FOLDER                   the same, written by Hugging Face `Dataset.save_to_disk`
    hf:NAME[:CONFIG]:SPLIT   the same, through `datasets.load_dataset`

Text is UTF-8, and its lines end at "\\n" alone (a "\\r" before it goes too): Python's `splitlines` also splits at
U+2028 and others, which shifts all later lines against the other side. A line end inside a sentence of the last four
forms becomes a space, because a sentence is one line everywhere else.
"""

from seq2seq.corpus.fingerprints import fingerprint, outer_fingerprint
from seq2seq.corpus.forms import corpus_files
from seq2seq.corpus.reading import corpus_shards, first_pairs, iter_pairs, iter_shard, read_pairs, sample_pairs

__all__ = [
    "corpus_files",
    "corpus_shards",
    "fingerprint",
    "first_pairs",
    "iter_pairs",
    "iter_shard",
    "outer_fingerprint",
    "read_pairs",
    "sample_pairs",
]
