"""Which sentences of a batch a search goes on with."""

from torch import Tensor

from seq2seq.models.products import ROWS_TOGETHER


def rows_that_stay(open_B: Tensor) -> Tensor | None:
    """The rows to go on with when not all are open any more; None if nothing is won by it.

    Sentences that have ended leave the batch: this, not the form of the caches, is what makes decoding fast. They leave
    `ROWS_TOGETHER` at a time, so that the same numbers of rows come again: some that have ended may stay meanwhile.

    Args:
        open_B: True for sentences that have not ended.
    """
    num_open = int(open_B.sum())
    num_rows = num_open
    if num_open > ROWS_TOGETHER:
        num_rows += -num_open % ROWS_TOGETHER
    if num_rows >= len(open_B):
        return None
    return open_B.int().argsort(descending=True, stable=True)[:num_rows]
