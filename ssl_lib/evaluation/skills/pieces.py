"""Words and numbers of held-out documents, and which numbers follow from the text before them.

What follows is known of the built-in documents alone, whose generator marks it
(`EvaluationData.determined`); nothing that trains reads these marks. Legend: N pieces.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ssl_lib.evaluation.data import Document, EvaluationData, NumberInText, numbers_in
from ssl_lib.evaluation.masked_text import WORD, words_in
from ssl_lib.evaluation.number_prediction import spread
from ssl_lib.evaluation.own_text import held_out_documents
from ssl_lib.evaluation.skills.base import WHOLE, Part
from ssl_lib.evaluation.statistics import Bools


class Pieces(NamedTuple):
    """Words, whose form is WORD, and numbers; which numbers are determined [N]; the documents."""

    pieces: list[NumberInText]
    determined: Bools
    documents: list[Document]

    @property
    def words(self) -> Bools:
        """Which are words [N]."""
        return np.array([one.form == WORD for one in self.pieces], dtype=bool)

    def right(self, right_N: Bools) -> dict[str, Part]:
        """The share that is right: of what can be known, of words and of numbers.

        What can be known are words and determined numbers; all numbers where the corpus does not
        tell which are determined.
        """
        words_N = self.words
        known_N = self.determined if self.determined.any() else ~words_N
        kept = {WHOLE: words_N | known_N, "words": words_N, "numbers": ~words_N}
        kept["numbers_determined"] = self.determined
        owners = [one.owner for one in self.pieces]
        return {
            name: Part.mean("exact_match", right_N, owners, kept_N) for name, kept_N in kept.items()
        }


def held_out_pieces(data: EvaluationData) -> Pieces:
    """Numbers, and half as many words, evenly from the held-out documents."""
    documents = held_out_documents(data)
    most = data.settings.items
    chosen: list[NumberInText] = []
    for pieces, limit in ((words_in(documents), most // 2), (numbers(documents, data), most)):
        found = list(pieces)
        chosen += [found[place] for place in spread(len(found), limit, data.seed)]
    return Pieces(chosen, are_determined(chosen, documents, data), documents)


def numbers(documents: list[Document], data: EvaluationData) -> list[NumberInText]:
    """All numbers of the documents that begin with a digit behind a space."""
    return list(numbers_in(documents, locale=data.locale))


def are_determined(
    pieces: list[NumberInText], documents: list[Document], data: EvaluationData
) -> Bools:
    """Which pieces [N] are numbers of which the text before them determines every digit."""
    found = np.zeros(len(pieces), dtype=bool)
    for place, one in enumerate(pieces):
        spans = data.determined.get(documents[one.owner].text, ())
        start = len(one.before)
        digits = [start + at for at, character in enumerate(one.text) if character.isdigit()]
        if one.form != WORD and digits:
            found[place] = all(any(a <= at < b for a, b in spans) for at in digits)
    return found
