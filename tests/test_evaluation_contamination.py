"""The contamination check finds what was planted, and nothing else."""

from __future__ import annotations

import numpy as np

from ssl_lib.evaluation.contamination import NGRAM, shared_ngrams

END = 2000


def _training(documents: int = 400, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    parts = [np.append(generator.integers(0, END, generator.integers(5, 60)), END) for _ in range(documents)]
    return np.concatenate(parts).astype(np.uint16)


def test_planted_ngram_is_found_and_nothing_else() -> None:
    training = _training()
    start = next(i for i in range(len(training)) if END not in training[i : i + NGRAM])
    generator = np.random.default_rng(1)
    texts = [list(generator.integers(0, END, 40)) for _ in range(50)]
    texts[7][20 : 20 + NGRAM] = training[start : start + NGRAM].tolist()
    texts[9][20 : 20 + NGRAM - 1] = training[start : start + NGRAM - 1].tolist()
    texts[9][20 + NGRAM - 1] = int(training[start + NGRAM - 1]) ^ 1
    found = shared_ngrams(texts, training, END)
    assert np.flatnonzero(found.flags).tolist() == [7]
    assert (found.contaminated, found.shared, found.texts, found.too_short) == (1, 1, 50, 0)


def test_result_does_not_depend_on_the_block() -> None:
    training = _training()
    whole = [[int(t) for t in d] for d in np.split(training, np.flatnonzero(training == END) + 1)[:30]]
    results = [shared_ngrams(whole, training, END, block=block)[:5] for block in (17, 100, 1_000_000)]
    assert results[0] == results[1] == results[2]


def test_every_training_document_is_found_in_training() -> None:
    training = _training()
    documents = [d[:-1].tolist() for d in np.split(training, np.flatnonzero(training == END) + 1)[:-1]]
    found = shared_ngrams(documents, training, END)
    long_enough = [len(d) >= NGRAM for d in documents]
    assert found.flags.tolist() == long_enough
    assert found.too_short == long_enough.count(False)
    assert found.shared == found.ngrams


def test_ngrams_across_documents_do_not_count() -> None:
    training = np.array([*range(10), END, *range(10, 20), END], dtype=np.uint16)
    assert shared_ngrams([list(range(20)), [*range(10), END, 10, 11, 12]], training, END).contaminated == 0


def test_order_of_tokens_matters_and_empty_input_is_fine() -> None:
    training = np.array([*range(30), END], dtype=np.uint16)
    assert shared_ngrams([list(reversed(range(30)))], training, END).contaminated == 0
    assert shared_ngrams([], training, END).texts == 0
    assert shared_ngrams([[]], training, END).too_short == 1
