"""Muon for the matrices of the trunk's blocks, fused AdamW for everything else, one schedule for both.

Measured on two cores (docs/LOG.md): AdamW alone needs several times the tokens for the same accuracy on arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from ssl_lib.config import TrainingSettings
from ssl_lib.model.layers import Block
from ssl_lib.objectives.contrastive.sentence_encoder import SentenceEncoder
from ssl_lib.training.muon import Muon

UNITS_FLOOR = 1e-2  # above most of their gradients: a unit moves by what its pairs agree on
OTHER_FLOOR = 1e-8


class Optimizers:
    """The two optimisers and their common schedule; `state_dict` holds all that resuming needs.

    `low_precision` lets Muon make its products in bfloat16.
    """

    def __init__(
        self, modules: Iterable[nn.Module], settings: TrainingSettings, low_precision: bool = False
    ) -> None:
        self.settings = settings
        modules = list(modules)
        matrices, others = split_parameters(modules)
        self.optimizers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(
                _by_floor(modules, others),
                lr=settings.adamw_learning_rate,
                betas=(0.9, 0.95),
                weight_decay=0.0,
                fused=True,
            )
        ]
        if matrices:
            precision = torch.bfloat16 if low_precision else torch.float32
            self.optimizers.append(
                Muon(
                    matrices,
                    lr=settings.learning_rate,
                    weight_decay=settings.weight_decay,
                    dtype=precision,
                )
            )
        self.rates = [
            group["lr"] for optimizer in self.optimizers for group in optimizer.param_groups
        ]

    def step(self, step: int, total_steps: int) -> None:
        """Update with the rates of `step` (from 0) and clear the gradients."""
        share = learning_rate_share(step, total_steps, self.settings)
        groups = [group for optimizer in self.optimizers for group in optimizer.param_groups]
        for group, rate in zip(groups, self.rates, strict=True):
            group["lr"] = rate * share
        for optimizer in self.optimizers:
            optimizer.step()
        self.zero_grad()

    def zero_grad(self) -> None:
        """Drop all gradients."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict]:
        """States of both optimisers."""
        return [optimizer.state_dict() for optimizer in self.optimizers]

    def load_state_dict(self, states: list[dict]) -> None:
        """Restore what `state_dict` gave."""
        for optimizer, state in zip(self.optimizers, states, strict=True):
            optimizer.load_state_dict(state)


def _by_floor(
    modules: Iterable[nn.Module], parameters: Iterable[nn.Parameter]
) -> list[dict[str, Any]]:
    """AdamW's parameters in groups by the size of gradient below which their steps shrink (its `eps`).

    Adam's steps are equally large however small the gradient, and go on when it has gone: without a floor the unit of a
    rare token would be taken from a single accidental pair (docs/LOG.md).
    """
    encoders = (
        part for module in modules for part in module.modules() if isinstance(part, SentenceEncoder)
    )
    units = {id(encoder.units.weight) for encoder in encoders}
    groups: dict[float, list[nn.Parameter]] = {}
    for parameter in parameters:
        groups.setdefault(UNITS_FLOOR if id(parameter) in units else OTHER_FLOOR, []).append(
            parameter
        )
    return [{"params": group, "eps": floor} for floor, group in groups.items()]


def split_parameters(modules: Iterable[nn.Module]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """(matrices of the blocks' linear maps, all other parameters), each parameter once, only those that learn."""
    matrices: dict[int, nn.Parameter] = {}
    others: dict[int, nn.Parameter] = {}
    for module in modules:
        blocks = (block for block in module.modules() if isinstance(block, Block))
        linear = (
            part.weight
            for block in blocks
            for part in block.modules()
            if isinstance(part, nn.Linear)
        )
        matrices |= {id(weight): weight for weight in linear if weight.requires_grad}
    for module in modules:
        others |= {
            id(weight): weight
            for weight in module.parameters()
            if weight.requires_grad and id(weight) not in matrices
        }
    return list(matrices.values()), list(others.values())


def learning_rate_share(step: int, total_steps: int, settings: TrainingSettings) -> float:
    """Linear warm-up over `warmup_steps`, then a cosine down to `min_lr_ratio`, as a share of the peak."""
    if step < settings.warmup_steps:
        return (step + 1) / settings.warmup_steps
    progress = (step - settings.warmup_steps) / max(1, total_steps - settings.warmup_steps)
    low = settings.min_lr_ratio
    return low + (1.0 - low) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
