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
from ssl_lib.objectives.base import Objective
from ssl_lib.training.muon import Muon


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
                _adamw_groups(modules, others),
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


def _adamw_groups(
    modules: Iterable[nn.Module], parameters: Iterable[nn.Parameter]
) -> list[dict[str, Any]]:
    """AdamW's parameters in groups: those that objectives give options of their own come last."""
    parameters = list(parameters)
    others = {id(parameter): parameter for parameter in parameters}
    parts = (part for module in modules for part in module.modules())
    own = []
    for objective in (part for part in parts if isinstance(part, Objective)):
        for group in objective.parameter_groups():
            learned = [others.pop(id(one)) for one in group["params"] if id(one) in others]
            own.append(group | {"params": learned})
    return [{"params": list(others.values())}, *own]


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
