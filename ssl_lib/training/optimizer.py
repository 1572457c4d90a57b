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
        # objectives may give some of their parameters options of their own, such as `eps`
        left = {id(parameter): parameter for parameter in others}
        groups: list[dict[str, Any]] = []
        for part in (part for module in modules for part in module.modules()):
            for group in part.parameter_groups() if isinstance(part, Objective) else ():
                own = [left.pop(id(one)) for one in group["params"] if id(one) in left]
                groups.append(group | {"params": own})
        groups.append({"params": list(left.values())})
        rate = settings.adamw_learning_rate
        adamw = torch.optim.AdamW(groups, rate, (0.9, 0.95), weight_decay=0.0, fused=True)
        self.optimizers: list[torch.optim.Optimizer] = [adamw]
        if matrices:
            dtype = torch.bfloat16 if low_precision else torch.float32
            rate = settings.learning_rate
            decay = settings.weight_decay
            muon = Muon(matrices, rate, weight_decay=decay, dtype=dtype)
            self.optimizers.append(muon)
        # the schedule gives shares of these
        self.peak_rates = [group["lr"] for group in self._groups()]

    def step(self, step: int, total_steps: int) -> None:
        """Update with the learning rates of `step` (from 0) and clear the gradients."""
        share = learning_rate_share(step, total_steps, self.settings)
        for group, peak in zip(self._groups(), self.peak_rates, strict=True):
            group["lr"] = peak * share
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
    warmup = settings.warmup_steps
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, total_steps - warmup)
    angle = math.pi * min(1.0, done)
    # from 1 to 0 in half a turn
    cosine = 0.5 * (1.0 + math.cos(angle))
    low = settings.min_lr_ratio
    return low + (1.0 - low) * cosine


def split_parameters(modules: Iterable[nn.Module]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """(weights of the blocks' linear maps, all other parameters): each once, if it is trained."""
    # modules share parts, such as the trunk: a parameter may come up several times
    parts = [part for module in modules for part in module.modules()]
    in_blocks: set[int] = set()
    for block in parts:
        if isinstance(block, Block):
            linear = [part for part in block.modules() if isinstance(part, nn.Linear)]
            in_blocks.update(id(one.weight) for one in linear)
    matrices: dict[int, nn.Parameter] = {}
    others: dict[int, nn.Parameter] = {}
    for parameter in (parameter for part in parts for parameter in part.parameters(recurse=False)):
        if parameter.requires_grad:
            found = matrices if id(parameter) in in_blocks else others
            found[id(parameter)] = parameter
    return list(matrices.values()), list(others.values())


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
        momentum = group["momentum"]
        directions: list[Tensor] = []
        for parameter in parameters:
            gradient = parameter.grad
            assert gradient is not None
            state = self.state[parameter]
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = torch.zeros_like(parameter)
            average: Tensor = state["momentum_buffer"]
            average.lerp_(gradient, 1.0 - momentum)
            direction = gradient.lerp(average, momentum)
            directions.append(direction)
        # one product for all matrices of the shape
        directions_NAB = torch.stack(directions)
        directions_NAB = directions_NAB.to(self.dtype)
        updates_NAB = orthogonalize(directions_NAB)
        updates_NAB = updates_NAB.to(parameters[0].dtype)
        height, width = parameters[0].shape
        # a tall matrix moves further: its orthogonal step has the norm of the shorter side
        rate = group["lr"] * max(1.0, height / width) ** 0.5
        decay = 1.0 - group["lr"] * group["weight_decay"]
        for parameter, update_AB in zip(parameters, updates_NAB, strict=True):
            parameter.mul_(decay).add_(update_AB, alpha=-rate)


def orthogonalize(matrices_NAB: Tensor) -> Tensor:
    """Nearly orthogonal matrices with the same singular vectors (Newton-Schulz, quintic).

    Singular values end in about [0.7, 1.2].
    """
    # the products are smaller with the shorter side first: [A, A] with A <= B
    _, height, width = matrices_NAB.shape
    tall = height > width
    current: Tensor = matrices_NAB.mT if tall else matrices_NAB
    # a norm of at most 1 bounds all singular values, which the iteration needs
    norms_N11 = current.norm(dim=(-2, -1), keepdim=True)
    current = current / norms_N11.clamp_min(1e-7)
    first, second, third = NEWTON_SCHULZ
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = current @ current.mT
        # each singular value s becomes first * s + second * s^3 + third * s^5
        powers = second * gram + third * gram @ gram
        current = first * current + powers @ current
    return current.mT if tall else current
