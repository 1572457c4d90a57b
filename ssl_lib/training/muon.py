"""Muon (Jordan et al. 2024): momentum, made orthogonal by five Newton-Schulz steps, for the weight matrices of the
blocks.

`torch.optim.Muon` does the same in bfloat16, one matrix after the other. Where bfloat16 has no hardware that takes
most of a step
(docs/LOG.md), so this one computes in the precision that pays, over all matrices of one shape at once. A test holds
the two equal.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised; the step of an [A, B] matrix is lr * sqrt(max(1, A / B)) times it.

    `dtype` is that of the products. Raises ValueError for a parameter that is no matrix.
    """

    def __init__(
        self, params: Iterable[Tensor], lr: float = 0.02, momentum: float = 0.95, weight_decay: float = 0.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:  # fmt: skip
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.dtype = dtype
        for parameter in (
            parameter for group in self.param_groups for parameter in group["params"]
        ):
            if parameter.ndim != 2:
                raise ValueError(
                    f"Muon updates matrices, got a parameter of shape {tuple(parameter.shape)}"
                )

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Update all parameters that have a gradient."""
        assert closure is None
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[parameter.shape].append(parameter)
            for parameters in by_shape.values():
                self._update(parameters, group)

    def _update(self, parameters: list[Tensor], group: dict) -> None:
        directions = torch.stack(
            [self._nesterov(parameter, group["momentum"]) for parameter in parameters]
        )
        orthogonal = orthogonalise(directions.to(self.dtype)).to(parameters[0].dtype)
        high, wide = parameters[0].shape
        rate = group["lr"] * max(1.0, high / wide) ** 0.5
        for parameter, update in zip(parameters, orthogonal, strict=True):
            parameter.mul_(1.0 - group["lr"] * group["weight_decay"]).add_(update, alpha=-rate)

    def _nesterov(self, parameter: Tensor, momentum: float) -> Tensor:
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        buffer = state["momentum_buffer"]
        buffer.lerp_(parameter.grad, 1.0 - momentum)
        return parameter.grad.lerp(buffer, momentum)


def orthogonalise(matrices_NAB: Tensor) -> Tensor:
    """Nearly orthogonal matrices with the same singular vectors (Newton-Schulz, quintic); singular values end in about
    [0.7, 1.2].
    """
    tall = matrices_NAB.shape[-2] > matrices_NAB.shape[-1]
    current = matrices_NAB.mT if tall else matrices_NAB
    current = current / current.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-7)
    first, second, third = COEFFICIENTS
    for _ in range(STEPS):
        gram = current @ current.mT
        current = first * current + (second * gram + third * gram @ gram) @ current
    return current.mT if tall else current
