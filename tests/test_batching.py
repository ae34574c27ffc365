"""Padded batches, the plan of an epoch, and a loader that goes on where it stopped."""

import random

import pytest
import torch
from torch.utils.data import Dataset

from seq2seq.batching import Batch, ResumableLoader, TokenBatchSampler, collate, pad_sources
from seq2seq.special_ids import BOS_ID, EOS_ID, PAD_ID


def lengths(num_rows: int, seed: int = 0, longest: int = 40) -> list[tuple[int, int]]:
    """Pairs whose sides are about equally long."""
    generator = random.Random(seed)
    pairs = []
    for _ in range(num_rows):
        src = min(longest, 1 + int(generator.expovariate(1 / 12)))
        pairs.append((src, max(1, min(longest, src + generator.randint(-3, 3)))))
    return pairs


def plan(rows: list[tuple[int, int]], epoch: int = 0, **settings) -> list[list[int]]:
    settings = {"max_tokens_per_batch": 200, "shuffle": True, "seed": 1} | settings
    sampler = TokenBatchSampler(rows, **settings)
    sampler.set_epoch(epoch)
    batches = list(sampler)
    assert len(sampler) == len(batches)
    return batches


def tokens(rows: list[tuple[int, int]], batch: list[int]) -> int:
    return len(batch) * max(max(rows[i]) for i in batch)


def test_a_batch_holds_what_the_models_read_and_predict() -> None:
    batch = collate([[7, 8, 9], [5]], [[6], [4, 10]], rows=[31, 2])
    assert batch.src_BS.tolist() == [[7, 8, 9, EOS_ID], [5, EOS_ID, PAD_ID, PAD_ID]]
    assert batch.src_key_padding_mask_BS.tolist() == [[False] * 4, [False, False, True, True]]
    assert batch.tgt_in_BT.tolist() == [[BOS_ID, 6, PAD_ID], [BOS_ID, 4, 10]]
    assert batch.tgt_out_BT.tolist() == [[6, EOS_ID, PAD_ID], [4, 10, EOS_ID]]
    assert batch.rows_B.tolist() == [31, 2]
    assert batch.tgt_places_N.tolist() == [0, 1, 3, 4, 5]
    assert batch.tgt_out_BT.take(batch.tgt_places_N).tolist() == [6, EOS_ID, 4, 10, EOS_ID]
    assert batch.num_tgt_tokens == 5


def test_more_padding_changes_nothing_else() -> None:
    src, tgt = [[4, 5, 6], [7]], [[8], [9, 10]]
    plain, padded = collate(src, tgt, [3, 1]), collate(src, tgt, [3, 1], pad_to_multiple_of=8)
    assert padded.src_BS.shape == padded.tgt_in_BT.shape == padded.tgt_out_BT.shape == (2, 8)
    for name in ("src_BS", "src_key_padding_mask_BS", "tgt_in_BT", "tgt_out_BT"):
        one, other = getattr(plain, name), getattr(padded, name)
        assert torch.equal(other[:, : one.shape[1]], one)
        assert (other[:, one.shape[1] :] == (PAD_ID if one.dtype == torch.long else True)).all()
    assert torch.equal(padded.tgt_out_BT.flatten()[padded.tgt_places_N], plain.tgt_out_BT.flatten()[plain.tgt_places_N])
    assert padded.num_tgt_tokens == plain.num_tgt_tokens == 5


def test_a_sentence_without_pieces_is_its_end_alone() -> None:
    src_BS, mask_BS = pad_sources([[], []])
    assert src_BS.tolist() == [[EOS_ID], [EOS_ID]] and not mask_BS.any()
    assert collate([[]], [[]], [0]).tgt_out_BT.tolist() == [[EOS_ID]]


@pytest.mark.parametrize("shuffle", [True, False])
def test_an_epoch_has_every_row_once_within_the_limit(shuffle: bool) -> None:
    rows = lengths(1000)
    batches = plan(rows, shuffle=shuffle)
    assert sorted(i for batch in batches for i in batch) == list(range(1000))
    assert max(tokens(rows, batch) for batch in batches) <= 200


def test_similar_lengths_go_together() -> None:
    rows = lengths(20_000)
    batches = plan(rows, max_tokens_per_batch=1000)
    padded = sum(len(batch) * (max(rows[i][0] for i in batch) + max(rows[i][1] for i in batch)) for batch in batches)
    assert sum(src + tgt for src, tgt in rows) / padded > 0.9
    assert sum(tokens(rows, batch) for batch in batches) / (1000 * len(batches)) > 0.95, "batches are full"


def test_a_row_above_the_limit_gets_a_batch_of_its_own() -> None:
    rows = [(5, 5), (5, 900), (300, 5), (5, 5)]
    for shuffle in (True, False):
        assert sorted(map(sorted, plan(rows, shuffle=shuffle))) == [[0, 3], [1], [2]]


def test_the_plan_follows_from_seed_and_epoch() -> None:
    rows = lengths(2000)
    first = plan(rows, epoch=3, seed=5)
    assert plan(rows, epoch=3, seed=5) == first
    for other in (plan(rows, epoch=4, seed=5), plan(rows, epoch=3, seed=6)):
        assert len(other) == len(first), "the number of batches is the same in each epoch"
        shared = {tuple(sorted(batch)) for batch in first} & {tuple(sorted(batch)) for batch in other}
        assert len(shared) < len(first) / 2, "rows come in other company"
        assert [tokens(rows, batch) for batch in first] != [tokens(rows, batch) for batch in other]
    torch.manual_seed(9)  # nobody else's random numbers matter
    assert plan(rows, epoch=3, seed=5) == first


