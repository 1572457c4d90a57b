"""Masked prediction: a whole word or number is masked and comes back exactly, or not.

All tokens of a piece are masked together and each must be the most probable one in its place; how
many there are is given away. Legend: N pieces.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ssl_lib.evaluation.base import EvaluatedModel, ModelPair, Predictions, overlapping
from ssl_lib.evaluation.context_baselines import seen_between
from ssl_lib.evaluation.data import EvaluationData
from ssl_lib.evaluation.skills.base import Part, Scored, SkillMeasure
from ssl_lib.evaluation.skills.pieces import Pieces, held_out_pieces
from ssl_lib.evaluation.statistics import Bools


class MaskedPieces(SkillMeasure[Pieces, Bools]):
    """The share of masked words and numbers that are restored exactly."""

    def items(self, data: EvaluationData, context_length: int) -> Pieces:
        """Words and numbers of held-out documents."""
        return held_out_pieces(data)

    def answer(self, model: EvaluatedModel, items: Pieces) -> Bools:
        """Which come back."""
        texts = [items.documents[one.owner].text for one in items.pieces]
        places = [(len(one.before), len(one.before) + len(one.text)) for one in items.pieces]
        return model.restores(texts, places)

    def score(self, items: Pieces, answers: Bools) -> dict[str, Part]:
        """Shares that are right."""
        return items.right(answers)

    def baselines(
        self, data: EvaluationData, pair: ModelPair, items: Pieces
    ) -> Mapping[str, Scored]:
        """Tables of training text, and the trained model reading from the left alone."""
        words_N = items.words
        training = {True: data.training_words, False: data.training_numbers}
        found: dict[str, Bools] = {}
        for is_word, known in training.items():
            places = np.flatnonzero(words_N == is_word)
            asked = [items.pieces[place] for place in places]
            for name, texts in seen_between(asked, known).items():
                right_N = found.setdefault(name, np.zeros(len(words_N), dtype=bool))
                right_N[places] = [text == one.text for text, one in zip(texts, asked, strict=True)]
        predicted = pair.after.next_token_ranks([document.text for document in items.documents])
        found["causal_alone"] = every_token_right(items, predicted)
        return {name: items.right(right_N) for name, right_N in found.items()}


def every_token_right(items: Pieces, predicted: Predictions) -> Bools:
    """Of which pieces [N] all tokens are the most probable ones after the text before them."""
    found = np.zeros(len(items.pieces), dtype=bool)
    for place, one in enumerate(items.pieces):
        tokens = predicted[one.owner]
        inside_T = overlapping(tokens.spans, len(one.before), len(one.before) + len(one.text))
        found[place] = inside_T.any() and bool(tokens.correct[inside_T].all())
    return found
