"""Next-token prediction in whole words and numbers: greedy search to the end of the piece.

Greedy search from the position before a piece arrives at it if each of its tokens is the most
probable after the true ones before, which one pass over the document tells, and if the search then
ends the piece: after "5" neither "6" nor ".3". Bits per byte stand beside. Legend: N pieces.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np

from ssl_lib.evaluation.base import EvaluatedModel, ModelPair, Predictions, Texts
from ssl_lib.evaluation.compressors import xz_bits_per_byte
from ssl_lib.evaluation.data import EvaluationData
from ssl_lib.evaluation.next_token_prediction import bits_per_byte
from ssl_lib.evaluation.skills.base import Part, Scored, SkillMeasure
from ssl_lib.evaluation.skills.mlm import every_token_right
from ssl_lib.evaluation.skills.pieces import Pieces, held_out_pieces
from ssl_lib.evaluation.statistics import Bools

BITS = "bits_per_byte"
# what makes a word or number longer: a letter, a digit, a point with a digit behind it
_GOES_ON = re.compile(r"[^\W_]|[.,:]\d")
_TOKENS_BEHIND = 2  # ".3" may be two


class Predicted(NamedTuple):
    """Which pieces were predicted whole [N], and the predictions of all tokens."""

    right: Bools
    tokens: Predictions


class Continues(Protocol):
    """A model that predicts tokens and goes on with a text."""

    def next_token_ranks(self, texts: Texts) -> Predictions:
        """Each token but the first predicted from those before it."""

    def generate(self, prompts: Texts, max_tokens: int = 16, stop: str = ".") -> list[str]:
        """Greedy continuations."""


class NextPieces(SkillMeasure[Pieces, Predicted]):
    """The share of words and numbers that greedy search from the position before them finds."""

    def items(self, data: EvaluationData, context_length: int) -> Pieces:
        """Those of masked prediction."""
        return held_out_pieces(data)

    def answer(self, model: EvaluatedModel, items: Pieces) -> Predicted:
        """What one pass over the documents tells, and how the search goes on behind a piece."""
        return searched(model, items)

    def score(self, items: Pieces, answers: Predicted) -> dict[str, Part]:
        """Shares that are right, and bits per byte of the documents."""
        texts = [document.text for document in items.documents]
        bits = bits_per_byte(texts, answers.tokens)
        sizes = np.asarray(bits.denominators, dtype=np.float64)
        owners = np.arange(len(texts))
        return items.right(answers.right) | {BITS: Part(BITS, bits.values, sizes, owners, False)}

    def baselines(
        self, data: EvaluationData, pair: ModelPair, items: Pieces
    ) -> Mapping[str, Scored]:
        """Counts of training tokens, which search as the models do; xz for bits per byte."""
        found: dict[str, Scored] = {}
        for name, counts in data.ngrams.items():
            found[name] = self.score(items, searched(counts, items))
        if data.with_baselines:
            texts = [document.text for document in items.documents]
            found["xz"] = {BITS: xz_bits_per_byte(texts, data.training_bytes)}
        return found


def searched(model: Continues, items: Pieces) -> Predicted:
    """What greedy search finds in the place of each piece."""
    predicted = model.next_token_ranks([document.text for document in items.documents])
    right_N = every_token_right(items, predicted)
    # all tokens are right: does the search stop behind them?
    places = np.flatnonzero(right_N)
    reached = [items.pieces[place] for place in places]
    prompts = [one.before + one.text for one in reached]
    behind = model.generate(prompts, max_tokens=_TOKENS_BEHIND, stop="")
    for place, one, text in zip(places, reached, behind, strict=True):
        # "5m" goes on in the text itself
        if _GOES_ON.match(text) and not _GOES_ON.match(one.after):
            right_N[place] = False
    return Predicted(right_N, predicted)
