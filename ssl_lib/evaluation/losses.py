"""Held-out losses of the trained model and of its untrained twin, on the same rows with the same views.

The rows are packed from documents that share no 13-gram of tokens with training text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl_lib.batches.datasets import PackedRows
from ssl_lib.config import Settings
from ssl_lib.errors import UserError
from ssl_lib.objectives.held_out import held_out_batches
from ssl_lib.objectives.held_out import held_out_losses as losses_of
from ssl_lib.predictor import Predictor
from ssl_lib.tokens.store import TokenStore

NTXENT_PARTS = (
    "token",
    "document",
)  # of the contrastive loss: what the guide's formula has; the rest is graded similarity


class ChosenRows(PackedRows):
    """Rows packed from some documents of a store alone, in the order given. Raises UserError for less than a row."""

    def __init__(self, store: TokenStore, context: int, chosen: NDArray[np.int64]) -> None:
        super().__init__(store, context, seed=0, shuffle=False)
        self.chosen = chosen
        self.rows_per_epoch = int(self.lengths[chosen].sum()) // context
        if self.rows_per_epoch < 1:
            raise UserError(
                f"the {len(chosen)} held-out documents hold less than one row of model.context_length = {context} tokens; "
                "raise corpus.test_share or lower model.context_length"
            )

    def _draw_order(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        return self.chosen, np.concatenate([[0], np.cumsum(self.lengths[self.chosen])])


def held_out_losses(
    after: Predictor,
    before: Predictor,
    store: TokenStore,
    unseen: Sequence[int],
    settings: Settings,
) -> dict[str, dict[str, Any]]:
    """`{objective: {"before", "after", "reduction", "parts": {part: {"before", "after"}}}}`, nats; reduction as a
    share of before.

    `unseen` are the documents of the store that the rows are packed from. The figure of `contrastive` is NT-Xent over
    tokens and sentences; its graded parts stand in `parts`, all in `total`.
    The contrastive loss of both models is taken at the same fixed temperature.
    """
    rows = ChosenRows(store, after.context_length, np.array(unseen, dtype=np.int64))
    batches = held_out_batches(rows, settings.evaluation.loss_sequences)
    first, last = (
        losses_of(list(model.objectives.values()), batches, model.placement)
        for model in (before, after)
    )
    compared = {name: _compared(first[name], last[name]) for name in last}
    weights = after.objectives["contrastive"].part_weights()
    compared["contrastive"] |= _ntxent(compared["contrastive"], weights)
    return compared


def _ntxent(contrastive: dict[str, Any], weights: dict[str, float]) -> dict[str, Any]:
    """NT-Xent alone as the contrastive figure, so that it compares with the guide's; the whole objective as `total`."""
    before, after = (
        sum(weights[part] * contrastive["parts"][part][when] for part in NTXENT_PARTS)
        for when in ("before", "after")
    )
    total = {key: contrastive[key] for key in ("before", "after", "reduction")}
    reduction = 1.0 - after / before if before else 0.0
    return {"before": before, "after": after, "reduction": reduction, "total": total}


def _compared(before: dict[str, float], after: dict[str, float]) -> dict[str, Any]:
    parts = {
        part: {"before": before[part], "after": value}
        for part, value in after.items()
        if part != "loss"
    }
    reduction = 1.0 - after["loss"] / before["loss"] if before["loss"] else 0.0
    return {
        "before": before["loss"],
        "after": after["loss"],
        "reduction": reduction,
        "parts": parts,
    }
