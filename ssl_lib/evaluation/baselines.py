"""Other ways to answer the same items: majority, bag of tokens, TF-IDF, counts of n-grams.

Nothing here sees a test item before it is asked; whatever is fitted is fitted on the same training
items as the probes. char_cnn.py holds a supervised network.

Legend: N items, T tokens of a text, W windows of tokens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, TypeVar

import numpy as np
import tiktoken
from numpy.typing import NDArray

from ssl_lib.batches.datasets import token_spans
from ssl_lib.evaluation.contamination import window_hashes
from ssl_lib.evaluation.statistics import Floats, Integers
from ssl_lib.predictions import cut_at
from ssl_lib.tokens.encodings import encode
from ssl_lib.tokens.vocabulary import special_ids

Hashes = NDArray[np.uint64]
Options = dict[str, Any]

WINDOW_TOKENS = 6
REGULARIZATION = (0.1, 1.0, 10.0)
NGRAM_ORDER = 5
NGRAM_TOKENS = 1_500_000
Label = TypeVar("Label", bound=Hashable)


def majority(training: Sequence[Label]) -> Label:
    """The most frequent training label; of equals, the one first in order."""
    counts = Counter(training)
    # `max` keeps the first of equals
    ordered = sorted(counts, key=str)
    return max(ordered, key=lambda label: counts[label])


def tfidf_cosines(first: Sequence[str], second: Sequence[str], analyzer: str) -> Floats:
    """Cosine [N] of TF-IDF vectors of words (unigrams) or characters (`char_wb`, 2 to 4)."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    options: Options = {"ngram_range": (2, 4)}
    if analyzer == "word":
        options = {"token_pattern": r"\w+|[^\w\s]"}
    vectorizer = TfidfVectorizer(analyzer=analyzer, sublinear_tf=True, **options)
    # a pair's own texts weigh the words: no corpus is needed
    texts = {*first, *second}
    vectorizer.fit(sorted(texts))
    first_bags = vectorizer.transform(first)
    second_bags = vectorizer.transform(second)
    return _dot_products(first_bags, second_bags)


