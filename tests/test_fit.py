"""The loop around the step: validation, resuming after a kill, and whose checkpoint is taken up."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import pytest
import tiktoken
import torch

from ssl_lib.batches.datasets import PackedSequences
from ssl_lib.config import OBJECTIVES, Settings
from ssl_lib.model.devices import Placement
from ssl_lib.objectives.held_out import held_out_batches, held_out_losses, relative_score
from ssl_lib.objectives.registry import build_objectives
from ssl_lib.tokens.alignment import Tokenized
from ssl_lib.tokens.encodings import encoding as read_encoding
from ssl_lib.training.checkpoint import CheckpointError, load_checkpoint, run_key
from ssl_lib.training.fit import TERMINATED, Corpora, FitResult, fit

CPU = Placement(torch.device("cpu"), False)


@dataclass
class Notes:
    """A tracker that keeps what it is told, and sends its own process a signal at a step."""

    signal_at: tuple[int, int] = (-1, 0)
    points: list[tuple[int, dict[str, float]]] = field(default_factory=list)

    def log(self, metrics: dict[str, float], step: int) -> None:
        self.points.append((step, metrics))
        if step == self.signal_at[0]:
            os.kill(os.getpid(), self.signal_at[1])


def corpora_of(tokenized: Tokenized) -> Corpora:
    return Corpora(
        PackedSequences(tokenized, 32, seed=3),
        PackedSequences(tokenized, 32, seed=3, shuffle=False),
    )


def killed_fit(
    settings: Settings,
    encoding_file: str,
    tokenized: Tokenized,
    scratch: str,
    step: int,
    number: int,
) -> None:
    """A process that gets a signal in the middle of its run."""
    torch.set_num_threads(1)
    fit(
        settings,
        read_encoding(encoding_file),
        corpora_of(tokenized),
        Notes((step, number)),
        Path(scratch),
    )


def trained_weights(result: FitResult) -> dict[str, torch.Tensor]:
    return torch.nn.ModuleDict(result.objectives).state_dict()


@pytest.fixture(scope="module")
def notes() -> Notes:
    return Notes()


@pytest.fixture(scope="module")
def uninterrupted(
    settings: Settings, encoding: tiktoken.Encoding, tokenized: Tokenized, notes: Notes
) -> FitResult:
    return fit(settings, encoding, corpora_of(tokenized), notes)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "step", "exit_status", "saved"),
    [(signal.SIGTERM, 8, TERMINATED, 8), (signal.SIGKILL, 8, -9, 5)],
)
def test_a_killed_run_goes_on_bit_for_bit(
    settings: Settings,
    encoding: tiktoken.Encoding,
    encoding_file: Path,
    tokenized: Tokenized,
    uninterrupted: FitResult,
    tmp_path: Path,
    number: int,
    step: int,
    exit_status: int,
    saved: int,
) -> None:
    arguments = (settings, str(encoding_file), tokenized, str(tmp_path), step, number)
    process = multiprocessing.get_context("spawn").Process(target=killed_fit, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == exit_status
    assert load_checkpoint(tmp_path / "checkpoint.pt")["trainer"]["steps_done"] == saved
    later = Notes()
    resumed = fit(settings, encoding, corpora_of(tokenized), later, tmp_path)
    assert min(step for step, _ in later.points) == saved + 1
    expected = trained_weights(uninterrupted)
    assert all(
        torch.equal(value, expected[name]) for name, value in trained_weights(resumed).items()
    )
    assert without_speed(resumed.progress.curve) == without_speed(uninterrupted.progress.curve)
    assert resumed.progress.validation == uninterrupted.progress.validation
    assert (resumed.progress.best_step, resumed.progress.best_score) == (
        uninterrupted.progress.best_step, uninterrupted.progress.best_score
    )  # fmt: skip


def without_speed(curve: list[dict[str, float]]) -> list[dict[str, float]]:
    return [
        {name: value for name, value in point.items() if "second" not in name} for point in curve
    ]


def test_the_same_run_twice_is_the_same_to_the_bit(
    settings: Settings, encoding: tiktoken.Encoding, tokenized: Tokenized, uninterrupted: FitResult
) -> None:
    torch.manual_seed(123)
    again = fit(settings, encoding, corpora_of(tokenized), Notes())
    expected = trained_weights(uninterrupted)
    assert all(torch.equal(value, expected[name]) for name, value in trained_weights(again).items())


def stopped_at(
    settings: Settings, encoding: tiktoken.Encoding, tokenized: Tokenized, scratch: Path
) -> None:
    """Leave a checkpoint of step 5 behind, by an error at the validation of step 6."""

    def stop(step: int, losses: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(settings, encoding, corpora_of(tokenized), Notes(), scratch, on_validation=stop)


def test_seconds_of_an_interrupted_run_are_not_lost(
    settings: Settings, encoding: tiktoken.Encoding, tokenized: Tokenized, tmp_path: Path
) -> None:
    stopped_at(settings, encoding, tokenized, tmp_path)
    before = load_checkpoint(tmp_path / "checkpoint.pt")["progress"]["seconds"]
    assert before > 0
    assert (
        fit(settings, encoding, corpora_of(tokenized), Notes(), tmp_path).progress.seconds > before
    )


def test_a_damaged_checkpoint_is_refused_and_kept(
    settings: Settings, encoding: tiktoken.Encoding, tokenized: Tokenized, tmp_path: Path
) -> None:
    stopped_at(settings, encoding, tokenized, tmp_path)
    path = tmp_path / "checkpoint.pt"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        fit(settings, encoding, corpora_of(tokenized), Notes(), tmp_path)
    assert path.read_bytes() == bytes(content)


def leaves(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= (
            leaves(value, f"{prefix}{key}.")
            if isinstance(value, dict)
            else {f"{prefix}{key}": value}
        )
    return flat


OTHER = {
    "model.width": 48,
    "objectives.mlm.mask_token_share": 0.7,
    "model.number_embedding": "value",
}


def choices_of(key: str) -> tuple[str, ...]:
    """What a setting that is one of several words may be."""
    *parents, last = key.split(".")
    section: Any = Settings()
    for parent in parents:
        section = getattr(section, parent)
    return get_args(type(section).model_fields[last].annotation)


def other_value(key: str, value: Any) -> Any:
    """Another value that is allowed."""
    if key in OTHER:
        return OTHER[key]
    if value is None:
        return 0.5
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return next(choice for choice in choices_of(key) if choice != value)
    return value + 1 if isinstance(value, int) else value * 0.9 + 0.05


def test_no_two_settings_share_a_scratch_folder(settings: Settings) -> None:
    relevant = settings.model_dump(include={"seed", "model", "objectives", "training"})
    keys = {run_key(settings, "digest")}
    changed = leaves(relevant)
    for key, value in changed.items():
        if key != "model.heads":  # must divide the width
            keys.add(run_key(settings.replaced({key: other_value(key, value)}), "digest"))
    assert len(keys) == len(changed)
    assert run_key(settings, "other digest") not in keys
    assert run_key(settings, "digest") == run_key(
        settings.replaced({"tracking.experiment": "x"}), "digest"
    )


def test_progress_is_logged_with_losses_speed_and_validation(
    uninterrupted: FitResult, notes: Notes, settings: Settings
) -> None:
    training = [step for step, metrics in notes.points if "train/ntp" in metrics]
    assert training == list(range(1, 13))
    validated = {step: metrics for step, metrics in notes.points if "validation/score" in metrics}
    assert list(validated) == [0, 6, 12]
    for name in OBJECTIVES:
        assert all(math.isfinite(metrics[f"validation/{name}"]) for metrics in validated.values())
    assert uninterrupted.tokens == 12 * 4 * 32
    assert uninterrupted.tokens_per_second > 0
    assert [point["step"] for point in uninterrupted.progress.validation] == [0, 6, 12]


def test_the_best_weights_by_validation_are_kept(
    uninterrupted: FitResult, settings: Settings, tokenized: Tokenized
) -> None:
    progress = uninterrupted.progress
    scores = {point["step"]: point["score"] for point in progress.validation[1:]}
    assert progress.best_score == min(scores.values()) == scores[progress.best_step] < 1.0
    batches = held_out_batches(
        corpora_of(tokenized).validation, settings.training.validation_sequences
    )
    losses = held_out_losses(list(uninterrupted.objectives.values()), batches, CPU)
    assert relative_score(losses, progress.before) == pytest.approx(progress.best_score, rel=1e-6)


def test_a_worse_end_does_not_replace_the_best(
    settings: Settings, encoding: tiktoken.Encoding, tokenized: Tokenized
) -> None:
    rates = {
        "training.adamw_learning_rate": 8.0,
        "training.learning_rate": 8.0,
        "training.warmup_steps": 0,
    }
    steps = {"training.validate_every_steps": 1, "training.steps": 6, "training.min_lr_ratio": 1.0}
    wild = settings.replaced(rates | steps)
    result = fit(wild, encoding, corpora_of(tokenized), Notes())
    batches = held_out_batches(corpora_of(tokenized).validation, wild.training.validation_sequences)
    losses = held_out_losses(list(result.objectives.values()), batches, CPU)
    scores = [point["score"] for point in result.progress.validation[1:]]
    assert min(scores) < scores[-1]
    assert relative_score(losses, result.progress.before) == pytest.approx(min(scores), rel=1e-6)


def test_an_objective_of_weight_zero_is_left_as_it_was(
    settings: Settings, encoding: tiktoken.Encoding, tokenized: Tokenized
) -> None:
    chosen = settings.replaced({"objectives.mlm.weight": 0.0, "training.steps": 2})
    notes = Notes()
    result = fit(chosen, encoding, corpora_of(tokenized), notes)
    assert not any("mlm" in name for _, metrics in notes.points for name in metrics)
    torch.manual_seed(chosen.seed)
    before = build_objectives(chosen, encoding)["mlm"].head.state_dict()
    assert all(
        torch.equal(value, before[name])
        for name, value in result.objectives["mlm"].head.state_dict().items()
    )


def test_accumulated_micro_batches_read_on_through_the_corpus(
    settings: Settings, encoding: tiktoken.Encoding, tokenized: Tokenized
) -> None:
    chosen = settings.replaced(
        {"training.accumulate": 2, "training.sequences": 2, "training.steps": 3}
    )
    result = fit(chosen, encoding, corpora_of(tokenized), Notes())
    assert result.tokens == 3 * 2 * 2 * 32


def test_held_out_losses_are_the_same_whenever_they_are_asked_for(
    settings: Settings, encoding: tiktoken.Encoding, tokenized: Tokenized
) -> None:
    torch.manual_seed(0)
    objectives = list(build_objectives(settings, encoding).values())
    batches = held_out_batches(corpora_of(tokenized).validation, 8)
    torch.manual_seed(1)
    first = held_out_losses(objectives, batches, CPU)
    state = torch.random.get_rng_state()
    torch.manual_seed(1)
    assert torch.equal(torch.random.get_rng_state(), state), (
        "held-out losses read the global generator"
    )
    torch.manual_seed(2)
    assert held_out_losses(objectives, batches, CPU) == first
    assert list(first) == list(OBJECTIVES)


@pytest.mark.parametrize("training", [True, False])
def test_held_out_losses_leave_the_objectives_in_their_mode(
    settings: Settings, encoding: tiktoken.Encoding, tokenized: Tokenized, training: bool
) -> None:
    objectives = [
        objective.train(training) for objective in build_objectives(settings, encoding).values()
    ]
    held_out_losses(objectives, held_out_batches(corpora_of(tokenized).validation, 4), CPU)
    assert {objective.training for objective in objectives} == {training}


@pytest.mark.parametrize("count", [4, 32, 40, 64])
def test_held_out_sequences_are_as_many_as_asked_and_all_different(
    tokenized: Tokenized, count: int
) -> None:
    sequences = corpora_of(tokenized).validation
    batches = held_out_batches(sequences, count)
    found = sum(len(batch.token_ids_BT) for batch in batches)
    assert found == min(count, sequences.sequences_per_epoch)
    ids = torch.cat([batch.token_ids_BT for batch in batches])
    assert torch.equal(ids, sequences.batch(0, len(ids)).token_ids_BT)


def test_score_is_the_mean_share_of_loss_that_is_left() -> None:
    before = {"mlm": {"loss": 8.0}, "ntp": {"loss": 4.0}}
    assert relative_score({"mlm": {"loss": 4.0}, "ntp": {"loss": 3.0}}, before) == pytest.approx(
        (0.5 + 0.75) / 2
    )
