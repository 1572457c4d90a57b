"""Curriculum: corrupt common tokens at first, rare ones and numbers later (Bengio et al. 2009).

A token is as hard as the share of the training tokens that are more common than it; every token of a number is as hard
as can be. Nothing here is random and nothing is remembered: what a step prefers follows from its index alone.

Shapes: B rows of the batch, T positions, N = B * T, V vocabulary.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ssl_lib.batches.batch import NO_NUMBER, Batch

STRENGTH = (
    4.0  # at both ends one extreme of hardness is drawn e^4 = 55 times as readily as the other
)


class Emphasis(NamedTuple):
    """What a step prefers to corrupt: `hardness_V` in [0, 1] by token id; `difficulty` goes from 0, the common tokens
    are preferred, over 1/2, all are alike, to 1, rare tokens and numbers are preferred.
    """

    hardness_V: Tensor
    difficulty: float

    def log_weights_N(self, batch: Batch) -> Tensor:
        """Logarithm of how readily each flat position is drawn, float64."""
        hardness_BT = torch.where(
            batch.number_BT == NO_NUMBER, self.hardness_V[batch.token_ids_BT], 1.0
        )
        return STRENGTH * (2.0 * self.difficulty - 1.0) * hardness_BT.flatten()


class Curriculum:
    """From common tokens to rare ones and numbers in `steps` steps, by how often each id stands in the training text.

    `counts_V` are these counts, [V]. Raises ValueError if there is no token or no step.
    """

    def __init__(self, counts_V: Tensor, steps: int) -> None:
        if steps < 1:
            raise ValueError(f"a curriculum needs at least one step, got {steps}")
        self.hardness_V, self.steps = hardness(counts_V), steps

    def at(self, step: int) -> Emphasis:
        """What step `step`, counted from 0, prefers; after the last step of the curriculum nothing changes."""
        return Emphasis(self.hardness_V, min(step / self.steps, 1.0))


def hardness(counts_V: Tensor) -> Tensor:
    """Share [V] of all tokens that are more common than each id, half of those equally common included; float64.

    An id that never occurs has 1. Raises ValueError if all counts are zero.
    """
    total = int(counts_V.sum())
    if total < 1:
        raise ValueError("a curriculum needs the counts of at least one token")
    levels, level_V = counts_V.unique(return_inverse=True)
    mass = levels.double() * torch.bincount(level_V, minlength=len(levels))
    above = mass.flip(0).cumsum(0).flip(0) - mass / 2
    return (above / total)[level_V]
