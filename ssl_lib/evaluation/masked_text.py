"""A masked number and a masked word of the corpus's own held-out documents, from both sides.

All tokens of the number or word are masked at once; exact is exact. Their count is given away to
both models alike. Legend: N items.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import numpy as np

from ssl_lib.evaluation.base import Baselines, EvaluatedModel, ModelPair
from ssl_lib.evaluation.comparison import Scores, TaskResult
from ssl_lib.evaluation.context_baselines import seen_between
from ssl_lib.evaluation.data import (
    Document,
    EvaluationData,
    NumberInText,
    around,
    numbers_in,
)
from ssl_lib.evaluation.number_prediction import spread
from ssl_lib.evaluation.own_text import OwnTextTask, held_out_documents
from ssl_lib.evaluation.statistics import Bools

MOST_WORDS, MOST_DOCUMENTS = 300_000, 10_000  # of training, evenly from all of it
WORD = "word"  # the form of a piece of text that is no number
_WORD = re.compile(r"(?<=\s)[^\W\d_]{3,}(?=[\s.,;:!?])")


class MaskedText(OwnTextTask[list[NumberInText], Bools]):
    """The share of numbers that come back exactly; words beside them as `masked_word`."""

    def items(self, data: EvaluationData) -> list[NumberInText]:
        """Numbers and words, evenly from the held-out documents; words have no value."""
        # one list of both kinds: `results` parts them by their form
        documents = held_out_documents(data)
        chosen = []
        numbers = list(numbers_in(documents, locale=data.locale))
        for pieces in (numbers, list(words_in(documents))):
            places = spread(len(pieces), data.settings.items, data.seed)
            chosen += [pieces[place] for place in places]
        return chosen

    def answer(self, model: EvaluatedModel, items: list[NumberInText]) -> Bools:
        """Which come back."""
        texts = [one.before + one.text + one.after for one in items]
        # the characters of each piece in its text
        places = [(len(one.before), len(one.before) + len(one.text)) for one in items]
        return model.restores(texts, places)

    def score(self, items: list[NumberInText], answers: Bools) -> Scores:
        """1 where exact; the items of one document are resampled together."""
        owners = np.array([one.owner for one in items])
        return Scores(answers.astype(np.float64), groups=owners)

    def baselines(self, data: EvaluationData, items: list[NumberInText]) -> Baselines[Bools]:
        """What stands most often between the same words in training text, and in the domain."""
        is_word = items[0].form == WORD
        training = data.training_words if is_word else data.training_numbers
        found = {}
        for name, texts in seen_between(items, training).items():
            # "1,000" is not "1000": the form counts too
            right = [text == one.text for text, one in zip(texts, items, strict=True)]
            found[name] = np.array(right)
        return found

    def results(
        self, pair: ModelPair, data: EvaluationData, items: list[NumberInText]
    ) -> dict[str, TaskResult]:
        """Numbers under the task's name, words under `masked_word`: each where there are any."""
        words = [one for one in items if one.form == WORD]
        numbers = [one for one in items if one.form != WORD]
        parts = {self.task.name: numbers, "masked_word": words}
        return {name: self.run(pair, data, part) for name, part in parts.items() if part}


def words_in(documents: Iterable[Document], reach: int | None = None) -> Iterator[NumberInText]:
    """Words of three letters and more behind a space, with so much text on either side."""
    for owner, document in enumerate(documents):
        text, about = document.text, (float("nan"), WORD, document.domain, owner)
        for match in _WORD.finditer(text):
            before, after = around(text, *match.span(), reach)
            yield NumberInText(before, match[0], after, *about)
