"""The loop around the training step: validation, checkpoints, logging, a clean stop."""

from __future__ import annotations

import copy
import hashlib
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import tiktoken
import torch

from ssl_lib.batches.datasets import PackedRows
from ssl_lib.config import Settings
from ssl_lib.model.devices import Placement, place
from ssl_lib.objectives.base import Objective
from ssl_lib.objectives.held_out import held_out_batches, held_out_losses, relative_score
from ssl_lib.objectives.registry import build_objectives
from ssl_lib.progress import ProgressBar, progress_bar
from ssl_lib.training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from ssl_lib.training.gradients import compare_gradients
from ssl_lib.training.trainer import SelfSupervisedTrainer

TERMINATED = 143  # exit status of a run that SIGTERM stopped after a checkpoint


class Tracker(Protocol):
    """Where metrics go; `ssl_lib.tracking.Run` is one."""

    def log(self, metrics: dict[str, float], step: int) -> None:
        """Record metrics of a step."""


class Corpora(NamedTuple):
    """Rows to train on and rows to validate on."""

    train: PackedRows
    validation: PackedRows


@dataclass
class Progress:
    """What a run knows beside weights; saved in every checkpoint."""

    best_score: float = float("inf")
    best_step: int = -1
    seconds: float = 0.0
    before: dict[str, dict[str, float]] = field(default_factory=dict)
    validation: list[dict[str, Any]] = field(default_factory=list)
    curve: list[dict[str, float]] = field(default_factory=list)
    gradients: list[dict[str, float]] = field(default_factory=list)


class FitResult(NamedTuple):
    """Trained objectives (the best ones by validation), the last weights, the run's progress, tokens and speed.

    `last` holds the objectives' states after the last step, by name; their trunk's is in each of them.
    """

    objectives: dict[str, Objective]
    last: dict[str, dict[str, torch.Tensor]]
    progress: Progress
    tokens: int
    tokens_per_second: float


OnValidation = Callable[[int, float], None]


def fit(
    settings: Settings,
    encoding: tiktoken.Encoding,
    corpora: Corpora,
    tracker: Tracker,
    scratch: Path | None = None,
    on_validation: OnValidation | None = None,
) -> FitResult:
    """Train all objectives whose weight is not zero throughout, at `settings.training`; resume from `scratch` if a
    checkpoint lies there.

    `on_validation(step, score)` is called after each validation and may raise to stop the run. With a `scratch`
    folder, SIGTERM
    saves a checkpoint and exits with status 143.
    """
    torch.manual_seed(settings.seed)
    placement = place(settings.training)
    objectives = build_objectives(settings, encoding)
    active = [objectives[name] for name in settings.trained()]
    trainer = SelfSupervisedTrainer(
        *active,
        weights=settings.objectives.weights(),
        final_weights=settings.objectives.final_weights(),
        settings=settings.training,
        seed=settings.seed,
        placement=placement,
        token_counts=corpora.train.token_counts(encoding.n_vocab)
        if settings.training.curriculum != "none"
        else None,
    )
    loop = _Loop(settings, corpora, tracker, trainer, active, placement, scratch, on_validation)
    loop.run()
    last = {name: copy.deepcopy(objective.state_dict()) for name, objective in objectives.items()}
    loop.load_best()
    return FitResult(
        objectives,
        last,
        loop.progress,
        loop.tokens_per_step * settings.training.steps,
        loop.tokens_per_second,
    )


