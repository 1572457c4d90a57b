"""Held-out losses of two models, on the same sequences with the same views.

The sequences are packed from documents that share no 13-gram of tokens with training text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl_lib.batches.batch import Batch
from ssl_lib.batches.datasets import PackedSequences
from ssl_lib.errors import UserError
from ssl_lib.objectives.held_out import held_out_batches, held_out_losses
from ssl_lib.predictor import Predictor
from ssl_lib.tokens.store import TokenStore

# of the contrastive loss: what the guide's formula has; the rest is soft-label similarity
NTXENT_PARTS = ("token", "document")


class ChosenDocuments(PackedSequences):
    """Sequences packed from some documents of a store alone, in the order given.

    Raises UserError for less than one sequence.
    """

    def __init__(self, store: TokenStore, context: int, chosen: NDArray[np.int64]) -> None:
        super().__init__(store, context, seed=0, shuffle=False)
        self.chosen = chosen
        self.sequences_per_epoch = int(self.lengths[chosen].sum()) // context
        if self.sequences_per_epoch < 1:
            raise UserError(
                f"the {len(chosen)} held-out documents hold less than one sequence of "
                f"model.context_length = {context} tokens; "
                "raise corpus.test_share or lower model.context_length"
            )

    def _draw_order(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return self.chosen, np.concatenate([[0], np.cumsum(self.lengths[self.chosen])])


def chosen_batches(
    store: TokenStore, context: int, unseen: Sequence[int], count: int
) -> list[Batch]:
    """At most `count` sequences of the documents at these places, always the same."""
    chosen = np.array(unseen, dtype=np.int64)
    return held_out_batches(ChosenDocuments(store, context, chosen), count)


def losses_of(model: Predictor, batches: Sequence[Batch]) -> dict[str, dict[str, float]]:
    """Loss in nats of every objective (`loss`) and of its parts.

    All objectives make the views together, so that these are the same whatever the model was
    trained with.
    """
    return held_out_losses(list(model.objectives.values()), batches, model.placement)


def compare_losses(
    before: Predictor, after: Predictor, batches: Sequence[Batch]
) -> dict[str, dict[str, Any]]:
    """By objective `before`, `after`, `reduction` as a share of before, and the same of `parts`.

    The contrastive row is NT-Xent over tokens and sentences, so that it compares with the guide's;
    its other parts stand in `parts`, and the whole objective in `total`. Both models are measured
    at the same fixed temperature.
    """
    first, last = losses_of(before, batches), losses_of(after, batches)
    compared: dict[str, dict[str, Any]] = {}
    for name, values in last.items():
        parts = {
            part: {"before": first[name][part], "after": value}
            for part, value in values.items()
            if part != "loss"
        }
        compared[name] = _reduced(first[name]["loss"], values["loss"]) | {"parts": parts}
    weights = after.objectives["contrastive"].part_weights()
    contrastive = compared["contrastive"]
    total = {key: contrastive[key] for key in ("before", "after", "reduction")}
    ntxent = (_ntxent(contrastive["parts"], weights, when) for when in ("before", "after"))
    compared["contrastive"] = contrastive | _reduced(*ntxent) | {"total": total}
    return compared


def _ntxent(parts: Mapping[str, Any], weights: Mapping[str, float], when: str) -> float:
    """The weighted parts of NT-Xent alone."""
    return sum(weights[part] * float(parts[part][when]) for part in NTXENT_PARTS)


def _reduced(before: float, after: float) -> dict[str, float]:
    reduction = 1.0 - after / before if before else 0.0
    return {"before": before, "after": after, "reduction": reduction}
