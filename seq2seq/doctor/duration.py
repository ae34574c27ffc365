"""When a training ends and how often it validates, by what its configuration says and an epoch consists of."""

import math
from collections.abc import Iterator
from typing import NamedTuple

from seq2seq.training.settings import Given, last_update


class Epoch(NamedTuple):
    """What one pass over the training pairs consists of."""

    num_batches: int  # of each process
    num_tgt_tokens: int  # without padding, on all processes
    flops: int  # on all processes


class End(NamedTuple):
    """Where a training ends."""

    updates: int
    limit: str  # what ends it: "trainer.max_epochs 4"
    validations: int


def what_lightning_refuses(given: Given, epoch: Epoch) -> Iterator[str]:
    """Settings that do not go together with the number of batches."""
    interval, limit = given["trainer.val_check_interval"], given["trainer.limit_train_batches"]
    if isinstance(limit, float) and int(limit * epoch.num_batches) == 0:
        yield f"trainer.limit_train_batches {limit} of the {epoch.num_batches} batches of an epoch is none; raise it"
    most = _limited(epoch.num_batches, limit)
    is_in_epoch = given["trainer.check_val_every_n_epoch"] is not None
    if is_in_epoch and isinstance(interval, int) and interval > most:
        yield (
            f"trainer.val_check_interval is {interval}, but an epoch has {most} batches; lower it, or set "
            "trainer.check_val_every_n_epoch to null, and it counts over epochs"
        )


def end_of_training(given: Given, epoch: Epoch, batch_s: float) -> End | None:
    """The end that comes first; None if the configuration sets none. Patience may end a training before.

    Args:
        given: the settings.
        epoch: what it consists of.
        batch_s: seconds that a batch takes.
    """
    accumulated = given["trainer.accumulate_grad_batches"]
    num_batches = _limited(epoch.num_batches, given["trainer.limit_train_batches"])
    per_epoch = math.ceil(num_batches / accumulated)
    share = num_batches / epoch.num_batches  # of the tokens
    ends: dict[str, float] = {}
    if (updates := last_update(given)) is not None:
        ends["budget.updates" if given["budget.updates"] else "trainer.max_steps"] = updates
    if (given["trainer.max_epochs"] or -1) > 0:
        ends["trainer.max_epochs"] = given["trainer.max_epochs"] * per_epoch
    for name, of_an_epoch in (
        ("budget.target_tokens", epoch.num_tgt_tokens * share),
        ("budget.flops", epoch.flops * share),
        ("budget.minutes", num_batches * batch_s / 60),
    ):
        if given[name] and of_an_epoch:
            ends[name] = given[name] / of_an_epoch * per_epoch
    if not ends:
        return None
    name = min(ends, key=ends.__getitem__)
    last = max(1, math.ceil(ends[name]))
    return End(last, f"{name} {given[name]}", _validations(given, last, per_epoch, num_batches))


def _validations(given: Given, updates: int, per_epoch: int, num_batches: int) -> int:
    interval, every = given["trainer.val_check_interval"], given["trainer.check_val_every_n_epoch"]
    if every is None:
        batches = updates * given["trainer.accumulate_grad_batches"]
        return math.ceil(batches / interval) if isinstance(interval, int) else 1
    share = 1.0 if interval is None or isinstance(interval, str) else interval
    in_epoch = num_batches // max(1, share if isinstance(share, int) else int(num_batches * share))
    return max(1, math.ceil(updates / per_epoch / every * in_epoch))


def _limited(num_batches: int, limit: float | None) -> int:
    """As trainer.limit_train_batches says: a number of batches or a share of them."""
    if limit is None:
        return num_batches
    return max(1, min(num_batches, limit if isinstance(limit, int) else int(num_batches * limit)))
