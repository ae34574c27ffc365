"""Optimisers and learning rates, at updates that can be computed by hand."""

import math

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW

from seq2seq.training.schedules import Optimization, factor, make_optimizer, make_schedule, scale_gradients


def rates(how: Optimization, num_updates: int, total_steps: float = math.inf) -> list[float]:
    """The rate that each of the first updates uses, read off an SGD step on a gradient of one."""
    weight = nn.Parameter(torch.zeros(1, 1, dtype=torch.float64))
    optimizer = SGD([weight], lr=how.lr)
    schedule = make_schedule(optimizer, how, total_steps=total_steps)
    used = []
    for _ in range(num_updates):
        before = weight.item()
        weight.grad = torch.ones_like(weight)
        optimizer.step()
        schedule.step()
        used.append(before - weight.item())
    return used


def test_warm_up_is_linear_and_begins_at_one_share_not_at_zero() -> None:
    for schedule in ("constant", "inverse_sqrt", "cosine"):
        how = Optimization(lr=0.8, schedule=schedule, warmup_steps=4)
        assert rates(how, 4, total_steps=20) == pytest.approx([0.2, 0.4, 0.6, 0.8])


def test_constant_stays_at_the_peak() -> None:
    assert rates(Optimization(lr=0.8, schedule="constant", warmup_steps=2), 5) == pytest.approx([0.4] + [0.8] * 4)


def test_inverse_sqrt_falls_to_a_half_after_four_warm_ups() -> None:
    used = rates(Optimization(lr=0.8, schedule="inverse_sqrt", warmup_steps=4), 100)
    assert [used[s - 1] for s in (4, 16, 36, 100)] == pytest.approx([0.8, 0.4, 0.8 / 3, 0.16])
    # Vaswani et al. 2017, eq. 3, up to its unit.
    equation = [min(s**-0.5, s * 4**-1.5) for s in range(1, 101)]
    assert [a / b for a, b in zip(used, equation, strict=True)] == pytest.approx([1.6] * 100)


def test_cosine_passes_the_half_in_the_middle_and_is_zero_at_the_last_update() -> None:
    used = rates(Optimization(lr=0.8, schedule="cosine", warmup_steps=10), 50, total_steps=50)
    by_hand = [0.8, 0.4 * (1 + math.sqrt(0.5)), 0.4, 0.4 * (1 - math.sqrt(0.5)), 0.0]
    assert [used[s - 1] for s in (10, 20, 30, 40, 50)] == pytest.approx(by_hand)


def test_cosine_stays_at_zero_behind_its_end() -> None:
    how = Optimization(lr=0.8, schedule="cosine", warmup_steps=0)
    used = rates(how, 60, total_steps=50)
    assert used[49:] == pytest.approx([0.0] * 11)
    assert used[24] == pytest.approx(0.4)


def test_cosine_follows_what_is_spent_where_updates_do_not_end_the_training() -> None:
    how = Optimization(lr=0.8, schedule="cosine", warmup_steps=4)
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=how.lr)
    spent = iter([0.0, 0.1, 0.2, 0.3, 0.5, 0.9, 1.0])
    schedule = make_schedule(optimizer, how, total_steps=math.inf, share_done=lambda: next(spent))
    seen = []
    for _ in range(7):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(seen) < 7:
            schedule.step()
    # Share of what comes after the warm-up: of 0.5 in 5 updates 4 took 0.4, so 0.1 of 0.6 is done; then 0.3 of 0.4.
    cosine = [0.4 * (1 + math.cos(math.pi * share)) for share in (0.1 / 0.6, 0.3 / 0.4, 1.0)]
    assert seen == pytest.approx([0.2, 0.4, 0.6, 0.8, *cosine])


def test_cosine_is_the_same_whether_updates_end_the_training_or_a_budget_that_they_spend_evenly() -> None:
    how = Optimization(lr=0.8, schedule="cosine", warmup_steps=10)
    assert [factor(how, step, step / 50) for step in range(1, 51)] == pytest.approx(
        [used / 0.8 for used in rates(how, 50, total_steps=50)]
    )


def test_without_warm_up_training_begins_at_the_peak() -> None:
    assert rates(Optimization(lr=0.8, schedule="constant", warmup_steps=0), 2) == pytest.approx([0.8, 0.8])
    assert rates(Optimization(lr=0.8, schedule="inverse_sqrt", warmup_steps=0), 4) == pytest.approx(
        [0.8, 0.8 / math.sqrt(2), 0.8 / math.sqrt(3), 0.4]
    )


def test_plateau_halves_after_so_many_validations_without_a_lower_loss() -> None:
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=0.8)
    schedule = make_schedule(optimizer, Optimization(lr=0.8, schedule="plateau", patience=2), total_steps=math.inf)
    seen = []
    for loss in (3.0, 2.0, 2.5, 2.1, 1.9, 1.95, 1.9, 1.92, 1.91, 2.0):
        schedule.step(loss)  # type: ignore[arg-type]
        seen.append(optimizer.param_groups[0]["lr"])
    # 2.5 and 2.1 are patience's two, then 1.9 is lower. Of the five that are not, two end in a half each.
    assert seen == [0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.2, 0.2, 0.1, 0.1]


def test_cosine_without_an_end_is_refused() -> None:
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    with pytest.raises(
        ValueError, match=r"^schedule cosine falls to zero .* no end is set; set trainer\.max_steps, .* budget$"
    ):
        make_schedule(optimizer, Optimization(schedule="cosine"), total_steps=math.inf)


@pytest.mark.parametrize(("name", "kind"), [("adamw", AdamW), ("adam", Adam), ("sgd", SGD)])
def test_weight_decay_is_on_matrices_only(name, kind: type) -> None:
    model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 3), nn.LayerNorm(3))
    model[1].weight.requires_grad_(False)
    how = Optimization(optimizer=name, lr=0.5, weight_decay=0.25, betas=(0.8, 0.9), momentum=0.7)
    optimizer = make_optimizer(model, how, fused=False)
    assert type(optimizer) is kind
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert decay == {
        id(model[0].weight): 0.25,
        id(model[1].bias): 0.0,
        id(model[2].weight): 0.0,
        id(model[2].bias): 0.0,
    }
    for group in optimizer.param_groups:
        assert group["lr"] == 0.5
        assert group["momentum"] == 0.7 if name == "sgd" else group["betas"] == (0.8, 0.9)


def test_gradients_are_scaled_in_place_and_what_has_none_is_left() -> None:
    with_gradient, without = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(2))
    with_gradient.grad = torch.tensor([1.0, 2.0, 4.0])
    scale_gradients([with_gradient, without], torch.tensor(0.25))
    assert with_gradient.grad.tolist() == [0.25, 0.5, 1.0]
    assert without.grad is None
    scale_gradients([without], 0.5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": "adagrad"}, r"^optimizer is 'adagrad'; use adamw, adam or sgd$"),
        ({"schedule": "step"}, r"^schedule is 'step'; use inverse_sqrt, cosine, plateau or constant$"),
        ({"lr": 0.0}, r"^lr 0\.0 must be positive"),
        ({"warmup_steps": -1}, r"warmup_steps -1 not negative$"),
        ({"patience": 0}, r"^patience 0 of the schedule plateau must be at least 1$"),
    ],
)
def test_what_is_impossible_is_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Optimization(**settings)
