"""Amounts by rules alone: what models of numbers are compared with."""

from __future__ import annotations

import pytest

from ssl_lib.evaluation.comparison import TaskResult
from ssl_lib.evaluation.losses import toward_best
from ssl_lib.evaluation.statistics import spearman
from ssl_lib.evaluation.unit_table import similarity_of_amounts, with_base_units
from ssl_lib.numbers import amount_similarity
from ssl_lib.synthetic.items import similarity_pairs


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("It is 3 km long.", "It is 3,000 metres long."),
        ("It took 2 hours.", "It took 120 minutes."),
        ("It weighs 5 mg.", "It weighs 0.005 g."),
        ("It is 12% of it.", "It is twelve percent of it."),
    ],
)
def test_one_amount_in_two_units_is_one_amount(first: str, second: str) -> None:
    assert similarity_of_amounts(first, second) == pytest.approx(1.0)
    amounts = [
        [word for word in with_base_units(text).split() if word[0].isdigit()]
        for text in (first, second)
    ]
    assert amounts[0] == amounts[1]


def test_amounts_are_as_alike_as_their_ratio_and_those_of_other_kinds_are_not() -> None:
    assert similarity_of_amounts("3 km", "6,000 m") == pytest.approx(amount_similarity(1, 2))
    assert similarity_of_amounts("3 km", "3 kg") == 0.0
    assert similarity_of_amounts("none", "3 kg") == 0.0
    # of several, the one that differs
    assert similarity_of_amounts("2 km, 5 kg", "2 km, 50 kg") == pytest.approx(
        amount_similarity(5, 50)
    )


def test_the_rules_rank_the_built_in_pairs_almost_as_their_target() -> None:
    pairs = similarity_pairs(300, 0)
    found = [similarity_of_amounts(pair.first, pair.second) for pair in pairs]
    assert spearman([pair.score for pair in pairs], found) > 0.9


def language(after: float, **baselines: float) -> TaskResult:
    ends = (after, after)
    return TaskResult("bits_per_byte", 8.0, after, ends, ends, 9, baselines=baselines)


def test_the_way_from_counts_to_the_best_known() -> None:
    halfway = toward_best(language(1.75, ngram_counts=2.0, ppmd=1.5))
    assert (halfway["share"], halfway["best_method"]) == (0.5, "ppmd")
    assert toward_best(language(1.4, ngram_counts=2.0, ppmd=1.5))["share"] == 1.0
    assert toward_best(language(2.5, ngram_counts=2.0, ppmd=1.5))["share"] == -1.0
    assert toward_best(language(2.5, ngram_counts=2.0, ppmd=2.1))["share"] is None
    assert toward_best(language(2.5)) == {}
