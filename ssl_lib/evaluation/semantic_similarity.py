"""Semantic similarity: does the cosine of two embeddings rank pairs as their graded similarity does? No labels are
used to train.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from ssl_lib.evaluation.baselines import bag_of_tokens_cosines, tfidf_cosines
from ssl_lib.evaluation.protocol import Contest, Judged
from ssl_lib.evaluation.statistics import Floats, TaskResult, paired_spearmans
from ssl_lib.numbers.similarity import amount_similarity
from ssl_lib.synthetic.items import MULTIPLES, SimilarityPair

EXAMPLES = 8
POINTS = 400


class GradedPair(Protocol):
    """Two texts and their graded similarity, on any scale."""

    first: str
    second: str
    score: float


def cosines(model: Judged, pairs: Sequence[GradedPair]) -> NDArray[np.float64]:
    """Cosine [N] of the two embeddings of each pair; every distinct text is embedded once."""
    texts = sorted(
        {text for pair in pairs for text in (pair.first, pair.second)},
        key=lambda text: (len(text), text),
    )
    vectors_ND = np.asarray(model.embed(texts), dtype=np.float64)
    row = {text: number for number, text in enumerate(texts)}
    first_N, second_N = (
        [row[getattr(pair, side)] for pair in pairs] for side in ("first", "second")
    )
    return (vectors_ND[first_N] * vectors_ND[second_N]).sum(axis=1)


def evaluate_pairs(
    contest: Contest, pairs: Sequence[GradedPair], baselines: bool = True
) -> TaskResult:
    """Spearman between cosine and score, before and after, on the same pairs; word and token baselines beside them.

    Raises ValueError below two pairs.
    """
    scores_N = np.array([pair.score for pair in pairs], dtype=np.float64)
    before_N, after_N = cosines(contest.before, pairs), cosines(contest.after, pairs)
    methods = _baselines(contest.after) if baselines else {}
    others = {name: method(pairs) for name, method in methods.items()}
    compared = paired_spearmans(
        scores_N, {"before": before_N, **others}, after_N, contest.bootstrap_samples, contest.seed
    )
    details = {
        "points": _points(scores_N, before_N, after_N),
        "examples": _examples(pairs, scores_N, after_N),
    }
    return compared.pop("before").result("spearman", len(pairs), details, compared)


def multiplied(contest: Contest, sentences: Sequence[tuple[str, ...]]) -> dict[str, Any]:
    """How like each sentence is to itself with its amount times MULTIPLES: mean cosines, and in how many sentences ten
    times the amount is less like it than 3% more. Spearman over changes of at most a factor of eleven tells this badly.
    """
    before_NF, after_NF = (_likeness(model, sentences) for model in (contest.before, contest.after))
    near, far = MULTIPLES.index(1.03), MULTIPLES.index(10.0)
    return {
        "sentences": len(sentences),
        "rows": [
            {
                "factor": factor,
                "graded": amount_similarity(1.0, factor),
                "before": before,
                "after": after,
            }
            for factor, before, after in zip(
                MULTIPLES, before_NF.mean(0).tolist(), after_NF.mean(0).tolist(), strict=True
            )
        ],
        "tenfold_farther": [
            float((each[:, far] < each[:, near]).mean()) for each in (before_NF, after_NF)
        ],
    }


def _likeness(model: Judged, sentences: Sequence[tuple[str, ...]]) -> NDArray[np.float64]:
    """Cosine [N, F] of the first version of each sentence with all of them."""
    grades = [amount_similarity(1.0, multiple) for multiple in MULTIPLES]
    pairs = [
        SimilarityPair(versions[0], text, grade)
        for versions in sentences
        for text, grade in zip(versions, grades, strict=True)
    ]
    return cosines(model, pairs).reshape(len(sentences), len(MULTIPLES))


def _baselines(model: Judged) -> dict[str, Callable[[Sequence[GradedPair]], NDArray[np.float64]]]:
    return {
        "bag_of_tokens": lambda pairs: bag_of_tokens_cosines(model.encoding, *_sides(pairs)),
        "tfidf_words": lambda pairs: tfidf_cosines(*_sides(pairs), analyzer="word"),
        "tfidf_characters": lambda pairs: tfidf_cosines(*_sides(pairs), analyzer="char_wb"),
    }


def _sides(pairs: Sequence[GradedPair]) -> tuple[list[str], list[str]]:
    return [pair.first for pair in pairs], [pair.second for pair in pairs]


def _points(scores_N: Floats, before_N: Floats, after_N: Floats) -> list[list[float]]:
    """Score, cosine before, cosine after: at most POINTS of them for a picture, drawn at random, as kinds of pairs may
    take turns.
    """
    points_N3 = np.stack([scores_N, before_N, after_N], axis=1)
    drawn = np.random.default_rng(0).permutation(len(points_N3))[:POINTS]
    return points_N3[np.sort(drawn)].round(4).tolist()


def _examples(
    pairs: Sequence[GradedPair], scores_N: Floats, after_N: Floats
) -> list[dict[str, Any]]:
    """Pairs whose rank by cosine is nearest to, and farthest from, their rank by score."""
    miss_N = np.abs(rankdata(scores_N) - rankdata(after_N))
    order = miss_N.argsort(kind="stable").tolist()
    return [
        {
            "first": pairs[i].first,
            "second": pairs[i].second,
            "score": float(scores_N[i]),
            "cosine": round(float(after_N[i]), 3),
        }
        for i in [*order[: EXAMPLES // 2], *order[-EXAMPLES // 2 :]]
    ]
