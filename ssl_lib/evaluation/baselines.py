"""Other ways to answer the same items: majority, bag of tokens, TF-IDF, n-gram counts. (char_cnn.py holds the network.)

Nothing here sees a test item before it is asked; whatever is fitted is fitted on the same training items as the
probes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import tiktoken
from numpy.typing import NDArray

from ssl_lib.evaluation.contamination import window_hashes
from ssl_lib.tokens.encodings import encode, special_ids

WINDOW_TOKENS = 6
REGULARISATION = (0.1, 1.0, 10.0)
NGRAM_ORDER = 5
NGRAM_TOKENS = 1_500_000
Label = TypeVar("Label", bound=Hashable)


def majority(training: Sequence[Label]) -> Label:
    """The most frequent training label; of equals, the one first in order."""
    counts = Counter(training)
    return min(counts, key=lambda label: (-counts[label], str(label)))


def tfidf_cosines(
    first: Sequence[str], second: Sequence[str], analyzer: str
) -> NDArray[np.float64]:
    """Cosine [N] of TF-IDF vectors of words (unigrams) or characters (`char_wb`, 2 to 4)."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    ngrams = (2, 4) if analyzer == "char_wb" else (1, 1)
    options: dict[str, Any] = {} if analyzer == "char_wb" else {"token_pattern": r"\w+|[^\w\s]"}
    vectorizer = TfidfVectorizer(
        analyzer=analyzer, ngram_range=ngrams, sublinear_tf=True, **options
    )
    vectorizer.fit(sorted({*first, *second}))
    return _row_products(vectorizer.transform(first), vectorizer.transform(second))


def bag_of_tokens_cosines(
    encoding: tiktoken.Encoding, first: Sequence[str], second: Sequence[str]
) -> NDArray[np.float64]:
    """Cosine [N] of the counts of token ids."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.preprocessing import normalize

    vectorizer = CountVectorizer(analyzer=lambda text: encode(encoding, text))
    vectorizer.fit([*first, *second])
    return _row_products(
        normalize(vectorizer.transform(first)), normalize(vectorizer.transform(second))
    )


def bag_of_tokens_labels(
    windows: dict[str, Sequence[Sequence[Hashable]]], labels: dict[str, NDArray[Any]]
) -> NDArray[Any]:
    """Labels that a logistic regression on TF-IDF bags predicts for the test windows.

    `windows` and `labels` have the keys train, validation and (windows alone) test; the regularisation is chosen on
    validation.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    vectorizer = TfidfVectorizer(analyzer=lambda window: window, sublinear_tf=True)
    train_x = vectorizer.fit_transform(windows["train"])
    validation_x = vectorizer.transform(windows["validation"])
    models = [
        LogisticRegression(C=c, max_iter=200).fit(train_x, labels["train"]) for c in REGULARISATION
    ]
    best = max(models, key=lambda model: model.score(validation_x, labels["validation"]))
    return best.predict(vectorizer.transform(windows["test"]))


class NgramModel(NamedTuple):
    """Counts of token n-grams, interpolated after Witten and Bell (1991); for each order, sorted hashes and what
    belongs to them.
    """

    vocabulary: int
    end: int
    grams: list[NDArray[np.uint64]]  # per order: hash of each distinct n-gram, sorted
    counts: list[NDArray[np.int64]]
    contexts: list[NDArray[np.uint64]]  # per order: hash of each distinct context, sorted
    totals: list[NDArray[np.int64]]  # how often the context occurs
    followers: list[NDArray[np.int64]]  # how many different tokens follow it
    favourites: list[NDArray[np.int64]]  # the token that follows it most often

    def log_probabilities(self, ids: Sequence[int]) -> NDArray[np.float64]:
        """Log probability [T] of each token after those before it, in nats, the first after the end of a document."""
        sequence = np.array([self.end] * (len(self.grams) - 1) + list(ids), dtype=np.int64)
        first = len(self.grams) - 1
        probability_T = np.full(len(ids), 1.0 / self.vocabulary)
        for order in range(1, len(self.grams) + 1):
            start = first - order + 1
            gram_T = window_hashes(sequence[start:], order)
            context_T = window_hashes(sequence[start : len(sequence) - 1], order - 1)
            index_T, known_T = _find(self.contexts[order - 1], context_T)
            gram_index_T, seen_T = _find(self.grams[order - 1], gram_T)
            count_T = np.where(seen_T, self.counts[order - 1][gram_index_T], 0)
            followers_T, total_T = (
                self.followers[order - 1][index_T],
                self.totals[order - 1][index_T],
            )
            mixed_T = (count_T + followers_T * probability_T) / (total_T + followers_T)
            probability_T = np.where(known_T, mixed_T, probability_T)
        return np.log(probability_T)

    def guesses(self, ids: Sequence[int]) -> NDArray[np.int64]:
        """The most frequent follower [T] of the longest known context of each position."""
        sequence = np.array([self.end] * (len(self.grams) - 1) + list(ids), dtype=np.int64)
        guess_T = np.zeros(len(ids), dtype=np.int64)
        for order in range(1, len(self.grams) + 1):
            context_T = window_hashes(
                sequence[len(self.grams) - order : len(sequence) - 1], order - 1
            )
            index_T, known_T = _find(self.contexts[order - 1], context_T)
            guess_T = np.where(known_T, self.favourites[order - 1][index_T], guess_T)
        return guess_T

    def correct(self, encoding: tiktoken.Encoding, text: str) -> NDArray[np.bool_]:
        """Which tokens [T] of the text the counts would have guessed."""
        ids = np.array(encode(encoding, text), dtype=np.int64)
        return self.guesses(ids) == ids

    def log_likelihood(self, encoding: tiktoken.Encoding, prompt: str, continuation: str) -> float:
        """Log likelihood of the continuation after the prompt, in nats."""
        before, after = encode(encoding, prompt), encode(encoding, continuation)
        return float(self.log_probabilities([*before, *after])[len(before) :].sum())


def count_ngrams(
    training: NDArray[np.integer],
    encoding: tiktoken.Encoding,
    order: int = NGRAM_ORDER,
    limit: int = NGRAM_TOKENS,
) -> NgramModel:
    """Count the first `limit` tokens of the training split, which bounds memory; `order` 1 gives a unigram model."""
    tokens = np.asarray(training[:limit], dtype=np.int64)
    end = special_ids(encoding).end
    tables: list[tuple[NDArray[Any], ...]] = [_table(tokens, n) for n in range(1, order + 1)]
    return NgramModel(
        encoding.n_vocab, end, *(list(column) for column in zip(*tables, strict=True))
    )


def _table(tokens: NDArray[np.int64], order: int) -> tuple[NDArray[Any], ...]:
    grams, first, counts = np.unique(
        window_hashes(tokens, order), return_index=True, return_counts=True
    )
    context_of_gram = window_hashes(tokens[: len(tokens) - 1], order - 1)[first]
    follower_of_gram = tokens[first + order - 1]
    by_context = np.lexsort((follower_of_gram, -counts, context_of_gram))
    contexts, starts, followers = np.unique(
        context_of_gram[by_context], return_index=True, return_counts=True
    )
    totals = np.add.reduceat(counts[by_context], starts)
    return grams, counts, contexts, totals, followers, follower_of_gram[by_context][starts]


def _find(
    table: NDArray[np.uint64], wanted: NDArray[np.uint64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    index = np.minimum(np.searchsorted(table, wanted), len(table) - 1)
    return index, table[index] == wanted


def _row_products(first: Any, second: Any) -> NDArray[np.float64]:
    return np.asarray(first.multiply(second).sum(axis=1)).ravel()
