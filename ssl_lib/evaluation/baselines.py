"""Other ways to answer the same items: majority, bag of tokens, TF-IDF, counts of n-grams.

Nothing here sees a test item before it is asked; whatever is fitted is fitted on the same training
items as the probes. char_cnn.py holds a supervised network.

Legend: N items, T tokens of a text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import tiktoken
from numpy.typing import NDArray

from ssl_lib.batches.datasets import token_spans
from ssl_lib.evaluation.contamination import window_hashes
from ssl_lib.evaluation.statistics import Floats
from ssl_lib.tokens.encodings import encode
from ssl_lib.tokens.vocabulary import special_ids

Hashes = NDArray[np.uint64]
Integers = NDArray[np.int64]

WINDOW_TOKENS = 6
REGULARIZATION = (0.1, 1.0, 10.0)
NGRAM_ORDER = 5
NGRAM_TOKENS = 1_500_000
Label = TypeVar("Label", bound=Hashable)


def majority(training: Sequence[Label]) -> Label:
    """The most frequent training label; of equals, the one first in order."""
    counts = Counter(training)
    return min(counts, key=lambda label: (-counts[label], str(label)))


def tfidf_cosines(first: Sequence[str], second: Sequence[str], analyzer: str) -> Floats:
    """Cosine [N] of TF-IDF vectors of words (unigrams) or characters (`char_wb`, 2 to 4)."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    options: dict[str, Any] = {"ngram_range": (2, 4)}
    if analyzer == "word":
        options = {"token_pattern": r"\w+|[^\w\s]"}
    vectorizer = TfidfVectorizer(analyzer=analyzer, sublinear_tf=True, **options)
    vectorizer.fit(sorted({*first, *second}))
    return _dot_products(vectorizer.transform(first), vectorizer.transform(second))


def bag_of_tokens_cosines(
    encoding: tiktoken.Encoding, first: Sequence[str], second: Sequence[str]
) -> Floats:
    """Cosine [N] of the counts of token ids."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.preprocessing import normalize

    vectorizer = CountVectorizer(analyzer=lambda text: encode(encoding, text))
    vectorizer.fit([*first, *second])
    bags = (normalize(vectorizer.transform(texts)) for texts in (first, second))
    return _dot_products(*bags)


def bag_of_tokens_labels(
    windows: Mapping[str, Sequence[Sequence[Hashable]]], labels: Mapping[str, NDArray[Any]]
) -> NDArray[Any]:
    """Labels that a logistic regression on TF-IDF bags predicts for the test windows.

    `windows` and `labels` have the keys train, validation and (windows alone) test; the
    regularization is chosen on validation.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    vectorizer = TfidfVectorizer(analyzer=lambda window: window, sublinear_tf=True)
    train_x = vectorizer.fit_transform(windows["train"])
    validation_x = vectorizer.transform(windows["validation"])
    models = []
    for strength in REGULARIZATION:
        model = LogisticRegression(C=strength, max_iter=200)
        models.append(model.fit(train_x, labels["train"]))
    best = max(models, key=lambda model: model.score(validation_x, labels["validation"]))
    predicted: NDArray[Any] = best.predict(vectorizer.transform(windows["test"]))
    return predicted


class CountedPredictions(NamedTuple):
    """What counts predict of a text, as a model does: `correct`, `nll` and `spans` of T tokens."""

    correct: NDArray[np.bool_]
    nll: Floats
    spans: Integers


