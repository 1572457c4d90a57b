"""Semantic similarity: does the cosine of two embeddings rank pairs as their similarity does?

No labels are used to train. Legend: N pairs or sentences, D width, F factors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from scipy.stats import rankdata

from ssl_lib.evaluation.base import EvaluatedModel, EvaluationTask, ModelPair
from ssl_lib.evaluation.baselines import bag_of_tokens_cosines, tfidf_cosines
from ssl_lib.evaluation.comparison import Scores
from ssl_lib.evaluation.data import EvaluationData
from ssl_lib.evaluation.statistics import Floats
from ssl_lib.numbers import amount_similarity
from ssl_lib.synthetic.items import (
    CHOICE_FAMILIES,
    MULTIPLES,
    SimilarityPair,
    multiplied_sentences,
    similarity_pairs,
)

EXAMPLES = 8
POINTS = 400  # of pairs in the picture
APART = 4  # sentences whose amounts are multiplied: a quarter of the pairs


class ScoredSentences(Protocol):
    """Two texts and their target similarity, on any scale."""

    @property
    def first(self) -> str:
        """One text."""

    @property
    def second(self) -> str:
        """The other."""

    @property
    def score(self) -> float:
        """How similar they are."""


class SentencePairs(EvaluationTask[Sequence[ScoredSentences], Floats]):
    """Spearman correlation of cosine and target similarity. Raises ValueError below two pairs."""

    def items(self, data: EvaluationData) -> Sequence[ScoredSentences]:
        """`evaluation.items` pairs about one quantity each."""
        return similarity_pairs(data.settings.items, data.seed, "test")

    def texts(self, items: Sequence[ScoredSentences]) -> list[str]:
        """Both sentences."""
        return [f"{pair.first} {pair.second}" for pair in items]

    def answer(self, model: EvaluatedModel, items: Sequence[ScoredSentences]) -> Floats:
        """Cosines [N]."""
        return cosines(model, items)

    def score(self, items: Sequence[ScoredSentences], answers: Floats) -> Scores:
        """The cosines themselves, beside the target similarities."""
        return Scores(answers, targets=np.array([pair.score for pair in items], dtype=np.float64))

    def baselines(
        self, data: EvaluationData, items: Sequence[ScoredSentences]
    ) -> Mapping[str, Floats | float]:
        """Cosines of counts of tokens, and of TF-IDF vectors of words and of characters."""
        if not data.with_baselines:
            return {}
        sides = [pair.first for pair in items], [pair.second for pair in items]
        return {
            "bag_of_tokens": bag_of_tokens_cosines(data.encoding, *sides),
            "tfidf_words": tfidf_cosines(*sides, analyzer="word"),
            "tfidf_characters": tfidf_cosines(*sides, analyzer="char_wb"),
        }

    def details(
        self,
        pair: ModelPair,
        data: EvaluationData,
        items: Sequence[ScoredSentences],
        answers: Mapping[str, Floats],
    ) -> dict[str, Any]:
        """Points for a picture, and examples.

        A point is target, cosine before, cosine after; they are drawn at random, as kinds of pairs
        may take turns.
        """
        after_N = answers["after"]
        targets_N = np.array([pair.score for pair in items], dtype=np.float64)
        points_N3 = np.stack([targets_N, answers["before"], after_N], axis=1)
        drawn = np.random.default_rng(0).permutation(len(points_N3))[:POINTS]
        # pairs whose rank by cosine is nearest to their rank by target, then those farthest from it
        miss_N = np.abs(rankdata(targets_N) - rankdata(after_N))
        order = miss_N.argsort(kind="stable").tolist()
        examples = []
        for place in [*order[: EXAMPLES // 2], *order[-EXAMPLES // 2 :]]:
            row = {"first": items[place].first, "second": items[place].second}
            cosine = round(float(after_N[place]), 3)
            examples.append(row | {"score": float(targets_N[place]), "cosine": cosine})
        return {"points": points_N3[np.sort(drawn)].round(4).tolist(), "examples": examples}


class SemanticSimilarity(SentencePairs):
    """Sentences that differ in template, unit, written form, or in one amount."""

    def details(
        self,
        pair: ModelPair,
        data: EvaluationData,
        items: Sequence[ScoredSentences],
        answers: Mapping[str, Floats],
    ) -> dict[str, Any]:
        """Beside the others, sentences with their amount multiplied."""
        few = max(len(CHOICE_FAMILIES), data.settings.items // APART)
        sentences = multiplied_sentences(few, data.seed, "test")
        found = super().details(pair, data, items, answers)
        return found | {"multiplied": multiplied(pair, sentences)}


def cosines(model: EvaluatedModel, pairs: Sequence[ScoredSentences]) -> Floats:
    """Cosine [N] of the two embeddings of each pair; every distinct text is embedded once."""
    distinct = {text for pair in pairs for text in (pair.first, pair.second)}
    texts = sorted(distinct, key=lambda text: (len(text), text))
    vectors_ND = np.asarray(model.embed(texts), dtype=np.float64)
    place = {text: number for number, text in enumerate(texts)}
    first_N = [place[pair.first] for pair in pairs]
    second_N = [place[pair.second] for pair in pairs]
    cosines_N: Floats = np.sum(vectors_ND[first_N] * vectors_ND[second_N], axis=1)
    return cosines_N


def multiplied(pair: ModelPair, sentences: Sequence[tuple[str, ...]]) -> dict[str, Any]:
    """How similar each sentence is to itself with its amount times MULTIPLES.

    Mean cosines, and in how many sentences ten times the amount is less similar than 3% more.
    Spearman over changes of at most a factor of eleven says this badly.
    """
    targets = [amount_similarity(1.0, factor) for factor in MULTIPLES]
    pairs = [
        SimilarityPair(versions[0], text, target)
        for versions in sentences
        for text, target in zip(versions, targets, strict=True)
    ]
    shape = (len(sentences), len(MULTIPLES))
    before_NF = cosines(pair.before, pairs).reshape(shape)
    after_NF = cosines(pair.after, pairs).reshape(shape)
    means = zip(before_NF.mean(0).tolist(), after_NF.mean(0).tolist(), strict=True)
    rows = [
        {"factor": factor, "graded": target, "before": before, "after": after}
        for factor, target, (before, after) in zip(MULTIPLES, targets, means, strict=True)
    ]
    near, far = MULTIPLES.index(1.03), MULTIPLES.index(10.0)
    farther = [float((each[:, far] < each[:, near]).mean()) for each in (before_NF, after_NF)]
    return {"sentences": len(sentences), "rows": rows, "tenfold_farther": farther}
