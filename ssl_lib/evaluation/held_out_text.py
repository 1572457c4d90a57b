"""Held-out text of any kind: bits per byte, which need no labels and depend on no vocabulary.

−log₂ of the tokens' probability over their UTF-8 bytes; less is better. Texts are resampled for the
intervals. Legend: N texts, T tokens of a text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ssl_lib.config import EvaluationSettings
from ssl_lib.evaluation.base import EvaluatedModel, EvaluationTask, ModelPair, Predictions
from ssl_lib.evaluation.comparison import Scores, TaskResult
from ssl_lib.evaluation.data import EvaluationData
from ssl_lib.evaluation.next_token_prediction import accuracy, bits_per_byte, inside_numbers
from ssl_lib.numbers import find_numbers

DOCUMENTS = 200  # of the corpus that are asked, each from its beginning
CHARACTERS = 2_000  # of each of them at most, so that books cost no more than letters

Texts = Sequence[str]


class HeldOutText(EvaluationTask[Texts, Sequence[Predictions]]):
    """Bits per byte; top-1 accuracy on all tokens and on those inside numbers is in the details."""

    def items(self, data: EvaluationData) -> Texts:
        """The held-out documents of the corpus."""
        return data.test_texts

    def texts(self, items: Texts) -> list[str]:
        """The documents, whole."""
        return list(items)

    def selected(self, items: Texts, places: Sequence[int]) -> Texts:
        """The beginnings of some."""
        return [beginning(items[place]) for place in places]

    def wanted(self, settings: EvaluationSettings) -> int:
        """As many whatever the settings."""
        return DOCUMENTS

    def answer(self, model: EvaluatedModel, items: Texts) -> Sequence[Predictions]:
        """Teacher-forced predictions."""
        return model.next_token_ranks(items)

    def score(self, items: Texts, answers: Sequence[Predictions]) -> Scores:
        """Bits of each text, over its bytes."""
        return bits_per_byte(items, answers)

    def baselines(
        self, data: EvaluationData, items: Texts
    ) -> Mapping[str, Sequence[Predictions] | float]:
        """The bits that counts of training tokens give."""
        return {name: counts.next_token_ranks(items) for name, counts in data.ngrams.items()}

    def details(
        self,
        pair: ModelPair,
        data: EvaluationData,
        items: Texts,
        answers: Mapping[str, Sequence[Predictions]],
    ) -> dict[str, Any]:
        """Accuracy and number of positions by kind, and the bytes of all texts."""
        both = answers["before"], answers["after"]
        pairs = list(zip(items, answers["after"], strict=True))
        masks = {
            "all": [np.ones(len(predicted.correct), dtype=bool) for _, predicted in pairs],
            "numbers": [inside_numbers(given, text, find_numbers(text)) for text, given in pairs],
        }
        found: dict[str, Any] = {"accuracy": {}, "positions": {}}
        for kind, kept in masks.items():
            before, after = (accuracy(given, kept) for given in both)
            found["positions"][kind] = after.count
            if after.count:
                found["accuracy"][kind] = pair.resampling.paired(before, after)._asdict()
        return found | {"bytes": sum(len(text.encode("utf-8", "replace")) for text in items)}

    def metrics(self, results: Mapping[str, TaskResult]) -> dict[str, Any]:
        """Bits per byte, and accuracy on all positions and inside numbers."""
        result = results[self.task.name]
        right = result.details["accuracy"]
        row = {"documents": result.n, "bytes": result.details["bytes"]}
        shares = {"accuracy": right["all"], "accuracy_on_numbers": right.get("numbers", {})}
        return {self.task.name: row | {"bits_per_byte": result.summary()} | shares}


def beginning(text: str, characters: int = CHARACTERS) -> str:
    """At most so many characters of a text, to the end of a word if there is one."""
    return text if len(text) <= characters else text[:characters].rsplit(maxsplit=1)[0]