class _Loop:
    """State of one `fit`."""

    def __init__(
        self,
        settings: Settings,
        corpora: Corpora,
        tracker: Tracker,
        trainer: SelfSupervisedTrainer,
        active: list[Objective],
        placement: Placement,
        scratch: Path | None,
        on_validation: OnValidation | None,
    ) -> None:
        self.settings, self.plan = settings, settings.training
        self.corpora, self.tracker, self.trainer, self.active = corpora, tracker, trainer, active
        self.placement, self.on_validation = placement, on_validation
        self.path = scratch / "checkpoint.pt" if scratch else None
        self.validation_batches = held_out_batches(
            corpora.validation, self.plan.validation_sequences
        )
        self.tokens_per_step = (
            self.plan.sequences
            * self.plan.accumulate
            * settings.model.context_length
            * placement.world
        )
        self.progress = Progress()
        self.best: dict[str, Any] = {}
        self.first_step, self.started = 0, time.perf_counter()
        self.counted = self.started

    @property
    def tokens_per_second(self) -> float:
        """Tokens of the batches (not of the views) by second of the whole loop, validation included."""
        done = (self.trainer.steps_done - self.first_step) * self.tokens_per_step
        return done / max(time.perf_counter() - self.started, 1e-9)

    def run(self) -> None:
        """Train up to the last step, or to a checkpoint if SIGTERM arrives (SystemExit)."""
        self._resume_or_begin()
        with (
            _stop_signal(self.path is not None) as stopped,
            progress_bar("train", "steps", self.plan.steps, self.trainer.steps_done) as bar,
        ):
            while self.trainer.steps_done < self.plan.steps:
                losses = self.trainer.train_step(self._micro_batches(self.trainer.steps_done))
                self._after_step(losses, bar)
                if stopped():
                    self._save()
                    raise SystemExit(TERMINATED)
        self._count_seconds()

    def _count_seconds(self) -> None:
        now = time.perf_counter()
        self.progress.seconds += now - self.counted
        self.counted = now

    def _micro_batches(self, step: int) -> list:
        accumulate = self.plan.accumulate
        return [
            self.corpora.train.batch(
                step * accumulate + index,
                self.plan.sequences,
                self.placement.rank,
                self.placement.world,
            )
            for index in range(accumulate)
        ]

    def _resume_or_begin(self) -> None:
        if self.path and self.path.exists():
            state = load_checkpoint(self.path)
            try:
                self.trainer.load_state_dict(state["trainer"])
                self.progress, self.best = Progress(**state["progress"]), state["best"]
            except (RuntimeError, KeyError, TypeError, ValueError):
                raise CheckpointError(
                    f"{self.path} was written by another version of the code; delete it to start this run anew"
                ) from None
            self.first_step = self.trainer.steps_done
        else:
            self.progress.before = held_out_losses(
                self.active, self.validation_batches, self.placement
            )
            self._log_validation(0, self.progress.before)

    def _after_step(self, losses: dict[str, float], bar: ProgressBar) -> None:
        step = self.trainer.steps_done
        bar.advance(
            1,
            "  ".join(
                f"{name} {loss:.3f}"
                for name, loss in losses.items()
                if name in self.trainer.weights
            )
            + f"  {self.tokens_per_second:,.0f} tokens/s",
        )
        if step % self.settings.tracking.log_every_steps == 0 or step == 1:
            metrics = {f"train/{name}": value for name, value in losses.items()} | {
                "train/tokens_per_second": self.tokens_per_second
            }
            self.progress.curve.append({"step": step, **losses})
            self.tracker.log(metrics | self._weights_in_force(step - 1), step)
        if (
            self.plan.gradient_cosine_every_steps
            and step % self.plan.gradient_cosine_every_steps == 0
        ):
            self._compare_gradients(step)
        if step % self.plan.validate_every_steps == 0 or step == self.plan.steps:
            self._validate(step)
        if self.path and step % self.plan.checkpoint_every_steps == 0 and step < self.plan.steps:
            self._save()

    def _weights_in_force(self, step: int) -> dict[str, float]:
        """What a tracker should see of weights that change, for the step (from 0)."""
        if self.plan.weighting == "fixed":
            return {}
        weights = self.trainer.weighting.at(step)
        return {f"weight/{objective.name}": weights[objective.name] for objective in self.active}

    def _compare_gradients(self, step: int) -> None:
        figures = compare_gradients(self.trainer, self._micro_batches(step)[0])
        self.progress.gradients.append({"step": step, **figures})
        self.tracker.log(figures, step)

    def _validate(self, step: int) -> None:
        losses = held_out_losses(self.active, self.validation_batches, self.placement)
        score = relative_score(losses, self.progress.before)
        self._log_validation(step, losses, score)
        if score < self.progress.best_score:
            self.progress.best_score, self.progress.best_step = score, step
            self.best = copy.deepcopy([group.state_dict() for group in self.trainer.groups])
        if self.on_validation:
            self.on_validation(step, score)

    def _log_validation(
        self, step: int, losses: dict[str, dict[str, float]], score: float = 1.0
    ) -> None:
        flat = {f"validation/{name}": parts["loss"] for name, parts in losses.items()}
        flat |= {
            f"validation/{name}/{part}": value
            for name, parts in losses.items()
            for part, value in parts.items()
            if part != "loss"
        }
        self.progress.validation.append({"step": step, "score": score, "losses": losses})
        self.tracker.log(flat | {"validation/score": score}, step)

    def _save(self) -> None:
        if self.path and self.placement.rank == 0:
            self._count_seconds()
            progress = copy.deepcopy(vars(self.progress))
            save_checkpoint(
                {"trainer": self.trainer.state_dict(), "progress": progress, "best": self.best},
                self.path,
            )

    def load_best(self) -> None:
        """Take up the weights with the best validation score."""
        for group, weights in zip(self.trainer.groups, self.best, strict=True):
            group.load_state_dict(weights)


def run_key(settings: Settings, *digests: str) -> str:
    """Name of a run's scratch folder: a hash of what the result depends on, so that no other run's checkpoint is ever
    taken up.
    """
    tree = settings.model_dump(include={"seed", "model", "objectives", "training"})
    text = json.dumps([tree, digests], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextmanager
def _stop_signal(resumable: bool) -> Iterator[Callable[[], bool]]:
    """Note SIGTERM instead of dying of it, where a checkpoint can be saved; Python handles signals in the main thread
    only.
    """
    received: list[int] = []
    if not resumable or threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    previous = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        yield lambda: bool(received)
    finally:
        signal.signal(signal.SIGTERM, previous)
