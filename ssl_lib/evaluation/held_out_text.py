"""Held-out text of any kind: bits per byte, which need no labels and depend on no vocabulary.

−log₂ of the tokens' probability over their UTF-8 bytes; less is better. Texts are resampled for the
intervals. Legend: N texts, T tokens of a text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ssl_lib.config import EvaluationSettings
from ssl_lib.evaluation.base import Answered, Baselines, ModelPair, Predictions, Texts, inside
from ssl_lib.evaluation.comparison import Details, Scores, TaskResult
from ssl_lib.evaluation.compressors import ppmd_predictions, xz_bits_per_byte
from ssl_lib.evaluation.data import EvaluationData, evenly
from ssl_lib.evaluation.next_token_prediction import (
    Masks,
    PredictedTexts,
    accuracy,
    bits_per_byte,
)
from ssl_lib.numbers import find_numbers

DOCUMENTS = 200  # of the corpus that are asked, each from its beginning
ALL_DOCUMENTS = "all_documents"  # the row of documents that may share text with training
CHARACTERS = 2_000  # of each of them at most, so that books cost no more than letters


class AnyText(PredictedTexts[Texts]):
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

    def score(self, items: Texts, answers: Predictions) -> Scores:
        """Bits of each text, over its bytes."""
        return bits_per_byte(items, answers)

    def baselines(self, data: EvaluationData, items: Texts) -> Baselines[Predictions]:
        """Counts of training tokens, and a compressor that has read the training text."""
        found = dict(super().baselines(data, items))
        if data.with_baselines:
            found["ppmd"] = ppmd_predictions(items, data.training_bytes)
        return found

    def details(self, asked: Answered[Texts, Predictions]) -> Details:
        """Accuracy and number of positions by kind, and the bytes of all texts."""
        before = asked.answers["before"]
        after = asked.answers["after"]
        masks: Masks = {"all": [], "numbers": []}
        documents = asked.data.test_documents
        locales = {beginning(one.text): one.locale for one in documents if one.locale}
        for text, predicted in zip(asked.items, after, strict=True):
            found_numbers = find_numbers(text, locales.get(text, asked.data.locale))
            spans = [(number.start, number.end) for number in found_numbers]
            mask_T = inside(predicted.spans, text, spans)
            masks["numbers"].append(mask_T)
            masks["all"].append(np.ones_like(mask_T))
        found: Details = {"accuracy": {}, "positions": {}}
        # a text without numbers has bits, and no accuracy inside numbers
        for kind, kept in masks.items():
            scores = accuracy(after, kept)
            found["positions"][kind] = scores.count
            if scores.count:
                pair = asked.pair.resampling.paired(accuracy(before, kept), scores)
                found["accuracy"][kind] = pair._asdict()
        # a text of a file may hold half a surrogate pair
        encoded = [text.encode("utf-8", "replace") for text in asked.items]
        found["bytes"] = sum(map(len, encoded))
        return found

    def metrics(self, results: Mapping[str, TaskResult]) -> Details:
        """Bits per byte, and accuracy on all positions and inside numbers."""
        result = results[self.task.name]
        right = result.details["accuracy"]
        row = {"documents": result.n, "bytes": result.details["bytes"]}
        row["bits_per_byte"] = result.summary()
        row["accuracy"] = right["all"]
        row["accuracy_on_numbers"] = right.get("numbers", {})
        return {self.task.name: row}


class HeldOutText(AnyText):
    """The corpus's held-out documents: those without a shared 13-gram, and a draw of all."""

    def baselines(self, data: EvaluationData, items: Texts) -> Baselines[Predictions]:
        """Beside the others xz, which has to read the training text again for each set of texts."""
        found = dict(super().baselines(data, items))
        if data.with_baselines:
            found["xz"] = xz_bits_per_byte(items, data.training_bytes)
        return found

    def results(self, pair: ModelPair, data: EvaluationData, items: Texts) -> dict[str, TaskResult]:
        """The documents that training has not seen, and as `all_documents` any of them."""
        found = super().results(pair, data, items)
        drawn = evenly(data.test_texts, self.wanted(data.settings))
        every = AnyText(self.task).run(pair, data, [beginning(text) for text in drawn])
        return found | {ALL_DOCUMENTS: every}


def beginning(text: str, characters: int = CHARACTERS) -> str:
    """At most so many characters of a text, to the end of a word if there is one."""
    if len(text) <= characters:
        return text
    return text[:characters].rsplit(maxsplit=1)[0]
