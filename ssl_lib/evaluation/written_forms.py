"""The same fact in another written form, found among the corpus's own held-out sentences.

A sentence has one of its numbers written in another way: 1,000 as 1000, 1 thousand or one thousand,
12% as twelve percent. Its vector should be nearest to that of the sentence as it stands: among the
same sentence with other amounts (accuracy), and among all sentences (mean reciprocal rank).

Legend: N sentences, K variants of each, D width.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ssl_lib.evaluation.base import Answered, Baselines, EvaluatedModel
from ssl_lib.evaluation.comparison import Details, Scores
from ssl_lib.evaluation.data import EvaluationData
from ssl_lib.evaluation.number_prediction import spread
from ssl_lib.evaluation.own_text import OwnTextTask, held_out_documents
from ssl_lib.evaluation.sentences import sentences_of
from ssl_lib.evaluation.statistics import Floats
from ssl_lib.evaluation.unit_table import with_base_units
from ssl_lib.numbers import Number, equivalent_forms, find_numbers

Amounts = dict[tuple[str, str], list[tuple[str, float]]]  # text and value by form and locale

VARIANTS = 7
MOST = 300  # sentences: each is embedded nine times


class Rewritten(NamedTuple):
    """A sentence, the same with a number in another form, and the same with other amounts [K]."""

    sentence: str
    query: str
    variants: tuple[str, ...]
    owner: int
    locale: str


class Cosines(NamedTuple):
    """Of each query with its sentence and variants, [N, 1 + K], and with all sentences, [N, N]."""

    variants: Floats
    sentences: Floats


class WrittenForms(OwnTextTask[list[Rewritten], Cosines]):
    """The share of sentences that are nearest among the same with other amounts."""

    def items(self, data: EvaluationData) -> list[Rewritten]:
        """One number of each sentence that has one, evenly from the held-out documents."""
        amounts = amounts_of(data)
        # a sentence that stands twice would be its own rival
        random = np.random.default_rng(data.seed)
        found = []
        for owner, document in enumerate(held_out_documents(data)):
            locale = document.locale or data.locale
            for sentence in dict.fromkeys(sentences_of(document.text)):
                item = _rewritten(sentence, owner, amounts, random, locale)
                if item is not None:
                    found.append(item)
        most = min(MOST, data.settings.items)
        return [found[place] for place in spread(len(found), most, data.seed)]

    def answer(self, model: EvaluatedModel, items: list[Rewritten]) -> Cosines:
        """Cosines of the model's vectors."""
        vectors_ND = model.embed([item.query for item in items])
        sentences_ND = model.embed([item.sentence for item in items])
        flat = [variant for item in items for variant in item.variants]
        variants_NKD = model.embed(flat).reshape(len(items), VARIANTS, -1)
        all_NN: Floats = (vectors_ND @ sentences_ND.T).astype(np.float64)
        own_N1 = np.diag(all_NN)[:, None]
        variants_NK = np.einsum("nd,nkd->nk", vectors_ND, variants_NKD)
        return Cosines(np.hstack([own_N1, variants_NK]), all_NN)

    def score(self, items: list[Rewritten], answers: Cosines) -> Scores:
        """1 where the sentence is nearer than all variants, a share where it is one of several."""
        # ties share the credit: a model that sees no numbers gets 1 / (1 + K)
        best_N1 = answers.variants.max(axis=1, keepdims=True)
        first_NK = answers.variants >= best_N1 - 1e-7
        credits = first_NK[:, 0] / first_NK.sum(axis=1)
        return Scores(credits, groups=_owners(items))

    def baselines(self, data: EvaluationData, items: list[Rewritten]) -> Baselines[Cosines]:
        """TF-IDF of words: as they stand, with values for numbers, with amounts in base units."""
        return {
            "chance": 1.0 / (1 + VARIANTS),
            "tfidf_words": _tfidf(items, lambda text, locale: text),
            "tfidf_and_values": _tfidf(items, _with_values),
            "tfidf_and_units": _tfidf(items, with_base_units),
        }

    def details(self, asked: Answered[list[Rewritten], Cosines]) -> Details:
        """The mean reciprocal rank among all sentences, of every method, and first examples."""
        ranks = {name: reciprocal_ranks(given) for name, given in asked.answers.items()}
        owners = _owners(asked.items)
        scores = {name: Scores(rank_N, groups=owners) for name, rank_N in ranks.items()}
        # before and the baselines, each against the trained model
        last = scores.pop("after")
        pairs = asked.pair.resampling.all_paired(scores, last)
        found: Details = {"mean_reciprocal_rank": pairs.pop("before")._asdict()}
        found["baselines"] = {name: pair.before for name, pair in pairs.items()}
        shown = asked.items[:6]
        found["examples"] = [{"sentence": one.sentence, "query": one.query} for one in shown]
        return found