def bag_of_tokens_cosines(
    encoding: tiktoken.Encoding, first: Sequence[str], second: Sequence[str]
) -> Floats:
    """Cosine [N] of the counts of token ids."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.preprocessing import normalize

    vectorizer = CountVectorizer(analyzer=lambda text: encode(encoding, text))
    vectorizer.fit([*first, *second])
    first_bags = vectorizer.transform(first)
    second_bags = vectorizer.transform(second)
    first_unit = normalize(first_bags)
    second_unit = normalize(second_bags)
    return _dot_products(first_unit, second_unit)


def one_thread() -> AbstractContextManager[Any]:
    """For fitting probes: of matrices this narrow, several threads make a tenth of the speed."""
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[Any] = threadpool_limits(1, "blas")
    return limits


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
        with one_thread():
            model.fit(train_x, labels["train"])
        models.append(model)
    scores = [model.score(validation_x, labels["validation"]) for model in models]
    best_place = int(np.argmax(scores))
    best = models[best_place]
    test_x = vectorizer.transform(windows["test"])
    predicted: NDArray[Any] = best.predict(test_x)
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
        probability_T = np.full(len(ids), 1.0 / self.encoding.n_vocab)
        for order, tokens in enumerate(self._lookbacks(ids)):
            # what the shorter contexts say is mixed in as often as new tokens follow this one
            context_T = window_hashes(tokens[:-1], order)
            contexts = self.contexts[order]
            index_T, known_T = _find(contexts, context_T)
            gram_T = window_hashes(tokens, order + 1)
            place_T, seen_T = _find(self.grams[order], gram_T)
            # an n-gram that was never counted has the place of another one
            count_T = self.counts[order][place_T]
            count_T = np.where(seen_T, count_T, 0)
            followers_T = self.followers[order][index_T]
            total_T = self.totals[order][index_T]
            weighted_T = count_T + followers_T * probability_T
            weights_T = total_T + followers_T
            mixed_T = weighted_T / weights_T
            probability_T = np.where(known_T, mixed_T, probability_T)
        nats_T: Floats = np.log(probability_T)
        return nats_T

    def guesses(self, ids: Sequence[int]) -> Integers:
        """The most frequent follower [T] of the longest known context of each position."""
        guess_T = np.zeros(len(ids), dtype=np.int64)
        for order, tokens in enumerate(self._lookbacks(ids)):
            context_T = window_hashes(tokens[:-1], order)
            index_T, known_T = _find(self.contexts[order], context_T)
            follower_T = self.favorites[order][index_T]
            guess_T = np.where(known_T, follower_T, guess_T)
        return guess_T

    def next_token_ranks(self, texts: Sequence[str]) -> list[CountedPredictions]:
        """Each token but the first predicted from those before it."""
        found = []
        for text in texts:
            ids = encode(self.encoding, text)
            correct_T = np.equal(self.guesses(ids), ids)
            nll_T = -self.log_probabilities(ids)
            spans = token_spans(self.encoding, text, ids)
            # models predict all tokens but the first
            rest = slice(1, None)
            found.append(CountedPredictions(correct_T[rest], nll_T[rest], spans[rest]))
        return found

    def generate(self, prompts: Sequence[str], max_tokens: int = 16, stop: str = ".") -> list[str]:
        """What follows each prompt by the most frequent followers, up to and without `stop`."""
        reach = len(self.grams)
        found = []
        for prompt in prompts:
            ids = encode(self.encoding, prompt)
            end = len(ids)
            for _ in range(max_tokens):
                # the guess for a token that nobody has seen yet, from those before it
                ids.append(int(self.guesses([*ids[-reach:], 0])[-1]))
            behind = self.encoding.decode_bytes(ids[end:])
            found.append(cut_at(behind.decode("utf-8", "replace"), stop))
        return found

    def log_likelihoods(self, prompts: Sequence[str], continuations: Sequence[str]) -> Floats:
        """Log likelihood of each continuation after its prompt, in nats, [N]."""
        found = []
        for prompt, continuation in zip(prompts, continuations, strict=True):
            before = encode(self.encoding, prompt)
            after = encode(self.encoding, continuation)
            nats_T = self.log_probabilities(before + after)
            start = len(before)
            # the prompt's own tokens say nothing about the continuation
            continuation_T = nats_T[start:]
            found.append(continuation_T.sum())
        return np.array(found, dtype=np.float64)

    def _lookbacks(self, ids: Sequence[int]) -> Iterator[Integers]:
        """The ids after 0, 1, 2 … ends of a document: the context of the first at each order."""
        end = special_ids(self.encoding).end
        for order in range(len(self.grams)):
            yield np.array([end] * order + list(ids), dtype=np.int64)


def count_ngrams(
    training: NDArray[np.integer[Any]],
    encoding: tiktoken.Encoding,
    order: int = NGRAM_ORDER,
    limit: int = NGRAM_TOKENS,
) -> NgramModel:
    """Count `limit` tokens, evenly from all of the training split; `order` 1 gives a unigram model.

    The limit bounds memory.
    """
    tokens = evenly(training, limit)
    model = NgramModel(encoding, [], [], [], [], [], [])
    for length in range(1, order + 1):
        hashes_W = window_hashes(tokens, length)
        grams, first, counts = np.unique(hashes_W, return_index=True, return_counts=True)
        model.grams.append(grams)
        model.counts.append(counts)
        # the context of an n-gram is all but its last token, which follows it
        contexts_W = window_hashes(tokens[:-1], length - 1)
        context_of_gram = contexts_W[first]
        follower_of_gram = tokens[first + length - 1]
        # by context, its most frequent follower first
        ordered = np.lexsort((follower_of_gram, -counts, context_of_gram))
        grouped = context_of_gram[ordered]
        contexts, starts, followers = np.unique(grouped, return_index=True, return_counts=True)
        totals = np.add.reduceat(counts[ordered], starts)
        model.contexts.append(contexts)
        model.totals.append(totals)
        model.followers.append(followers)
        followers_in_order = follower_of_gram[ordered]
        most_frequent = followers_in_order[starts]
        model.favorites.append(most_frequent)
    return model


def evenly(training: NDArray[np.integer[Any]], limit: int, block: int = 1 << 14) -> Integers:
    """At most `limit` of the tokens: all, or blocks with gaps of one length between them.

    Sources follow each other in a training split: its beginning would be the first of them alone.
    """
    if len(training) <= limit:
        return np.asarray(training, dtype=np.int64)
    blocks = max(1, limit // block)
    starts = np.linspace(0, len(training) - block, blocks).astype(np.int64)
    parts = [np.asarray(training[start : start + block], dtype=np.int64) for start in starts]
    return np.concatenate(parts)


def _find(table: Hashes, wanted: Hashes) -> tuple[Integers, NDArray[np.bool_]]:
    """Where each wanted hash stands in a sorted table, and whether it does."""
    index = np.searchsorted(table, wanted)
    # what is larger than all would stand behind the last one
    index = np.minimum(index, len(table) - 1)
    return index, table[index] == wanted


def _dot_products(first: Any, second: Any) -> Floats:
    """Products of the rows of two sparse matrices, [N]."""
    products = first.multiply(second)
    sums = products.sum(axis=1)
    return np.asarray(sums).ravel()
