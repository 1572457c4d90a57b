"""Next-token prediction: top-1 accuracy on deterministic positions, on all, and inside numbers.

A deterministic position is a token that lies wholly inside a span that a careful reader could
predict from what stands before it. Documents, not tokens, are resampled for the intervals, because
tokens of one document are not independent.

Legend: N documents, T tokens of a document.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ssl_lib.config import EvaluationSettings
from ssl_lib.evaluation.base import (
    EvaluatedModel,
    EvaluationTask,
    ModelPair,
    Predictions,
    Spans,
    inside,
)
from ssl_lib.evaluation.comparison import Scores, TaskResult
from ssl_lib.evaluation.data import EvaluationData
from ssl_lib.synthetic.items import next_token_documents

LN2 = math.log(2.0)
SPARE = 1.5  # documents drawn for each that is asked, so that contaminated ones can be left out
EXAMPLES = 12
Masks = Mapping[str, list[NDArray[np.bool_]]]


class DeterministicDocument(Protocol):
    """A text with the spans of what can be predicted from the text before it."""

    @property
    def text(self) -> str:
        """The text."""

    @property
    def numbers(self) -> Sequence[Any]:
        """Its numbers, with `start` and `end`."""

    @property
    def deterministic(self) -> Spans:
        """Spans of characters."""


Documents = Sequence[DeterministicDocument]


class NextTokenPrediction(EvaluationTask[Documents, Sequence[Predictions]]):
    """Accuracy on the deterministic positions of labeled documents.

    All positions, numbers and bits per byte are in the details. Raises ValueError if no position is
    deterministic.
    """

    def items(self, data: EvaluationData) -> Documents:
        """Documents as in the corpus, with facts of split `test`."""
        spare = int(SPARE * self.wanted(data.settings))
        return next_token_documents(spare, data.seed, "test")

    def wanted(self, settings: EvaluationSettings) -> int:
        """Half as many documents as other tasks have items: each has several positions."""
        return max(10, settings.items // 2)

    def answer(self, model: EvaluatedModel, items: Documents) -> Sequence[Predictions]:
        """Teacher-forced predictions."""
        return model.next_token_ranks([document.text for document in items])

    def score(self, items: Documents, answers: Sequence[Predictions]) -> Scores:
        """Right tokens of each document, over its deterministic positions."""
        masks = position_masks(items, answers)["determined"]
        if not any(mask_T.any() for mask_T in masks):
            raise ValueError("no document has a deterministic position")
        return accuracy(answers, masks)

    def baselines(
        self, data: EvaluationData, items: Documents
    ) -> Mapping[str, Sequence[Predictions] | float]:
        """What counts of training tokens find most probable."""
        texts = [document.text for document in items]
        return {name: counts.next_token_ranks(texts) for name, counts in data.ngrams.items()}

    def details(
        self,
        pair: ModelPair,
        data: EvaluationData,
        items: Documents,
        answers: Mapping[str, Sequence[Predictions]],
    ) -> dict[str, Any]:
        """Accuracy by kind of position, with that of the baselines, bits per byte, and examples."""
        after = answers["after"]
        texts = [document.text for document in items]
        masks = position_masks(items, after)
        found: dict[str, Any] = {"accuracy": {}, "positions": {}, "baselines": {}}
        for kind, kept in masks.items():
            found["positions"][kind] = int(sum(mask_T.sum() for mask_T in kept))
            if not found["positions"][kind]:
                continue
            scores = {name: accuracy(given, kept) for name, given in answers.items()}
            pairs = pair.resampling.all_paired(scores, scores.pop("after"))
            found["accuracy"][kind] = pairs.pop("before")._asdict()
            found["baselines"][kind] = {name: one.before for name, one in pairs.items()}
        bits = [bits_per_byte(texts, answers[name]) for name in ("before", "after")]
        return found | {
            "bits_per_byte": pair.resampling.paired(*bits)._asdict(),
            "documents": len(texts),
            "examples": _examples(items, after, masks["determined"]),
        }

    def metrics(self, results: Mapping[str, TaskResult]) -> dict[str, Any]:
        """Bits per byte of the same documents."""
        return {"bits_per_byte": results[self.task.name].details["bits_per_byte"]}


def position_masks(documents: Documents, predictions: Sequence[Predictions]) -> Masks:
    """Which tokens [T] of each document are deterministic, all, and those inside numbers."""
    pairs = list(zip(documents, predictions, strict=True))
    return {
        "determined": [inside(p.spans, d.text, d.deterministic) for d, p in pairs],
        "all": [np.ones(len(p.correct), dtype=bool) for p in predictions],
        "numbers": [inside_numbers(p, d.text, d.numbers) for d, p in pairs],
    }


def inside_numbers(
    predictions: Predictions, text: str, numbers: Sequence[Any]
) -> NDArray[np.bool_]:
    """Which tokens [T] lie inside one of the numbers, which have `start` and `end`."""
    return inside(predictions.spans, text, [(number.start, number.end) for number in numbers])


def accuracy(predictions: Sequence[Predictions], masks: Sequence[NDArray[np.bool_]]) -> Scores:
    """How many of the masked tokens of each document are right, over how many there are."""
    pairs = zip(predictions, masks, strict=True)
    hits = [int(np.asarray(p.correct)[mask_T].sum()) for p, mask_T in pairs]
    sizes = np.array([int(mask_T.sum()) for mask_T in masks])
    return Scores(np.array(hits), denominators=sizes, count=int(sizes.sum()))


def bits_per_byte(texts: Sequence[str], predictions: Sequence[Predictions]) -> Scores:
    """Bits of the tokens of each text over their UTF-8 bytes: comparable between vocabularies.

    Only bytes of predicted tokens count: those of a first token that is not predicted do not.
    """
    bits, sizes = [], []
    for text, predicted in zip(texts, predictions, strict=True):
        start = int(np.asarray(predicted.spans)[0, 0]) if len(predicted.spans) else len(text)
        sizes.append(len(text[start:].encode("utf-8", "replace")))
        bits.append(float(np.sum(predicted.nll, dtype=np.float64)) / LN2)
    return Scores(np.array(bits), denominators=np.array(sizes), count=len(texts))


def _examples(
    documents: Documents,
    predictions: Sequence[Predictions],
    masks: Sequence[NDArray[np.bool_]],
) -> list[dict[str, Any]]:
    """Documents with the deterministic tokens that were missed (spans), wrong ones first."""
    wrong: list[dict[str, Any]] = []
    right: list[dict[str, Any]] = []
    for document, predicted, mask_T in zip(documents, predictions, masks, strict=True):
        missed = np.asarray(predicted.spans)[mask_T & ~np.asarray(predicted.correct)].tolist()
        row = {"text": document.text, "missed": missed, "positions": int(mask_T.sum())}
        if row["positions"]:
            (wrong if missed else right).append(row)
    return wrong[: EXAMPLES // 2] + right[: EXAMPLES // 2]
