"""Semantic similarity: does the cosine of two embeddings rank pairs as their similarity does?

No labels are used to train. Legend: N pairs or sentences, D width, F factors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from ssl_lib.evaluation.base import (
    Answered,
    Baselines,
    EvaluatedModel,
    EvaluationTask,
    ModelPair,
)
from ssl_lib.evaluation.baselines import bag_of_tokens_cosines, tfidf_cosines
from ssl_lib.evaluation.comparison import Details, Scores
from ssl_lib.evaluation.data import EvaluationData
from ssl_lib.evaluation.readers import ScoredPair
from ssl_lib.evaluation.statistics import Floats, pearson, spearman
from ssl_lib.evaluation.unit_table import similarity_of_amounts, with_base_units
from ssl_lib.numbers import amount_similarity
from ssl_lib.synthetic.items import (
    CHOICE_FAMILIES,
    MULTIPLES,
    SimilarityPair,
    multiplied_sentences,
    similarity_pairs,
)

Pairs = Sequence[SimilarityPair | ScoredPair]

EXAMPLES = 8
POINTS = 400  # of pairs in the picture
APART = 4  # sentences whose amounts are multiplied: a quarter of the pairs


class SentencePairs(EvaluationTask[Pairs, Floats]):
    """Spearman correlation of cosine and target similarity. Raises ValueError below two pairs.

    Of several files it is the mean of their correlations, weighted by their pairs, as the shared
    tasks have it (Agirre et al. 2015, 2016).
    """

    def items(self, data: EvaluationData) -> Pairs:
        """`evaluation.items` pairs about one quantity each."""
        return similarity_pairs(data.settings.items, data.seed, "test")

    def texts(self, items: Pairs) -> list[str]:
        """Both sentences."""
        return [f"{pair.first} {pair.second}" for pair in items]

    def answer(self, model: EvaluatedModel, items: Pairs) -> Floats:
        """Cosines [N]."""
        return cosines(model, items)

    def score(self, items: Pairs, answers: Floats) -> Scores:
        """The cosines themselves, beside the target similarities."""
        targets_N = np.array([pair.score for pair in items], dtype=np.float64)
        return Scores(answers, targets=targets_N, strata=file_numbers(items))

    def baselines(self, data: EvaluationData, items: Pairs) -> Baselines[Floats]:
        """Cosines of counts of tokens, and of TF-IDF vectors of words and of characters."""
        if not data.with_baselines:
            return {}
        first = [pair.first for pair in items]
        second = [pair.second for pair in items]
        counted = bag_of_tokens_cosines(data.encoding, first, second)
        words = tfidf_cosines(first, second, analyzer="word")
        characters = tfidf_cosines(first, second, analyzer="char_wb")
        return {"bag_of_tokens": counted, "tfidf_words": words, "tfidf_characters": characters}

    def details(self, asked: Answered[Pairs, Floats]) -> Details:
        """Points for a picture, and examples.

        A point is target, cosine before, cosine after; they are drawn at random, as kinds of pairs
        may take turns.
        """
        before_N = asked.answers["before"]
        after_N = asked.answers["after"]
        targets_N = np.array([pair.score for pair in asked.items], dtype=np.float64)
        points_N3 = np.stack([targets_N, before_N, after_N], axis=1)
        # always the same points, whatever the seed of the run
        order_N = np.random.default_rng(0).permutation(len(points_N3))
        drawn = np.sort(order_N[:POINTS])
        # pairs whose rank by cosine is nearest to their rank by target, then those farthest from it
        miss_N = np.abs(rankdata(targets_N) - rankdata(after_N))
        order = miss_N.argsort(kind="stable").tolist()
        few = EXAMPLES // 2
        examples = []
        for place in [*order[:few], *order[-few:]]:
            pair = asked.items[place]
            row = {"first": pair.first, "second": pair.second, "score": float(pair.score)}
            row["cosine"] = round(float(after_N[place]), 3)
            examples.append(row)
        found: Details = {"points": points_N3[drawn].round(4).tolist(), "examples": examples}
        return found | by_file(asked)


class SemanticSimilarity(SentencePairs):
    """Sentences that differ in template, unit, written form, or in one amount."""

    def baselines(self, data: EvaluationData, items: Pairs) -> Baselines[Floats]:
        """Beside the others, the number finder with a table of units: no model, no training."""
        found = dict(super().baselines(data, items))
        if data.with_baselines:
            known = [similarity_of_amounts(pair.first, pair.second) for pair in items]
            found["number_finder_and_units"] = np.array(known)
        return found

    def helped(
        self, twin: EvaluatedModel, data: EvaluationData, items: Pairs
    ) -> Mapping[str, Floats]:
        """The twin's cosines of the same sentences with their amounts in base units."""
        if not data.with_baselines:
            return {}
        rewritten = [
            SimilarityPair(with_base_units(pair.first), with_base_units(pair.second), pair.score)
            for pair in items
        ]
        return {"twin_and_units": cosines(twin, rewritten)}

    def details(self, asked: Answered[Pairs, Floats]) -> Details:
        """Beside the others, sentences with their amount multiplied."""
        few = max(len(CHOICE_FAMILIES), asked.data.settings.items // APART)
        sentences = multiplied_sentences(few, asked.data.seed, "test")
        found = super().details(asked)
        found["multiplied"] = multiplied(asked.pair, sentences)
        return found


def file_numbers(pairs: Pairs) -> NDArray[np.int64] | None:
    """Which file [N] each pair stands in; None where it is one, or none."""
    names = [pair.file if isinstance(pair, ScoredPair) else "" for pair in pairs]
    numbers: NDArray[np.int64] = np.unique(names, return_inverse=True)[1]
    return numbers if numbers.any() else None


def by_file(asked: Answered[Pairs, Floats]) -> Details:
    """Of pairs that people scored: Pearson's correlation, which the shared tasks rank systems by.

    Of several files it is their weighted mean too, and `files` has each file's results.
    """
    if not isinstance(asked.items[0], ScoredPair):
        return {}
    names_N = np.array([cast(ScoredPair, pair).file for pair in asked.items])
    targets_N = np.array([pair.score for pair in asked.items], dtype=np.float64)
    # {"STS.input.news.txt": {"n": 250, "before": 0.4, "after": 0.5, "pearson": {…}}}
    whole = {"before": 0.0, "after": 0.0}
    rows: Details = {}
    for name in sorted(set(names_N.tolist())):
        here = names_N == name
        rows[name] = {"n": int(here.sum()), "pearson": {}}
        for who in whole:
            cosines_N = asked.answers[who][here]
            linear = pearson(targets_N[here], cosines_N)
            rows[name][who] = spearman(targets_N[here], cosines_N)
            rows[name]["pearson"][who] = linear
            whole[who] += linear * here.mean()
    return {"pearson": whole} | ({"files": rows} if len(rows) > 1 else {})


def cosines(model: EvaluatedModel, pairs: Pairs) -> Floats:
    """Cosine [N] of the two embeddings of each pair; every distinct text is embedded once."""
    distinct = {text for pair in pairs for text in (pair.first, pair.second)}
    texts = sorted(distinct, key=lambda text: (len(text), text))
    # unit vectors: their product is the cosine
    vectors_ND = np.asarray(model.embed(texts), dtype=np.float64)
    place = {text: number for number, text in enumerate(texts)}
    first_ND = vectors_ND[[place[pair.first] for pair in pairs]]
    second_ND = vectors_ND[[place[pair.second] for pair in pairs]]
    cosines_N: Floats = np.sum(first_ND * second_ND, axis=1)
    return cosines_N


def multiplied(pair: ModelPair, sentences: Sequence[tuple[str, ...]]) -> Details:
    """How similar each sentence is to itself with its amount times MULTIPLES.

    Mean cosines, and in how many sentences ten times the amount is less similar than 3% more.
    Spearman over changes of at most a factor of eleven says this badly.
    """
    near = MULTIPLES.index(1.03)
    far = MULTIPLES.index(10.0)
    # each sentence with all its versions, the first of which is itself
    pairs = []
    for versions in sentences:
        for text, factor in zip(versions, MULTIPLES, strict=True):
            target = amount_similarity(1.0, factor)
            pairs.append(SimilarityPair(versions[0], text, target))
    shape = (len(sentences), len(MULTIPLES))
    columns = []
    farther = []
    for model in (pair.before, pair.after):
        cosines_NF = cosines(model, pairs).reshape(shape)
        columns.append(cosines_NF.mean(axis=0).tolist())
        apart_N = cosines_NF[:, far] < cosines_NF[:, near]
        farther.append(float(apart_N.mean()))
    rows = []
    for factor, before, after in zip(MULTIPLES, *columns, strict=True):
        row = {"factor": factor, "graded": amount_similarity(1.0, factor)}
        rows.append(row | {"before": before, "after": after})
    return {"sentences": len(sentences), "rows": rows, "tenfold_farther": farther}
