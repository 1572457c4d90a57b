"""Next-token prediction: top-1 accuracy on deterministic positions, on all, and inside numbers.

A deterministic position is a token that lies wholly inside a span that a careful reader could
predict from what stands before it. Documents, not tokens, are resampled for the intervals, because
tokens of one document are not independent.

Legend: N documents, T tokens of a document.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ssl_lib.config import EvaluationSettings
from ssl_lib.evaluation.base import (
    Answered,
    Baselines,
    EvaluatedModel,
    EvaluationTask,
    Items,
    Predictions,
    Texts,
    inside,
)
from ssl_lib.evaluation.comparison import Details, Scores, TaskResult
from ssl_lib.evaluation.data import EvaluationData
from ssl_lib.evaluation.statistics import Bools
from ssl_lib.synthetic.document import LabeledDocument
from ssl_lib.synthetic.items import next_token_documents

Documents = Sequence[LabeledDocument]
Masks = dict[str, list[Bools]]  # by kind of position, [T] of each text

LN2 = math.log(2.0)
SPARE = 1.5  # documents drawn for each that is asked, so that contaminated ones can be left out
EXAMPLES = 12


class PredictedTexts(EvaluationTask[Items, Predictions]):
    """What tasks have in common that let a model predict the tokens of their texts."""

    def answer(self, model: EvaluatedModel, items: Items) -> Predictions:
        """Each token predicted from the true ones before it."""
        texts = self.texts(items)
        return model.next_token_ranks(texts)

    def baselines(self, data: EvaluationData, items: Items) -> Baselines[Predictions]:
        """What counts of training tokens find most probable."""
        texts = self.texts(items)
        return {name: counts.next_token_ranks(texts) for name, counts in data.ngrams.items()}


class NextTokenPrediction(PredictedTexts[Documents]):
    """Accuracy on the deterministic positions of labeled documents.

    All positions, numbers and bits per byte are in the details. Raises ValueError if no position is
    deterministic.
    """

    def items(self, data: EvaluationData) -> Documents:
        """Documents as in the corpus, with facts of split `test`."""
        drawn = int(SPARE * self.wanted(data.settings))
        return next_token_documents(drawn, data.seed, "test")

    def wanted(self, settings: EvaluationSettings) -> int:
        """Half as many documents as other tasks have items: each has several positions."""
        return max(10, settings.items // 2)

    def score(self, items: Documents, answers: Predictions) -> Scores:
        """Right tokens of each document, over its deterministic positions."""
        masks = position_masks(items, answers)
        scores = accuracy(answers, masks["determined"])
        if not scores.count:
            raise ValueError("no document has a deterministic position")
        return scores

    def details(self, asked: Answered[Documents, Predictions]) -> Details:
        """Accuracy by kind of position, with that of the baselines, bits per byte, and examples."""
        texts = self.texts(asked.items)
        after = asked.answers["after"]
        resampling = asked.pair.resampling
        masks = position_masks(asked.items, after)
        found: Details = {"accuracy": {}, "positions": {}, "baselines": {}}
        for kind, kept in masks.items():
            scores = {name: accuracy(given, kept) for name, given in asked.answers.items()}
            last = scores.pop("after")
            found["positions"][kind] = last.count
            if not last.count:
                continue
            # before and the baselines, each against the trained model
            pairs = resampling.all_paired(scores, last)
            found["accuracy"][kind] = pairs.pop("before")._asdict()
            found["baselines"][kind] = {name: pair.before for name, pair in pairs.items()}
        before_bits = bits_per_byte(texts, asked.answers["before"])
        after_bits = bits_per_byte(texts, after)
        bits = resampling.paired(before_bits, after_bits)
        found["bits_per_byte"] = bits._asdict()
        found["documents"] = len(texts)
        found["examples"] = _examples(texts, after, masks["determined"])
        return found

    def metrics(self, results: Mapping[str, TaskResult]) -> Details:
        """Bits per byte of the same documents."""
        result = results[self.task.name]
        return {"bits_per_byte": result.details["bits_per_byte"]}


def position_masks(documents: Documents, predictions: Predictions) -> Masks:
    """Which tokens [T] of each document are deterministic, all, and those inside numbers."""
    masks: Masks = {"determined": [], "all": [], "numbers": []}
    for document, predicted in zip(documents, predictions, strict=True):
        numbers = [(number.start, number.end) for number in document.numbers]
        for kind, spans in (("determined", document.deterministic), ("numbers", numbers)):
            mask_T = inside(predicted.spans, document.text, spans)
            masks[kind].append(mask_T)
        masks["all"].append(np.ones_like(predicted.correct))
    return masks


def accuracy(predictions: Predictions, masks: Sequence[Bools]) -> Scores:
    """How many of the masked tokens of each document are right, over how many there are."""
    # a document without such a position counts 0 of 0, and is not resampled
    hits = []
    sizes = []
    for predicted, mask_T in zip(predictions, masks, strict=True):
        right_T = predicted.correct[mask_T]
        hits.append(int(right_T.sum()))
        sizes.append(int(mask_T.sum()))
    return Scores(np.array(hits), denominators=np.array(sizes), count=sum(sizes))


def bits_per_byte(texts: Texts, predictions: Predictions) -> Scores:
    """Bits of the tokens of each text over their UTF-8 bytes: comparable between vocabularies.

    Only bytes of predicted tokens count: those of a first token that is not predicted do not.
    """
    bits = []
    sizes = []
    for text, predicted in zip(texts, predictions, strict=True):
        # a text of one token has no predicted one
        start = int(predicted.spans[0, 0]) if len(predicted.spans) else len(text)
        encoded = text[start:].encode("utf-8", "replace")
        sizes.append(len(encoded))
        nats = float(np.sum(predicted.nll, dtype=np.float64))
        bits.append(nats / LN2)
    return Scores(np.array(bits), denominators=np.array(sizes), count=len(texts))


def _examples(texts: Texts, predictions: Predictions, masks: Sequence[Bools]) -> list[Details]:
    """Documents with the deterministic tokens that were missed (spans), wrong ones first."""
    wrong: list[Details] = []
    right: list[Details] = []
    for text, predicted, mask_T in zip(texts, predictions, masks, strict=True):
        missed_T = mask_T & ~predicted.correct
        missed = predicted.spans[missed_T].tolist()
        positions = int(mask_T.sum())
        if positions:
            row = {"text": text, "missed": missed, "positions": positions}
            (wrong if missed else right).append(row)
    few = EXAMPLES // 2
    return wrong[:few] + right[:few]