def amounts_of(data: EvaluationData) -> Amounts:
    """Training numbers by written form and locale."""
    amounts: Amounts = defaultdict(list)
    for number in data.training_numbers:
        amounts[number.form, number.locale].append((number.text, number.value))
    return amounts


def _rewritten(
    sentence: str, owner: int, amounts: Amounts, random: np.random.Generator, locale: str
) -> Rewritten | None:
    """The first number of the sentence that has another form and enough others of its form."""
    for number in find_numbers(sentence, locale):
        forms = other_forms(number, locale)
        known = amounts[number.form, locale]
        if not forms or not known:
            continue
        # more than are needed, as some may be equal
        drawn = [known[place] for place in random.integers(len(known), size=8 * VARIANTS)]
        others = {text: None for text, value in drawn if value != number.value}
        if len(others) >= VARIANTS:
            form = forms[int(random.integers(len(forms)))]
            chosen = list(others)[:VARIANTS]
            variants = tuple(put(sentence, number, text) for text in chosen)
            return Rewritten(sentence, put(sentence, number, form), variants, owner, locale)
    return None


def other_forms(number: Number, locale: str) -> list[str]:
    """Other ways to write a number that are read as the same value."""
    forms = equivalent_forms(number.text, number.value, number.form)
    # 2,000 is another amount where commas are decimal ones
    return [form for form in forms if _value(form, locale) == number.value]


def _value(text: str, locale: str) -> float | None:
    """The value of a text that is one number."""
    values = [number.value for number in find_numbers(text, locale)]
    return values[0] if len(values) == 1 else None


def put(sentence: str, number: Number, text: str) -> str:
    """The sentence with another text in place of its number."""
    return sentence[: number.start] + text + sentence[number.end :]


def _owners(items: Sequence[Rewritten]) -> np.ndarray:
    return np.array([item.owner for item in items])


def reciprocal_ranks(answers: Cosines) -> Floats:
    """1 / rank of each query's own sentence among all sentences [N]; ties count against it."""
    own_N1 = np.diag(answers.sentences)[:, None]
    # its own sentence counts itself: the best rank is 1
    rank_N = (answers.sentences >= own_N1 - 1e-7).sum(axis=1)
    ranks: Floats = 1.0 / rank_N
    return ranks


def _with_values(text: str, locale: str) -> str:
    """A text with a word for the value of each number: "1,000 km" → "value1000.0 km"."""
    parts = []
    done = 0
    for number in find_numbers(text, locale):
        parts += [text[done : number.start], f" value{number.value!r} "]
        done = number.end
    return "".join([*parts, text[done:]])


def _tfidf(items: Sequence[Rewritten], prepared: Callable[[str, str], str]) -> Cosines:
    """Cosines of TF-IDF vectors of words and signs; the sentences weigh the words."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(token_pattern=r"[\w.]+|[^\w\s]", sublinear_tf=True)
    sentences = [prepared(item.sentence, item.locale) for item in items]
    sentences_NV = vectorizer.fit_transform(sentences)
    queries_NV = vectorizer.transform([prepared(item.query, item.locale) for item in items])
    flat = [prepared(variant, item.locale) for item in items for variant in item.variants]
    variants_MV = vectorizer.transform(flat)
    all_NN = (queries_NV @ sentences_NV.T).toarray()
    # each query once for each of its variants
    repeated_MV = queries_NV[np.repeat(np.arange(len(items)), VARIANTS)]
    products_M = np.asarray(repeated_MV.multiply(variants_MV).sum(axis=1)).ravel()
    own_N1 = np.diag(all_NN)[:, None]
    return Cosines(np.hstack([own_N1, products_M.reshape(-1, VARIANTS)]), all_NN)
