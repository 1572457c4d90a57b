"""The loop around the training step: logging, validation, checkpoints, a clean stop."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import tiktoken
import torch

from ssl_lib.batches.batch import Batch
from ssl_lib.batches.datasets import PackedSequences
from ssl_lib.config import Settings
from ssl_lib.model.devices import place
from ssl_lib.objectives.base import Objective, Prepared
from ssl_lib.objectives.held_out import held_out_batches, held_out_losses, relative_score
from ssl_lib.objectives.registry import build_objectives
from ssl_lib.progress import progress_bar
from ssl_lib.training.checkpoint import (
    CheckpointError,
    load_checkpoint,
    save_checkpoint,
    sigterm_noted,
)
from ssl_lib.training.gradients import compare_gradients
from ssl_lib.training.trainer import SelfSupervisedTrainer

TERMINATED = 143  # exit status of a run that SIGTERM stopped after a checkpoint


class Tracker(Protocol):
    """Where metrics go; `ssl_lib.tracking.Run` is one."""

    def log(self, metrics: dict[str, float], step: int) -> None:
        """Record metrics of a step."""


# step, losses by objective and part
OnValidation = Callable[[int, dict[str, dict[str, float]]], None]


class Corpora(NamedTuple):
    """Sequences to train on and sequences to validate on."""

    train: PackedSequences
    validation: PackedSequences


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
    """Trained objectives, the best ones by validation, and how training went.

    `last` holds the objectives' states after the last step, by name; their trunk's is in each.
    """

    objectives: dict[str, Objective]
    last: dict[str, dict[str, torch.Tensor]]
    progress: Progress
    tokens: int
    tokens_per_second: float


def fit(
    settings: Settings,
    encoding: tiktoken.Encoding,
    corpora: Corpora,
    tracker: Tracker,
    scratch: Path | None = None,
    on_validation: OnValidation | None = None,
) -> FitResult:
    """Train all objectives whose weight is not zero throughout, for `training.steps` steps.

    With a `scratch` folder the run goes on from the checkpoint that lies there, and SIGTERM saves
    one and exits with status 143. `on_validation(step, losses)` is called after each validation
    and may raise to stop the run. Raises DivergedError, CheckpointError.
    """
    torch.manual_seed(settings.seed)
    objectives = build_objectives(settings, encoding)
    token_counts = None
    if settings.training.curriculum != "none":
        token_counts = corpora.train.token_counts(encoding.n_vocab)
    trainer = SelfSupervisedTrainer(
        *(objectives[name] for name in settings.trained()),
        weights=settings.objectives.weights(),
        final_weights=settings.objectives.final_weights(),
        settings=settings.training,
        seed=settings.seed,
        placement=place(settings.training),
        token_counts=token_counts,
    )
    loop = _Loop(settings, corpora, trainer, tracker, scratch, on_validation)
    loop.run()
    # the last weights are kept beside the best, which the objectives then take up
    last = {}
    for name, objective in objectives.items():
        last[name] = copy.deepcopy(objective.state_dict())
    for group, weights in zip(trainer.groups, loop.best, strict=True):
        group.load_state_dict(weights)
    tokens = loop.tokens_per_step * settings.training.steps
    return FitResult(objectives, last, loop.progress, tokens, loop.tokens_per_second)


class _Loop:
    """State of one `fit`."""

    def __init__(
        self,
        settings: Settings,
        corpora: Corpora,
        trainer: SelfSupervisedTrainer,
        tracker: Tracker,
        scratch: Path | None,
        on_validation: OnValidation | None,
    ) -> None:
        plan = settings.training
        self.settings = settings
        self.plan = plan
        self.train = corpora.train
        self.held_out = held_out_batches(corpora.validation, plan.validation_sequences)
        self.trainer = trainer
        self.tracker = tracker
        self.on_validation = on_validation
        self.checkpoint = scratch / "checkpoint.pt" if scratch else None
        self.progress = Progress()
        self.best: list[dict[str, Any]] = []  # states of the trainer's groups
        sequences = plan.sequences * plan.accumulate * trainer.placement.world
        self.tokens_per_step = sequences * settings.model.context_length
        self.first_step = 0
        self.started = time.perf_counter()
        self.counted_until = self.started

    def run(self) -> None:
        """Train up to the last step, or to a checkpoint if SIGTERM arrives (SystemExit)."""
        # a fresh run begins with the losses of the random weights, which scores compare with
        if self.checkpoint and self.checkpoint.exists():
            self._resume(self.checkpoint)
        else:
            self.progress.before = self._held_out_losses()
            self._log_validation(0, self.progress.before)
        plan = self.plan
        trainer = self.trainer
        with (
            sigterm_noted(self.checkpoint is not None) as terminated,
            progress_bar("train", "steps", plan.steps, trainer.steps_done) as bar,
            ThreadPoolExecutor(1, thread_name_prefix="views") as worker,
        ):
            ready = worker.submit(self._prepared, trainer.steps_done)
            while trainer.steps_done < plan.steps:
                prepared = ready.result()
                # the views of the next step are made beside this one
                ready = worker.submit(self._prepared, trainer.steps_done + 1)
                metrics = trainer.update(prepared)
                # nothing else may change while they are: validation makes views of its own kind
                wait([ready])
                step = trainer.steps_done
                shown = [f"{one.name} {metrics[one.name]:.3f}" for one in trainer.objectives]
                shown.append(f"{self.tokens_per_second:,.0f} tokens/s")
                bar.advance(text="  ".join(shown))
                if step == 1 or step % self.settings.tracking.log_every_steps == 0:
                    self._log(step, metrics)
                if (
                    plan.gradient_cosine_every_steps
                    and step % plan.gradient_cosine_every_steps == 0
                ):
                    found = compare_gradients(trainer, self._micro_batches(step)[0])
                    self.progress.gradients.append({"step": step, **found})
                    self.tracker.log(found, step)
                if step == plan.steps or step % plan.validate_every_steps == 0:
                    self._validate(step)
                # SIGTERM takes effect here, between two steps
                if terminated():
                    self._save()
                    raise SystemExit(TERMINATED)
                if step < plan.steps and step % plan.checkpoint_every_steps == 0:
                    self._save()
        self._count_seconds()

    @property
    def tokens_per_second(self) -> float:
        """Tokens of the batches, not of the views, by second of the loop with its validations."""
        steps = self.trainer.steps_done - self.first_step
        seconds = time.perf_counter() - self.started
        return steps * self.tokens_per_step / max(seconds, 1e-9)

    def _prepared(self, step: int) -> list[list[Prepared]]:
        """Views of the micro-batches of a step."""
        return self.trainer.prepare(self._micro_batches(step), step)

    def _micro_batches(self, step: int) -> list[Batch]:
        """What this process reads in a step: the corpus is read on through micro-batches."""
        _, _, rank, world = self.trainer.placement
        batches = []
        for micro_batch in range(self.plan.accumulate):
            index = step * self.plan.accumulate + micro_batch
            batch = self.train.batch(index, self.plan.sequences, rank, world)
            batches.append(batch)
        return batches

    def _log(self, step: int, metrics: dict[str, float]) -> None:
        self.progress.curve.append({"step": step, **metrics})
        logged = {f"train/{name}": value for name, value in metrics.items()}
        logged["train/tokens_per_second"] = self.tokens_per_second
        # the weights of the step that has just ended, where they move
        if self.plan.weighting != "fixed":
            weights = self.trainer.weighting.at(step - 1)
            for objective in self.trainer.objectives:
                logged[f"weight/{objective.name}"] = weights[objective.name]
        self.tracker.log(logged, step)

    def _validate(self, step: int) -> None:
        losses = self._held_out_losses()
        score = relative_score(losses, self.progress.before)
        self._log_validation(step, losses, score)
        # a score below 1 is better than the random weights; the lowest wins
        if score < self.progress.best_score:
            self.progress.best_score = score
            self.progress.best_step = step
            self.best = [copy.deepcopy(group.state_dict()) for group in self.trainer.groups]
        if self.on_validation:
            self.on_validation(step, losses)

    def _held_out_losses(self) -> dict[str, dict[str, float]]:
        return held_out_losses(self.trainer.objectives, self.held_out, self.trainer.placement)

    def _log_validation(
        self, step: int, losses: dict[str, dict[str, float]], score: float = 1.0
    ) -> None:
        point = {"step": step, "score": score, "losses": losses}
        self.progress.validation.append(point)
        logged = {"validation/score": score}
        for name, parts in losses.items():
            for part, value in parts.items():
                key = name if part == "loss" else f"{name}/{part}"
                logged[f"validation/{key}"] = value
        self.tracker.log(logged, step)

    def _save(self) -> None:
        # all processes hold the same state
        if self.checkpoint and self.trainer.placement.rank == 0:
            self._count_seconds()
            state = {
                "trainer": self.trainer.state_dict(),
                "progress": vars(self.progress),
                "best": self.best,
            }
            save_checkpoint(state, self.checkpoint)

    def _resume(self, path: Path) -> None:
        state = load_checkpoint(path)
        try:
            self.trainer.load_state_dict(state["trainer"])
            self.progress = Progress(**state["progress"])
            self.best = state["best"]
        except (RuntimeError, KeyError, TypeError, ValueError):
            raise CheckpointError(
                f"{path} was written by another version of the code; "
                "delete it to start this run anew"
            ) from None
        self.first_step = self.trainer.steps_done

    def _count_seconds(self) -> None:
        now = time.perf_counter()
        self.progress.seconds += now - self.counted_until
        self.counted_until = now