class NgramModel(NamedTuple):
    """Counts of token n-grams, interpolated after Witten and Bell (1991).

    For each order there are sorted hashes, and what belongs to them.
    """

    encoding: tiktoken.Encoding
    grams: list[Hashes]  # hash of each distinct n-gram, sorted
    counts: list[Integers]
    contexts: list[Hashes]  # hash of each distinct context, sorted
    totals: list[Integers]  # how often the context occurs
    followers: list[Integers]  # how many different tokens follow it
    favorites: list[Integers]  # the token that follows it most often

    def log_probabilities(self, ids: Sequence[int]) -> Floats:
        """Log probability [T] of each token after those before it, in nats.

        The first stands after the end of a document.
        """
        sequence = self._padded(ids)
        first = len(self.grams) - 1
        probability_T = np.full(len(ids), 1.0 / self.encoding.n_vocab)
        for order, known in enumerate(self.contexts):
            # order 0 has an empty context; order n looks back n tokens
            start = first - order
            index_T, known_T = _find(known, window_hashes(sequence[start:-1], order))
            place_T, seen_T = _find(self.grams[order], window_hashes(sequence[start:], order + 1))
            count_T = np.where(seen_T, self.counts[order][place_T], 0)
            followers_T, total_T = self.followers[order][index_T], self.totals[order][index_T]
            mixed_T = (count_T + followers_T * probability_T) / (total_T + followers_T)
            probability_T = np.where(known_T, mixed_T, probability_T)
        nats_T: Floats = np.log(probability_T)
        return nats_T

    def guesses(self, ids: Sequence[int]) -> Integers:
        """The most frequent follower [T] of the longest known context of each position."""
        sequence = self._padded(ids)
        guess_T = np.zeros(len(ids), dtype=np.int64)
        for order, known in enumerate(self.contexts):
            start = len(self.grams) - 1 - order
            index_T, known_T = _find(known, window_hashes(sequence[start:-1], order))
            guess_T = np.where(known_T, self.favorites[order][index_T], guess_T)
        return guess_T

    def next_token_ranks(self, texts: Sequence[str]) -> list[CountedPredictions]:
        """Each token but the first predicted from those before it."""
        found = []
        for text in texts:
            ids = encode(self.encoding, text)
            correct_T = self.guesses(ids) == np.array(ids, dtype=np.int64)
            spans = token_spans(self.encoding, text, ids)
            nll_T = -self.log_probabilities(ids)
            found.append(CountedPredictions(correct_T[1:], nll_T[1:], spans[1:]))
        return found

    def log_likelihoods(self, prompts: Sequence[str], continuations: Sequence[str]) -> Floats:
        """Log likelihood of each continuation after its prompt, in nats, [N]."""
        found = []
        for prompt, continuation in zip(prompts, continuations, strict=True):
            before, after = encode(self.encoding, prompt), encode(self.encoding, continuation)
            found.append(self.log_probabilities([*before, *after])[len(before) :].sum())
        return np.array(found, dtype=np.float64)

    def _padded(self, ids: Sequence[int]) -> Integers:
        """The ids after as many ends of a document as the longest context has tokens."""
        ends = [special_ids(self.encoding).end] * (len(self.grams) - 1)
        return np.array([*ends, *ids], dtype=np.int64)


def count_ngrams(
    training: NDArray[np.integer[Any]],
    encoding: tiktoken.Encoding,
    order: int = NGRAM_ORDER,
    limit: int = NGRAM_TOKENS,
) -> NgramModel:
    """Count the first `limit` tokens of the training split; `order` 1 gives a unigram model.

    The limit bounds memory.
    """
    tokens = np.asarray(training[:limit], dtype=np.int64)
    model = NgramModel(encoding, [], [], [], [], [], [])
    for length in range(1, order + 1):
        hashes = window_hashes(tokens, length)
        grams, first, counts = np.unique(hashes, return_index=True, return_counts=True)
        context_of_gram = window_hashes(tokens[: len(tokens) - 1], length - 1)[first]
        follower_of_gram = tokens[first + length - 1]
        # by context, its most frequent follower first
        ordered = np.lexsort((follower_of_gram, -counts, context_of_gram))
        contexts, starts, followers = np.unique(
            context_of_gram[ordered], return_index=True, return_counts=True
        )
        model.grams.append(grams)
        model.counts.append(counts)
        model.contexts.append(contexts)
        model.totals.append(np.add.reduceat(counts[ordered], starts))
        model.followers.append(followers)
        model.favorites.append(follower_of_gram[ordered][starts])
    return model


def _find(table: Hashes, wanted: Hashes) -> tuple[Integers, NDArray[np.bool_]]:
    """Where each wanted hash stands in a sorted table, and whether it does."""
    index = np.minimum(np.searchsorted(table, wanted), len(table) - 1)
    return index, table[index] == wanted


def _dot_products(first: Any, second: Any) -> Floats:
    """Products of the rows of two sparse matrices, [N]."""
    return np.asarray(first.multiply(second).sum(axis=1)).ravel()
