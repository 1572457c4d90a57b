"""Baselines: counts of n-grams are a probability; the others know what they should."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
import tiktoken

from ssl_lib.evaluation.baselines import (
    bag_of_tokens_cosines,
    bag_of_tokens_labels,
    count_ngrams,
    evenly,
    majority,
    tfidf_cosines,
)
from ssl_lib.evaluation.char_cnn import char_cnn_labels
from ssl_lib.tokens.encodings import encode, train_encoding
from ssl_lib.tokens.vocabulary import special_ids

TEXTS = [f"The sum of {a} and {b} is {a + b}." for a in range(12) for b in range(12)]


@pytest.fixture(scope="module")
def encoding() -> tiktoken.Encoding:
    return train_encoding(TEXTS, 300, "single")


def _training(encoding: tiktoken.Encoding) -> np.ndarray:
    end = special_ids(encoding).end
    return np.array(
        [token for text in TEXTS for token in [*encode(encoding, text), end]], dtype=np.uint16
    )


def _slow_probability(
    tokens: list[int], context: list[int], token: int, vocabulary: int, order: int
) -> float:
    """Witten-Bell by its definition, from Python counters."""
    probability = 1.0 / vocabulary
    for n in range(1, order + 1):
        counts: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        for i in range(len(tokens) - n + 1):
            counts[tuple(tokens[i : i + n - 1])][tokens[i + n - 1]] += 1
        here = counts.get(tuple(context[len(context) - n + 1 :]))
        if here:
            kinds = len(here)
            probability = (here[token] + kinds * probability) / (sum(here.values()) + kinds)
    return probability


def test_ngram_probabilities_equal_the_slow_definition(encoding: tiktoken.Encoding) -> None:
    training, end = _training(encoding), special_ids(encoding).end
    model = count_ngrams(training, encoding, order=3)
    ids = encode(encoding, "The sum of 3 and 50 is zzz")
    fast = model.log_probabilities(ids)
    sequence = [end, end, *ids]
    slow = [
        math.log(
            _slow_probability(training.tolist(), sequence[: i + 2], ids[i], encoding.n_vocab, 3)
        )
        for i in range(len(ids))
    ]
    assert fast == pytest.approx(slow, rel=1e-9)


def test_ngram_probabilities_of_all_followers_sum_to_one(encoding: tiktoken.Encoding) -> None:
    model = count_ngrams(_training(encoding), encoding, order=4)
    prompt = encode(encoding, "The sum of 3")
    following = [model.log_probabilities([*prompt, token])[-1] for token in range(encoding.n_vocab)]
    assert np.exp(following).sum() == pytest.approx(1.0, abs=1e-9)


def test_ngram_guess_is_the_most_frequent_follower(encoding: tiktoken.Encoding) -> None:
    model, text = count_ngrams(_training(encoding), encoding), "The sum of 3 and 5 is 8."
    ids = encode(encoding, text)
    correct = model.guesses(ids) == np.array(ids)
    assert correct[:2].all()
    assert len(correct) == len(ids)
    (predicted,) = model.next_token_ranks([text])
    assert predicted.correct.tolist() == correct[1:].tolist()
    assert predicted.nll == pytest.approx(-model.log_probabilities(ids)[1:])
    rest = [text[start:end] for start, end in predicted.spans]
    assert "".join(rest) == text[predicted.spans[0, 0] :]
    nothing = encode(encoding, "zzz")
    unigrams = count_ngrams(_training(encoding), encoding, order=1)
    assert not (unigrams.guesses(nothing) == np.array(nothing)).any()


def test_likelihood_of_a_continuation_is_that_of_its_tokens(encoding: tiktoken.Encoding) -> None:
    model = count_ngrams(_training(encoding), encoding)
    ids, start = encode(encoding, "The sum of 3 and 5 is 8."), len(encode(encoding, "The sum of"))
    (nats,) = model.log_likelihoods(["The sum of"], [" 3 and 5 is 8."])
    assert nats == pytest.approx(model.log_probabilities(ids)[start:].sum())


def test_majority_is_the_most_frequent_training_label_and_of_equals_the_first() -> None:
    assert majority(["a", "b", "b"]) == "b"
    assert majority(["b", "a"]) == "a"


def test_cosines_of_equal_and_of_disjoint_texts(encoding: tiktoken.Encoding) -> None:
    first, second = ["one two", "one two", ""], ["one two", "zz qq", "a"]
    for values in (
        tfidf_cosines(first, second, "word"),
        tfidf_cosines(first, second, "char_wb"),
        bag_of_tokens_cosines(encoding, first, second),
    ):
        assert values[0] == pytest.approx(1.0)
        assert values[1] < 0.5
        assert values[2] == 0.0


def _items(count: int, seed: int) -> tuple[list[tuple[str, int, int]], np.ndarray]:
    generator = np.random.default_rng(seed)
    items, labels = [], []
    for number in generator.integers(0, 100, count).tolist():
        money = bool(generator.integers(0, 2))
        text = f"It cost ${number} then." if money else f"It took {number} men then."
        start = text.index(str(number))
        items.append((text, start, start + len(str(number))))
        labels.append("money" if money else "count")
    return items, np.array(labels)


def test_supervised_baselines_learn_what_stands_beside_the_number() -> None:
    parts = {"train": _items(200, 0), "validation": _items(40, 1), "test": _items(100, 2)}
    labels = {name: part[1] for name, part in parts.items()}
    cnn = char_cnn_labels({name: part[0] for name, part in parts.items()}, labels, seed=0)
    windows = {
        name: [text[:start].split() for text, start, _ in part[0]] for name, part in parts.items()
    }
    assert (cnn == labels["test"]).mean() > 0.95
    assert (bag_of_tokens_labels(windows, labels) == labels["test"]).mean() == 1.0


def test_tokens_are_counted_evenly_from_first_to_last() -> None:
    tokens = np.arange(100_000)
    assert evenly(tokens, 200_000).tolist() == tokens.tolist()
    found = evenly(tokens, 10_000, block=500)
    assert len(found) == 10_000
    assert (np.diff(found) >= 1).all()
    assert (found[0], found[-1]) == (0, 99_999)
    # no tenth of the tokens is left out
    assert np.bincount(found // 10_000).min() >= 500