def test_evaluation_does_not_depend_on_seed_and_epoch() -> None:
    rows = lengths(300)
    assert plan(rows, shuffle=False, seed=1) == plan(rows, shuffle=False, seed=2, epoch=7)


@pytest.mark.parametrize("world_size", [2, 3, 8])
@pytest.mark.parametrize("epoch", [0, 1])
def test_ranks_share_the_shuffled_batches_of_one_process_evenly(world_size: int, epoch: int) -> None:
    rows = lengths(777)
    whole = plan(rows, epoch=epoch)
    ranks = [plan(rows, epoch=epoch, rank=rank, world_size=world_size) for rank in range(world_size)]
    assert {len(batches) for batches in ranks} == {len(whole) // world_size}
    interleaved = [batch for step in zip(*ranks, strict=True) for batch in step]
    assert interleaved == whole[: len(interleaved)], "together they take the same steps as one process"


@pytest.mark.parametrize("world_size", [2, 3, 8])
@pytest.mark.parametrize("num_rows", [8, 9, 57, 777])
@pytest.mark.parametrize("limit", [45, 200, 10_000])
def test_evaluation_gives_every_row_to_one_rank_and_each_rank_equally_many_batches(
    world_size: int, num_rows: int, limit: int
) -> None:
    rows = lengths(num_rows)
    ranks = [
        plan(rows, shuffle=False, max_tokens_per_batch=limit, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    assert len({len(batches) for batches in ranks}) == 1
    assert all(batch for batches in ranks for batch in batches)
    assert sorted(i for batches in ranks for batch in batches for i in batch) == list(range(num_rows))


def test_too_few_rows_for_the_ranks_are_an_error() -> None:
    with pytest.raises(ValueError, match="2 rows cannot be shared by 3 processes; use more rows or fewer devices"):
        plan(lengths(2), shuffle=False, world_size=3)
    with pytest.raises(
        ValueError, match="5 rows make 1 batches of at most 900 tokens, too few for 2 processes; use more"
    ):
        plan([(9, 9)] * 5, max_tokens_per_batch=900, world_size=2)


def test_a_million_rows_are_planned() -> None:
    """In less than a second; a plan in quadratic time would never end."""
    rows_N2 = torch.tensor(lengths(10_000)).repeat(100, 1)
    sampler = TokenBatchSampler(rows_N2, max_tokens_per_batch=4096, shuffle=True, seed=1)
    assert sum(map(len, sampler)) == 1_000_000


class Numbers(Dataset[Batch]):
    """A batch that says which epoch and rows were asked for."""

    def __len__(self) -> int:
        return 500

    def __getitem__(self, epoch_and_rows: tuple[int, list[int]]) -> Batch:
        epoch, rows = epoch_and_rows
        return collate([[row + 10] for row in rows], [[epoch + 10]] * len(rows), rows)


def loader(num_workers: int = 0, max_tokens_per_batch: int = 200) -> ResumableLoader:
    sampler = TokenBatchSampler(lengths(500), max_tokens_per_batch=max_tokens_per_batch, shuffle=True, seed=1)
    return ResumableLoader(Numbers(), sampler, num_workers=num_workers)


def set_epoch(loader: ResumableLoader, epoch: int) -> None:
    """As Lightning does it."""
    loader.batch_sampler.sampler.set_epoch(epoch)


def seen(batches) -> list[tuple[int, list[int]]]:
    return [(int(batch.tgt_out_BT[0, 0]) - 10, batch.rows_B.tolist()) for batch in batches]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_resumed_loader_goes_on_after_the_last_batch_given(num_workers: int) -> None:
    straight = loader()
    epochs = []
    for epoch in range(3):
        set_epoch(straight, epoch)
        epochs.append(seen(straight))
        assert len(epochs[-1]) == len(straight) and {number for number, _ in epochs[-1]} == {epoch}

    stopped = loader(num_workers)
    set_epoch(stopped, 0)
    assert seen(stopped) == epochs[0]
    set_epoch(stopped, 1)
    batches = iter(stopped)
    assert seen(next(batches) for _ in range(4)) == epochs[1][:4]
    state = stopped.state_dict()  # workers have prefetched more by now

    resumed = loader(num_workers)
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    assert len(resumed) == len(straight), "Lightning counts the batches of the whole epoch"
    set_epoch(resumed, 1)
    assert seen(resumed) == epochs[1][4:]
    assert resumed.state_dict()["num_given"] == len(resumed)
    set_epoch(resumed, 2)
    assert seen(resumed) == epochs[2], "only the interrupted epoch is shortened"


def test_the_state_at_the_end_of_an_epoch_leads_to_the_whole_next_one() -> None:
    first = loader()
    list(first)
    resumed = loader()
    resumed.load_state_dict(first.state_dict())
    set_epoch(resumed, 0)
    assert seen(resumed) == []
    set_epoch(resumed, 1)
    assert len(seen(resumed)) == len(resumed)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_loader_that_was_left_early_starts_anew(num_workers: int) -> None:
    left = loader(num_workers)
    batches = iter(left)
    first = seen([next(batches)])
    assert seen(left)[:1] == first and left.state_dict()["num_given"] == len(left)


def test_a_state_of_another_plan_is_refused_in_the_middle_of_an_epoch_only() -> None:
    first, other = loader(), loader(max_tokens_per_batch=90)
    batches = iter(first)
    next(batches)
    with pytest.raises(
        ValueError, match=r"middle of an epoch of \d+ batches, this run has \d+; resume with the same data"
    ):
        other.load_state_dict(first.state_dict())
    list(batches)
    other.load_state_dict(first.state_dict())
