"""Which number is wrong: a held-out passage in which one number has been replaced by another.

The other number comes from the training split and is written alike: of the same form and length. A
method gives each number of the passage a surprise; the share of right numbers that surprise it less
than the wrong one is the area under the curve (AUC) of the passage. Legend: M numbers of a passage.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ssl_lib.evaluation.base import Baselines, EvaluatedModel, Predictions, Spans, overlapping
from ssl_lib.evaluation.comparison import Scores
from ssl_lib.evaluation.data import Document, EvaluationData, NumberInText, numbers_in
from ssl_lib.evaluation.number_prediction import spread
from ssl_lib.evaluation.own_text import OwnTextTask, held_out_documents
from ssl_lib.evaluation.sentences import passages_of
from ssl_lib.evaluation.statistics import Floats
from ssl_lib.numbers.scale import to_scale

Kind = tuple[str, str, int, str]  # domain, form, length and locale
Alike = dict[Kind, list[NumberInText]]


class Passage(NamedTuple):
    """A text with a wrong number: its numbers, and which of them is the wrong one."""

    text: str
    numbers: list[NumberInText]
    wrong: int
    owner: int

    @property
    def spans(self) -> Spans:
        """The characters of each number."""
        found = []
        for number in self.numbers:
            start = len(number.before)
            found.append((start, start + len(number.text)))
        return found


class WrongNumber(OwnTextTask[list[Passage], list[Floats]]):
    """Mean AUC of passages; surprise is the mean of nats over the tokens of a number."""

    def items(self, data: EvaluationData) -> list[Passage]:
        """Passages with one number replaced, evenly from the held-out documents."""
        # a number of another length would be told by its length alone
        alike: Alike = defaultdict(list)
        for number in data.training_numbers:
            alike[_kind(number)].append(number)
        random = np.random.default_rng(data.seed)
        found = []
        for owner, document in enumerate(held_out_documents(data)):
            for passage in passages_of(document.text):
                piece = document._replace(text=passage)
                item = _replaced(piece, owner, alike, random, data.locale)
                if item is not None:
                    found.append(item)
        return [found[place] for place in spread(len(found), data.settings.items, data.seed)]

    def answer(self, model: EvaluatedModel, items: list[Passage]) -> list[Floats]:
        """The surprise of each number, read from left to right."""
        return surprises(model.next_token_ranks([item.text for item in items]), items)

    def score(self, items: list[Passage], answers: list[Floats]) -> Scores:
        """AUC of each passage; ties count half."""
        values = []
        for item, surprise_M in zip(items, answers, strict=True):
            right_M = np.delete(surprise_M, item.wrong)
            wrong = surprise_M[item.wrong]
            # Mann and Whitney: the share of pairs in the right order
            values.append(np.mean((right_M < wrong) + 0.5 * (right_M == wrong)))
        owners = np.array([item.owner for item in items])
        return Scores(np.array(values), groups=owners)

    def baselines(self, data: EvaluationData, items: list[Passage]) -> Baselines[list[Floats]]:
        """Distances from the domain's median and from the same words' median; n-gram counts."""
        tables = data.context_tables
        flat = [number for item in items for number in item.numbers]
        domain = [float(np.median(values)) for values in tables.of_domain(flat)]
        words = [float(np.median(values)) for values in tables.behind_words(flat)]
        found: dict[str, list[Floats] | float] = {"chance": 0.5}
        for name, medians in (("domain_median", domain), ("words_before", words)):
            found[name] = _distances(items, flat, medians)
        # the same surprise as a model's, by counts of tokens
        texts = [item.text for item in items]
        for name, counts in data.ngrams.items():
            found[name] = surprises(counts.next_token_ranks(texts), items)
        return found


def surprises(predictions: Predictions, items: Sequence[Passage]) -> list[Floats]:
    """Mean nats of the tokens of each number [M], passage by passage."""
    found = []
    for item, predicted in zip(items, predictions, strict=True):
        nats = []
        for start, end in item.spans:
            inside_T = overlapping(predicted.spans, start, end)
            nats.append(float(np.mean(predicted.nll[inside_T])))
        found.append(np.array(nats))
    return found


def _kind(number: NumberInText) -> Kind:
    return number.domain, number.form, len(number.text), number.locale


def _replaced(
    passage: Document, owner: int, alike: Alike, random: np.random.Generator, locale: str
) -> Passage | None:
    """The passage with a number of training in place of one of its own, None where none fits."""
    numbers = list(numbers_in([passage], locale=locale))
    if len(numbers) < 2:
        return None
    wrong = int(random.integers(len(numbers)))
    old = numbers[wrong]
    others = alike[_kind(old)]
    if not others:
        return None
    other = others[int(random.integers(len(others)))]
    text = old.before + other.text + old.after
    changed = list(numbers_in([passage._replace(text=text)], locale=locale))
    # it may be the same number, or join what stands beside it
    if other.value == old.value or len(changed) != len(numbers):
        return None
    return Passage(text, changed, wrong, owner)


def _distances(
    items: Sequence[Passage], flat: Sequence[NumberInText], medians: Sequence[float]
) -> list[Floats]:
    """Orders of magnitude between each number and what is expected there, passage by passage."""
    values = to_scale(np.array([number.value for number in flat]))
    distances = np.abs(values - to_scale(np.array(medians)))
    # all numbers of all passages in one row → one array a passage
    ends = np.cumsum([len(item.numbers) for item in items])
    return np.split(distances, ends[:-1])
