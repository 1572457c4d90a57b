"""Plain methods that say a number from the words around it: tables of words, nearest contexts.

All of them are filled with the numbers of the training split alone. Legend: N numbers that are
asked, M of the training split, Q quantiles, K neighbours.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ssl_lib.evaluation.data import NumberInText
from ssl_lib.evaluation.statistics import Floats

WORDS = 4  # before a number, or on one side of it, that a table knows at most
CONTEXT_WORDS = 16  # before a number, of which TF-IDF makes a vector
NEIGHBORS = 25
FEWEST = 3  # numbers behind the same words from which a median is taken
SKETCH = 999  # numbers that stand for those of a domain
QUERIES_AT_ONCE = 64
_WORD = re.compile(r"\w+|[^\w\s]")
_DIGIT = re.compile(r"\d")
_REACH = 400  # characters in which the nearest words stand


def words_before(text: str, count: int) -> tuple[str, ...]:
    """The last words and signs, in lower case, with 0 for every digit: "In 1999 , GDP was"."""
    # so many pieces between blanks hold at least so many words
    near = " ".join(text[-_REACH:].rsplit(None, count)[-count:])
    return tuple(_WORD.findall(_DIGIT.sub("0", near.lower()))[-count:])


def words_behind(text: str, count: int) -> tuple[str, ...]:
    """The first words and signs, as `words_before` has the last."""
    near = " ".join(text[:_REACH].split(None, count)[:count])
    return tuple(_WORD.findall(_DIGIT.sub("0", near.lower()))[:count])


class ContextTables:
    """What numbers of the training split stand where, asked by numbers of other texts."""

    def __init__(self, training: Sequence[NumberInText]) -> None:
        self.training = training
        self._nearest: dict[tuple[str, ...], list[Floats]] = {}
        self.values_M: Floats = np.array([number.value for number in training] or [0.0])
        by_domain: dict[str, list[float]] = defaultdict(list)
        for number in training:
            by_domain[number.domain].append(number.value)
        self.general = _sketch(self.values_M)
        self.by_domain = {name: _sketch(np.array(values)) for name, values in by_domain.items()}

    def of_domain(self, asked: Sequence[NumberInText]) -> Iterator[Floats]:
        """For each, the numbers of its domain; all numbers where it has none."""
        for number in asked:
            yield self.by_domain.get(number.domain, self.general)

    def behind_words(self, asked: Sequence[NumberInText]) -> Iterator[Floats]:
        """For each, the numbers behind the same 4, 3, 2 or 1 words: the most that are known."""
        for number, general in zip(asked, self.of_domain(asked), strict=True):
            words = words_before(number.before, WORDS)
            # ("the", "price", "is") → behind all three, the last two, the last one
            longer = (self._table.get(words[start:]) for start in range(len(words)))
            yield next((np.array(values) for values in longer if values), general)

    def in_nearest_contexts(self, asked: Sequence[NumberInText]) -> Iterator[Floats]:
        """For each, the numbers of the training contexts with the highest TF-IDF cosine [K]."""
        if not self.training:
            yield from self.of_domain(asked)
            return
        contexts = tuple(_context(number) for number in asked)
        # two measures ask the same numbers
        if contexts not in self._nearest:
            self._nearest[contexts] = list(self._in_nearest(contexts))
        yield from self._nearest[contexts]

    def _in_nearest(self, contexts: Sequence[str]) -> Iterator[Floats]:
        vectorizer, matrix_MV = self._contexts
        queries_NV = vectorizer.transform(contexts)
        count = min(NEIGHBORS, len(self.training))
        for start in range(0, len(contexts), QUERIES_AT_ONCE):
            # not all at once: 1,000 by 300,000 cosines would take more than a gigabyte
            part = queries_NV[start : start + QUERIES_AT_ONCE]
            cosine_QM = (part @ matrix_MV.T).toarray()
            nearest_QK = np.argpartition(-cosine_QM, count - 1, axis=1)[:, :count]
            yield from self.values_M[nearest_QK]

    @cached_property
    def _table(self) -> Mapping[tuple[str, ...], list[float]]:
        """Values by the 1 to 4 words before them, where there are a few."""
        table: dict[tuple[str, ...], list[float]] = defaultdict(list)
        for number in self.training:
            words = words_before(number.before, WORDS)
            for start in range(len(words)):
                table[words[start:]].append(number.value)
        return {words: values for words, values in table.items() if len(values) >= FEWEST}

    @cached_property
    def _contexts(self) -> tuple[Any, Any]:
        """The vectorizer, and the vectors [M, V] of all training contexts."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        options: dict[str, Any] = {"token_pattern": r"\S+", "ngram_range": (1, 2)}
        vectorizer = TfidfVectorizer(sublinear_tf=True, dtype=np.float32, **options)
        contexts = [_context(number) for number in self.training]
        return vectorizer, vectorizer.fit_transform(contexts)


def seen_between(
    asked: Sequence[NumberInText], training: Iterable[NumberInText]
) -> dict[str, list[str]]:
    """What stands most often in the place of each in training text, by the name of the method.

    `words_on_both_sides` looks for the same two words on either side, then for one, then for the
    word before; `most_frequent` is that of the domain. Nothing is said where nothing is known.
    """
    wanted = {key for one in asked for key in _places(one)}
    counts: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for one in training:
        for key in _places(one):
            # of all that stands in training, only what somebody asks for is counted
            if key in wanted:
                counts[key][one.text] += 1
    found: dict[str, list[str]] = {"most_frequent": [], "words_on_both_sides": []}
    for one in asked:
        # the most frequent under each key, nothing where a key was never seen
        seen = [counts[key].most_common(1) for key in _places(one)]
        answers = [best[0][0] if best else "" for best in seen]
        found["most_frequent"].append(answers[-1])
        found["words_on_both_sides"].append(next(filter(None, answers), ""))
    return found


def _context(number: NumberInText) -> str:
    return " ".join(words_before(number.before, CONTEXT_WORDS))


def _places(number: NumberInText) -> list[tuple[Any, ...]]:
    """Keys from the most to the least exact: two words on both sides, one, one before, domain."""
    before = words_before(number.before, 2)
    behind = words_behind(number.after, 2)
    return [(before, behind), (before[-1:], behind[:1]), (before[-1:],), ("", number.domain)]


def quantiles_of(groups: Iterable[Floats], levels: Sequence[float]) -> tuple[Floats, Floats]:
    """Medians [N] and quantiles [N, Q] of the numbers that each of N is expected to be like."""
    # the median first, then the wanted levels
    found_NQ = np.array([np.quantile(values, [0.5, *levels]) for values in groups])
    return found_NQ[:, 0], found_NQ[:, 1:]


def _sketch(values: Floats) -> Floats:
    """Few numbers with the same quantiles."""
    if len(values) <= SKETCH:
        return values
    sketch: Floats = np.quantile(values, np.linspace(0.0, 1.0, SKETCH))
    return sketch
