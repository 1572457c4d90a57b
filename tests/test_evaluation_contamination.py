"""The contamination check finds what was planted, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ssl_lib.evaluation.contamination import NGRAM, Contamination, shared_ngrams, stated

END = 2000


def _shared(texts: Sequence[Sequence[int]], training: np.ndarray, **options: int) -> Contamination:
    return shared_ngrams({"texts": texts}, training, END, **options)["texts"]


def _training(documents: int = 400, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    parts = [
        np.append(generator.integers(0, END, generator.integers(5, 60)), END)
        for _ in range(documents)
    ]
    return np.concatenate(parts).astype(np.uint16)


def test_planted_ngram_is_found_and_nothing_else() -> None:
    training = _training()
    start = next(i for i in range(len(training)) if END not in training[i : i + NGRAM])
    generator = np.random.default_rng(1)
    texts = [list(generator.integers(0, END, 40)) for _ in range(50)]
    texts[7][20 : 20 + NGRAM] = training[start : start + NGRAM].tolist()
    texts[9][20 : 20 + NGRAM - 1] = training[start : start + NGRAM - 1].tolist()
    texts[9][20 + NGRAM - 1] = int(training[start + NGRAM - 1]) ^ 1
    found = _shared(texts, training)
    assert np.flatnonzero(found.flags).tolist() == [7]
    assert (found.contaminated, found.shared, found.texts, found.too_short) == (1, 1, 50, 0)


def test_result_does_not_depend_on_the_block() -> None:
    training = _training()
    whole = [
        [int(t) for t in d] for d in np.split(training, np.flatnonzero(training == END) + 1)[:30]
    ]
    results = [_shared(whole, training, block=block)[:5] for block in (17, 100, 1_000_000)]
    assert results[0] == results[1] == results[2]


def test_every_training_document_is_found_in_training() -> None:
    training = _training()
    documents = [
        d[:-1].tolist() for d in np.split(training, np.flatnonzero(training == END) + 1)[:-1]
    ]
    found = _shared(documents, training)
    long_enough = [len(d) >= NGRAM for d in documents]
    assert found.flags.tolist() == long_enough
    assert found.too_short == long_enough.count(False)
    assert found.shared == found.ngrams


def test_ngrams_across_documents_do_not_count() -> None:
    training = np.array([*range(10), END, *range(10, 20), END], dtype=np.uint16)
    assert _shared([list(range(20)), [*range(10), END, 10, 11, 12]], training).contaminated == 0


def test_order_of_tokens_matters_and_empty_input_is_fine() -> None:
    training = np.array([*range(30), END], dtype=np.uint16)
    assert _shared([list(reversed(range(30)))], training).contaminated == 0
    assert _shared([], training).texts == 0
    assert _shared([[]], training).too_short == 1


def test_groups_are_counted_apart_in_one_pass() -> None:
    training = np.array([*range(40), END], dtype=np.uint16)
    found = shared_ngrams(
        {"clean": [list(range(100, 130))], "both": [list(range(20)), list(range(50, 70))]},
        training,
        END,
    )
    assert found["clean"].contaminated == 0
    assert found["both"].flags.tolist() == [True, False]
    assert found["both"].shared == 20 - NGRAM + 1


def test_statements_are_found_as_whole_sentences_only() -> None:
    documents = [
        "It rains. The sum of 2 and 3 is 5. Fine.",
        "What is 3 minus 2? It is 1. So 12 - 2 = 10.",
    ]
    statements = [
        "The sum of 2 and 3 is 5.",
        "What is 3 minus 2? It is 1.",
        "2 - 2 = 10.",
        "The sum of 2 and 3 is 55.",
    ]
    assert stated(statements, documents).tolist() == [True, True, False, False]
