"""Muon for the matrices of the trunk's blocks, fused AdamW for everything else, one schedule.

Measured on two cores (docs/LOG.md): AdamW alone needs several times the tokens for the same
accuracy on arithmetic.

Shapes: N matrices of one shape, A outputs, B inputs.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ssl_lib.config import TrainingSettings
from ssl_lib.model.layers import Block
from ssl_lib.objectives.base import Objective

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # of the quintic, by Jordan et al. 2024
NEWTON_SCHULZ_STEPS = 5


class Optimizers:
    """Both optimizers and their common schedule; `state_dict` holds all that resuming needs.

    `low_precision` lets Muon make its products in bfloat16.
    """

    def __init__(
        self, modules: Sequence[nn.Module], settings: TrainingSettings, low_precision: bool = False
    ) -> None:
        self.settings = settings
        matrices, others = split_parameters(modules)
        adamw = torch.optim.AdamW(
            _adamw_groups(modules, others),
            lr=settings.adamw_learning_rate,
            betas=(0.9, 0.95),
            weight_decay=0.0,
            fused=True,
        )
        self.optimizers: list[torch.optim.Optimizer] = [adamw]
        if matrices:
            muon = Muon(
                matrices,
                lr=settings.learning_rate,
                weight_decay=settings.weight_decay,
                dtype=torch.bfloat16 if low_precision else torch.float32,
            )
            self.optimizers.append(muon)
        self.rates = [group["lr"] for group in self._groups()]

    def step(self, step: int, total_steps: int) -> None:
        """Update with the learning rates of `step` (from 0) and clear the gradients."""
        share = learning_rate_share(step, total_steps, self.settings)
        for group, rate in zip(self._groups(), self.rates, strict=True):
            group["lr"] = rate * share
        for optimizer in self.optimizers:
            optimizer.step()
        self.zero_grad()

    def zero_grad(self) -> None:
        """Drop all gradients."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict[str, Any]]:
        """States of both optimizers."""
        return [optimizer.state_dict() for optimizer in self.optimizers]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Restore what `state_dict` gave."""
        for optimizer, state in zip(self.optimizers, states, strict=True):
            optimizer.load_state_dict(state)

    def _groups(self) -> list[dict[str, Any]]:
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]


def learning_rate_share(step: int, total_steps: int, settings: TrainingSettings) -> float:
    """Share of the peak learning rate at `step` (from 0).

    It rises linearly over `warmup_steps`, then falls as a cosine to `min_lr_ratio`.
    """
    if step < settings.warmup_steps:
        return (step + 1) / settings.warmup_steps
    progress = (step - settings.warmup_steps) / max(1, total_steps - settings.warmup_steps)
    cosine = 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
    return settings.min_lr_ratio + (1.0 - settings.min_lr_ratio) * cosine


def split_parameters(modules: Iterable[nn.Module]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """(weights of the blocks' linear maps, all other parameters): each once, if it is trained."""
    trained: dict[int, nn.Parameter] = {}
    linear: set[int] = set()
    for module in modules:
        trained |= {id(weight): weight for weight in module.parameters() if weight.requires_grad}
        for block in (part for part in module.modules() if isinstance(part, Block)):
            maps = (part for part in block.modules() if isinstance(part, nn.Linear))
            linear |= {id(linear_map.weight) for linear_map in maps}
    matrices = [weight for key, weight in trained.items() if key in linear]
    others = [weight for key, weight in trained.items() if key not in linear]
    return matrices, others


def _adamw_groups(
    modules: Iterable[nn.Module], parameters: Iterable[nn.Parameter]
) -> list[dict[str, Any]]:
    """AdamW's parameters in groups: those that objectives give options of their own come last."""
    others = {id(parameter): parameter for parameter in parameters}
    own_groups = []
    for part in (part for module in modules for part in module.modules()):
        if isinstance(part, Objective):
            for group in part.parameter_groups():
                trained = [others.pop(id(one)) for one in group["params"] if id(one) in others]
                own_groups.append(group | {"params": trained})
    return [{"params": list(others.values())}, *own_groups]


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, made orthogonal, for weight matrices (Jordan et al. 2024).

    The step of an [A, B] matrix is lr * sqrt(max(1, A / B)) times the orthogonal matrix. `dtype` is
    that of the products. `torch.optim.Muon` does the same in bfloat16, one matrix after the other;
    where bfloat16 has no hardware that takes most of a step (docs/LOG.md), so this one computes in
    the precision that pays, over all matrices of one shape at once. A test holds the two equal.
    Raises ValueError for a parameter that is no matrix.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 0.02,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.dtype = dtype
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.ndim != 2:
                    shape = tuple(parameter.shape)
                    raise ValueError(f"Muon updates matrices, got a parameter of shape {shape}")

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:  # both of torch's overloads in one
        """Update all parameters that have a gradient; a closure is not taken."""
        assert closure is None
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[parameter.shape].append(parameter)
            for parameters in by_shape.values():
                self._update(parameters, group)

    def _update(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """Move matrices [A, B] of one shape."""
        directions: list[Tensor] = []
        for parameter in parameters:
            gradient, state = parameter.grad, self.state[parameter]
            assert gradient is not None
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = torch.zeros_like(parameter)
            average: Tensor = state["momentum_buffer"]
            average.lerp_(gradient, 1.0 - group["momentum"])
            directions.append(gradient.lerp(average, group["momentum"]))
        updates_NAB = orthogonalize(torch.stack(directions).to(self.dtype))
        updates_NAB = updates_NAB.to(parameters[0].dtype)
        height, width = parameters[0].shape
        rate = group["lr"] * max(1.0, height / width) ** 0.5
        decay = 1.0 - group["lr"] * group["weight_decay"]
        for parameter, update_AB in zip(
            parameters, updates_NAB.to(parameters[0].dtype), strict=True
        ):
            parameter.mul_(decay).add_(update_AB, alpha=-rate)


def orthogonalize(matrices_NAB: Tensor) -> Tensor:
    """Nearly orthogonal matrices with the same singular vectors (Newton-Schulz, quintic).

    Singular values end in about [0.7, 1.2].
    """
    # the products are smaller with the shorter side first: [A, A] with A <= B
    tall = matrices_NAB.shape[-2] > matrices_NAB.shape[-1]
    current: Tensor = matrices_NAB.mT if tall else matrices_NAB
    # a norm of at most 1 bounds all singular values, which the iteration needs
    current = current / current.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-7)
    first, second, third = NEWTON_SCHULZ
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = current @ current.mT
        current = first * current + (second * gram + third * gram @ gram) @ current
    return current.mT if tall else current
