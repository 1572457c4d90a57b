"""Held-out losses of two models, on the same sequences with the same views.

The sequences are packed from documents that share no 13-gram of tokens with training text.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ssl_lib.batches.batch import Batch
from ssl_lib.batches.datasets import PackedSequences
from ssl_lib.errors import UserError
from ssl_lib.evaluation.comparison import Details, TaskResult
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
        tokens = int(self.lengths[chosen].sum())
        self.sequences_per_epoch = tokens // context
        if self.sequences_per_epoch < 1:
            raise UserError(
                f"the {len(chosen)} held-out documents hold less than one sequence of "
                f"model.context_length = {context} tokens; "
                "raise corpus.test_share or lower model.context_length"
            )

    def _draw_order(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        # where each document begins, and where the last one ends
        ends = np.cumsum(self.lengths[self.chosen])
        return self.chosen, np.concatenate([[0], ends])


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
    objectives = list(model.objectives.values())
    return held_out_losses(objectives, batches, model.placement)


def compare_losses(
    before: Predictor, after: Predictor, batches: Sequence[Batch]
) -> dict[str, Details]:
    """By objective `before`, `after`, `reduction` as a share of before, and the same of `parts`.

    The contrastive row is NT-Xent over tokens and sentences, so that it compares with the guide's;
    its other parts stand in `parts`, and the whole objective in `total`. Both models are measured
    at the same fixed temperature.
    """
    first = losses_of(before, batches)
    last = losses_of(after, batches)
    compared: dict[str, Details] = {}
    for name, values in last.items():
        before_values = first[name]
        row = _reduced(before_values["loss"], values["loss"])
        row["parts"] = {}
        for part, value in values.items():
            if part != "loss":
                row["parts"][part] = {"before": before_values[part], "after": value}
        compared[name] = row
    # the weighted parts of NT-Xent in place of the whole
    whole = compared["contrastive"]
    weights = after.objectives["contrastive"].part_weights()
    sums = []
    for when in ("before", "after"):
        parts = (weights[part] * whole["parts"][part][when] for part in NTXENT_PARTS)
        sums.append(sum(parts))
    total = {key: whole[key] for key in ("before", "after", "reduction")}
    compared["contrastive"] = _reduced(*sums) | {"parts": whole["parts"], "total": total}
    return compared


def toward_best(language: TaskResult) -> Details:
    """How far the trained model is on the way from n-gram counts to the best known, 0 to 1.

    `language` is the result in bits per byte of the held-out documents, on which the best known is
    the lowest that any method reaches, the trained model among them: the entropy of a text is not
    known. Below 0 it is worse than the counts. `share` is None where nothing is below the counts.
    """
    counts = language.baselines.get("ngram_counts")
    if counts is None:
        return {}
    reached = {**language.baselines, "trained": language.after}
    best = min(reached, key=lambda name: reached[name])
    way = counts - reached[best]
    found: Details = {"ngram_counts": counts, "after": language.after}
    found |= {"best": reached[best], "best_method": best}
    return found | {"share": (counts - language.after) / way if way > 0.0 else None}


def _reduced(before: float, after: float) -> Details:
    reduction = 1.0 - after / before if before else 0.0
    return {"before": before, "after": after, "reduction": reduction}
