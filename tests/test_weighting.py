"""How much each objective weighs: fixed, learned (Kendall et al. 2018), or moved over the run."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import tiktoken
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ssl_lib.batches.batch import Batch
from ssl_lib.batches.datasets import PackedSequences
from ssl_lib.config import OBJECTIVES, Settings, SettingsError, TrainingSettings
from ssl_lib.objectives.registry import build_objectives
from ssl_lib.tokens.alignment import Tokenized
from ssl_lib.training.fit import Corpora, FitResult, fit
from ssl_lib.training.trainer import MOST_LOG_VARIANCE, SelfSupervisedTrainer, Weighting

STEPS = 11
share = st.floats(0.0, 1.0)
weight = st.floats(0.0, 10.0)


def scheduled(first: float, last: float, start: float = 0.0, end: float = 1.0) -> Weighting:
    plan = TrainingSettings(
        weighting="schedule", steps=STEPS, weight_schedule_start=start, weight_schedule_end=end
    )
    return Weighting({"mlm": first}, {"mlm": last}, plan)


def trainer_of(settings: Settings, encoding: tiktoken.Encoding) -> SelfSupervisedTrainer:
    torch.manual_seed(0)
    objectives = build_objectives(settings, encoding)
    return SelfSupervisedTrainer(
        *(objectives[name] for name in settings.trained()),
        weights=settings.objectives.weights(),
        final_weights=settings.objectives.final_weights(),
        settings=settings.training,
    )


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(value.nan_to_num(-7.5), second[name].nan_to_num(-7.5))
        for name, value in first.items()
    )


@given(weight, weight, share, share)
def test_a_schedule_moves_from_the_first_weight_to_the_last_in_a_straight_line(
    first: float, last: float, one: float, other: float
) -> None:
    start, end = sorted((one, other))
    weights = [scheduled(first, last, start, end).at(step)["mlm"] for step in range(STEPS)]
    for step, value in enumerate(weights):
        done = step / (STEPS - 1)
        expected = first if done <= start else last if done >= end else None
        if expected is None:
            expected = first + (last - first) * (done - start) / (end - start)
        assert value == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert min(weights) >= min(first, last) - 1e-9
    assert max(weights) <= max(first, last) + 1e-9


def test_a_schedule_without_shares_takes_the_whole_run_and_may_begin_or_end_at_zero() -> None:
    assert [scheduled(0.0, 1.0).at(step)["mlm"] for step in (0, 5, 10, 99)] == [0.0, 0.5, 1.0, 1.0]
    assert [scheduled(1.0, 0.0).at(step)["mlm"] for step in (0, 5, 10, 99)] == [1.0, 0.5, 0.0, 0.0]


def test_an_end_before_the_start_is_refused_by_name() -> None:
    with pytest.raises(
        SettingsError, match="weight_schedule_start must be at most weight_schedule_end"
    ):
        Settings().replaced(
            {"training.weight_schedule_start": 0.8, "training.weight_schedule_end": 0.3}
        )


def test_objectives_that_only_end_or_only_begin_are_trained_and_others_are_not() -> None:
    ends: dict[str, Any] = {"objectives.mlm.weight": 0.0, "objectives.mlm.weight_end": 0.5}
    begins: dict[str, Any] = {"objectives.ntp.weight_end": 0.0}
    never: dict[str, Any] = {
        "objectives.denoising.weight": 0.0,
        "objectives.denoising.weight_end": 0.0,
    }
    settings = Settings().replaced(ends | begins | never | {"training.weighting": "schedule"})
    assert settings.trained() == ["mlm", "ntp", "contrastive", "numerical"]
    assert settings.replaced({"training.weighting": "fixed"}).trained() == [
        "ntp",
        "contrastive",
        "numerical",
    ]


def test_weights_that_do_not_move_train_like_fixed_ones_to_the_bit(
    settings: Settings, encoding: tiktoken.Encoding, batch: Batch
) -> None:
    fixed = trainer_of(settings, encoding)
    moved = trainer_of(settings.replaced({"training.weighting": "schedule"}), encoding)
    for _ in range(3):
        assert fixed.train_step(batch) == moved.train_step(batch)
    assert same(fixed.groups[0].state_dict(), moved.groups[0].state_dict())


def test_the_weight_of_a_schedule_is_the_one_of_its_step(
    settings: Settings, encoding: tiktoken.Encoding, batch: Batch
) -> None:
    """A step of the schedule is a step with the weights that stand fixed at its value."""
    ends = {f"objectives.{name}.weight_end": 0.25 * place for place, name in enumerate(OBJECTIVES)}
    moving = trainer_of(
        settings.replaced(ends | {"training.weighting": "schedule", "training.steps": 5}), encoding
    )
    for step in range(5):
        standing = trainer_of(settings.replaced({"training.steps": 5}), encoding)
        standing.load_state_dict(copy.deepcopy(moving.state_dict()))
        standing.weights.update(moving.weighting.at(step))
        assert standing.train_step(batch) == moving.train_step(batch)
        assert same(standing.groups[0].state_dict(), moving.groups[0].state_dict())


def test_an_objective_at_weight_zero_trains_when_its_time_comes(
    settings: Settings, encoding: tiktoken.Encoding, batch: Batch
) -> None:
    late = {
        "objectives.mlm.weight": 0.0,
        "objectives.mlm.weight_end": 1.0,
        "training.weight_schedule_start": 0.5,
    }
    trainer = trainer_of(
        settings.replaced(late | {"training.weighting": "schedule", "training.steps": 5}), encoding
    )
    head = trainer.groups[0].objectives["mlm"].head
    before = {name: value.clone() for name, value in head.state_dict().items()}
    changed = []
    for _ in range(5):
        assert trainer.train_step(batch)["mlm"] > 0
        changed.append(not same(before, head.state_dict()))
    assert changed == [False, False, False, True, True]


def uncertain(losses: dict[str, float], weights: dict[str, float]) -> Weighting:
    weighting = Weighting(weights, {}, TrainingSettings(weighting="uncertainty"))
    with torch.no_grad():
        for place, name in enumerate(losses):
            weighting.log_variances[name].fill_(0.3 * place - 0.4)
    return weighting


@given(st.lists(st.tuples(st.floats(0.01, 20.0), st.floats(0.01, 3.0)), min_size=1, max_size=4))
def test_learned_weights_follow_the_gradient_of_the_paper(pairs: list[tuple[float, float]]) -> None:
    losses = {f"objective {place}": loss for place, (loss, _) in enumerate(pairs)}
    weights = {f"objective {place}": value for place, (_, value) in enumerate(pairs)}
    weighting = uncertain(losses, weights)
    weighting.learn(losses, {name: {"part": 1} for name in losses})
    for name, loss in losses.items():
        log_variance = weighting.log_variances[name].detach().double().requires_grad_()
        variance = log_variance.exp()
        (
            weights[name] * (loss / variance + variance.sqrt().log())
        ).backward()  # eq. 10: likelihood of a softmax
        assert float(weighting.log_variances[name].grad) == pytest.approx(
            float(log_variance.grad), rel=1e-4, abs=1e-6
        )
        assert weighting.at(0)[name] == pytest.approx(weights[name] / variance.item(), rel=1e-5)


def test_learned_weights_come_to_rest_at_half_the_inverse_loss_and_stay_within_bounds() -> None:
    losses = {"mlm": 3.0, "ntp": 0.2, "numerical": -5.0}
    weighting = Weighting(
        {"mlm": 0.1, "ntp": 1.0, "numerical": 1.0}, {}, TrainingSettings(weighting="uncertainty")
    )
    optimizer = torch.optim.SGD(weighting.parameters(), lr=0.5)
    for _ in range(2000):
        weighting.learn(losses, {name: {"part": 7} for name in losses})
        optimizer.step()
    assert weighting.at(0)["mlm"] == pytest.approx(0.1 / (2 * 3.0), rel=1e-3)
    assert weighting.at(0)["ntp"] == pytest.approx(1.0 / (2 * 0.2), rel=1e-3)
    weighting.learn(losses, {})
    assert weighting.at(0)["numerical"] == pytest.approx(math.exp(MOST_LOG_VARIANCE))


def test_an_objective_without_targets_teaches_nothing(encoding: tiktoken.Encoding) -> None:
    weighting = uncertain({"mlm": 1.0, "numerical": 0.0}, {"mlm": 1.0, "numerical": 1.0})
    counts = {"mlm": {"mlm": 4}, "numerical": {"value": 0, "type": 0}}
    weighting.learn({"mlm": 1.0, "numerical": 0.0}, counts)
    assert weighting.log_variances["mlm"].grad is not None
    assert weighting.log_variances["numerical"].grad is None


class Notes:
    """A tracker that keeps what it is told, and may stop the run at a step."""

    def __init__(self, stop_at: int = -1) -> None:
        self.points: list[tuple[int, dict[str, float]]] = []
        self.stop_at = stop_at

    def log(self, metrics: dict[str, float], step: int) -> None:
        self.points.append((step, metrics))
        if step == self.stop_at:
            raise KeyboardInterrupt


def run(
    settings: Settings,
    encoding: tiktoken.Encoding,
    tokenized: Tokenized,
    notes: Notes,
    scratch: Path | None = None,
) -> FitResult:
    corpora = Corpora(
        PackedSequences(tokenized, 32, seed=3),
        PackedSequences(tokenized, 32, seed=3, shuffle=False),
    )
    return fit(settings, encoding, corpora, notes, scratch)


CHANGING = [
    {"training.weighting": "uncertainty"},
    {
        "training.weighting": "schedule",
        "objectives.mlm.weight_end": 0.0,
        "objectives.ntp.weight_end": 3.0,
    },
]


@pytest.mark.parametrize("values", CHANGING, ids=["uncertainty", "schedule"])
def test_an_interrupted_run_goes_on_bit_for_bit_and_logs_its_weights(
    settings: Settings,
    encoding: tiktoken.Encoding,
    tokenized: Tokenized,
    tmp_path: Path,
    values: dict[str, Any],
) -> None:
    chosen = settings.replaced(values)
    whole, later = Notes(), Notes()
    expected = run(chosen, encoding, tokenized, whole)
    with pytest.raises(KeyboardInterrupt):
        run(chosen, encoding, tokenized, Notes(stop_at=8), tmp_path)
    resumed = run(chosen, encoding, tokenized, later, tmp_path)
    assert same(expected.last["ntp"], resumed.last["ntp"])
    assert expected.progress.validation == resumed.progress.validation
    weights = {step: point["weight/ntp"] for step, point in whole.points if "weight/ntp" in point}
    assert list(weights) == list(range(1, 13))
    assert len(set(weights.values())) == 12
    resumed_weights = {
        step: point["weight/ntp"] for step, point in later.points if "weight/ntp" in point
    }
    assert resumed_weights == {step: value for step, value in weights.items() if step > 5}


def test_fixed_weights_are_not_logged_and_have_no_parameters(
    settings: Settings, encoding: tiktoken.Encoding, tokenized: Tokenized
) -> None:
    notes = Notes()
    run(settings.replaced({"training.steps": 1}), encoding, tokenized, notes)
    assert not any(name.startswith("weight/") for _, point in notes.points for name in point)
    assert not list(trainer_of(settings, encoding).weighting.parameters())


@pytest.mark.parametrize("values", CHANGING, ids=["uncertainty", "schedule"])
def test_the_validation_score_holds_no_weight(
    settings: Settings, encoding: tiktoken.Encoding, tokenized: Tokenized, values: dict[str, Any]
) -> None:
    """At a learning rate that moves nothing, every weighting gives the same score."""
    still = {
        "training.learning_rate": 1e-12,
        "training.adamw_learning_rate": 1e-12,
        "training.steps": 2,
    }
    plain = run(settings.replaced(still), encoding, tokenized, Notes()).progress.best_score
    assert (
        run(settings.replaced(still | values), encoding, tokenized, Notes()).progress.best_score
        == plain
    )
