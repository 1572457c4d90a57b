"""Every objective in every mode can be learned: one batch, the same views, down to nothing."""

from __future__ import annotations

from typing import Any

import pytest
import tiktoken
import torch

from ssl_lib.batches.batch import Batch
from ssl_lib.batches.datasets import PackedSequences
from ssl_lib.config import Settings
from ssl_lib.objectives.registry import REGISTRY, build_objectives
from ssl_lib.training.trainer import SelfSupervisedTrainer

FAST = {"training.warmup_steps": 5, "training.adamw_learning_rate": 0.01}
TOGETHER = {"training.warmup_steps": 5, "training.adamw_learning_rate": 0.01}
STEPS, LEFT = 120, 0.01  # of the first loss
MODES: dict[str, tuple[str, dict[str, Any]]] = {
    "mlm": ("mlm", {}),
    "mlm, words": ("mlm", {"granularity": "word"}),
    "mlm, spans": ("mlm", {"granularity": "span"}),
    "ntp": ("ntp", {}),
    "contrastive": ("contrastive", {}),
    "denoising": ("denoising", {}),
    "denoising, squared error": ("denoising", {"loss": "mse"}),
    "denoising, gaps": ("denoising", {"deletion_share": 0.5, "infill_share": 0.5}),
    "denoising, documents": ("denoising", {"mode": "document"}),
    "numerical, mixture": ("numerical", {}),
    "numerical, regression": ("numerical", {"value_head": "regression"}),
    "numerical, mantissa and exponent": ("numerical", {"value_head": "mantissa_exponent"}),
    "numerical, token distance": ("numerical", {"value_head": "token_distance"}),
}
# steps, share of the first loss: a density narrows for long, an expected distance has flat places
SLOWER = {
    "numerical, mixture": (800, LEFT),
    "numerical, token distance": (STEPS, 0.08),
}


def shares_left(
    settings: Settings,
    encoding: tiktoken.Encoding,
    names: tuple[str, ...],
    batch: Batch,
    steps: int,
) -> dict[str, float]:
    """Least of the last 50 losses, as single steps jump, by the first: one batch, one view."""
    settings = settings.replaced({"training.steps": steps})
    torch.manual_seed(0)
    objectives = build_objectives(settings, encoding)
    trainer = SelfSupervisedTrainer(
        *(objectives[name] for name in names), settings=settings.training
    )
    views = trainer.prepare([batch], trainer.steps_done)
    losses = [trainer.update(views) for _ in range(steps)]
    return {name: min(loss[name] for loss in losses[-50:]) / losses[0][name] for name in names}


@pytest.mark.parametrize("mode", MODES)
def test_each_objective_alone_learns_one_batch(
    settings: Settings, encoding: tiktoken.Encoding, sequences: PackedSequences, mode: str
) -> None:
    name, values = MODES[mode]
    chosen = settings.replaced(
        FAST | {f"objectives.{name}.{key}": value for key, value in values.items()}
    )
    steps, limit = SLOWER.get(mode, (STEPS, LEFT))
    assert shares_left(chosen, encoding, (name,), sequences.batch(0, 2), steps)[name] < limit


@pytest.mark.parametrize("gaps", [False, True], ids=["in place", "gaps"])
def test_all_objectives_together_learn_one_batch(
    settings: Settings, encoding: tiktoken.Encoding, sequences: PackedSequences, gaps: bool
) -> None:
    missing = {f"objectives.denoising.{kind}_share": 0.4 * gaps for kind in ("deletion", "infill")}
    settings = settings.replaced(TOGETHER | missing)
    left = shares_left(settings, encoding, tuple(REGISTRY), sequences.batch(0, 2), 500)
    assert max(left.values()) < 0.05, left
