"""Curriculum: corrupt common tokens at first, rare ones and numbers later (Bengio et al. 2009).

A token is as difficult as the share of the training tokens that are more common than it; every
token of a number is as difficult as can be. Nothing here is random and nothing is remembered: what
a step prefers follows from its index alone.

Shapes: B sequences of the batch, T positions, N = B * T, V vocabulary, L counts that differ.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ssl_lib.batches.batch import NO_NUMBER, Batch

# At both ends of the curriculum one extreme is drawn e^4 = 55 times as readily as the other.
STRENGTH = 4.0


class SamplingWeights(NamedTuple):
    """What a step prefers to corrupt: `difficulty_V` in [0, 1] by token id, `progress` in [0, 1].

    At 0 common tokens are preferred, at 1/2 all are alike, at 1 rare tokens and numbers are.
    """

    difficulty_V: Tensor
    progress: float

    def log_weights_N(self, batch: Batch) -> Tensor:
        """Logarithm of how readily each flat position is drawn, float64."""
        difficulty_BT = self.difficulty_V[batch.token_ids_BT]
        difficulty_BT = torch.where(batch.number_BT == NO_NUMBER, difficulty_BT, 1.0)
        preference = STRENGTH * (2.0 * self.progress - 1.0)
        return preference * difficulty_BT.flatten()


class Curriculum:
    """From common tokens to rare ones and numbers in `steps` steps.

    `counts_V` [V] tells how often each id stands in the training text. Raises ValueError if there
    is no token or no step.
    """

    def __init__(self, counts_V: Tensor, steps: int) -> None:
        if steps < 1:
            raise ValueError(f"a curriculum needs at least one step, got {steps}")
        self.difficulty_V = token_difficulty(counts_V)
        self.steps = steps

    def at(self, step: int) -> SamplingWeights:
        """What step `step`, from 0, prefers; after the curriculum's last step nothing changes."""
        progress = min(step / self.steps, 1.0)
        return SamplingWeights(self.difficulty_V, progress)


def token_difficulty(counts_V: Tensor) -> Tensor:
    """Share [V] of all tokens that are more common than each id, and half of the equally common.

    float64; an id that never occurs has 1. Raises ValueError if all counts are zero.
    """
    total = int(counts_V.sum())
    if total < 1:
        raise ValueError("a curriculum needs the counts of at least one token")
    # counts 5, 2, 2, 0 → levels 0, 2, 5 that hold 0, 4 and 5 of the 9 tokens
    levels_L, level_V = torch.unique(counts_V, return_inverse=True)
    ids_L = torch.bincount(level_V, minlength=len(levels_L))
    tokens_L = levels_L.double() * ids_L
    from_here_L = tokens_L.flip(0).cumsum(0).flip(0)
    above_L: Tensor = from_here_L - tokens_L / 2
    return (above_L / total)[level_V]
