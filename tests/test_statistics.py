"""Laws of the estimates: coverage of the intervals, agreement with scipy, pairing, edges."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from ssl_lib.evaluation.statistics import (
    exact_interval,
    mean_interval,
    paired_means,
    paired_medians,
    paired_ratios,
    paired_spearmans,
    resamples,
    spearman,
    weighted_spearmans,
)


def test_interval_covers_the_true_mean_at_about_its_rate() -> None:
    generator = np.random.default_rng(0)
    covered = 0
    for trial in range(400):
        low, high = mean_interval(
            (generator.random(150) < 0.8).astype(float), samples=400, seed=trial
        )
        covered += low <= 0.8 <= high
    assert 0.91 <= covered / 400 <= 0.98


def test_interval_of_grouped_items_covers_where_the_naive_one_does_not() -> None:
    generator = np.random.default_rng(1)
    grouped = naive = 0
    groups_N = np.repeat(np.arange(60), 5)
    for trial in range(300):
        scores_N = np.repeat(generator.random(60) < 0.7, 5).astype(float)
        low, high = mean_interval(scores_N, 300, trial, groups_N)
        grouped += low <= 0.7 <= high
        low, high = mean_interval(scores_N, 300, trial)
        naive += low <= 0.7 <= high
    assert grouped / 300 >= 0.90
    assert naive / 300 < 0.75


def test_interval_of_the_difference_covers_and_is_narrower_than_unpaired() -> None:
    generator = np.random.default_rng(2)
    covered = 0
    for trial in range(200):
        hard_N = generator.random(200)
        before_N, after_N = (hard_N < 0.5).astype(float), (hard_N < 0.6).astype(float)
        paired = paired_means(before_N, after_N, 300, trial)
        covered += paired.difference_ci95[0] <= 0.1 <= paired.difference_ci95[1]
        assert np.ptp(paired.difference_ci95) < np.ptp(paired.ci95)
    assert covered / 200 >= 0.88


def test_spearman_equals_scipy_with_and_without_ties() -> None:
    generator = np.random.default_rng(3)
    for levels in (3, 10, 10_000):
        first_N, second_N = generator.integers(0, levels, 80), generator.integers(0, levels, 80)
        assert spearman(first_N, second_N) == pytest.approx(
            spearmanr(first_N, second_N).statistic, abs=1e-12
        )


def test_weighted_spearman_equals_scipy_on_the_resampled_items() -> None:
    generator = np.random.default_rng(4)
    first_N, second_N = generator.integers(0, 6, 40), generator.normal(size=40)
    (counts_RN,) = list(resamples(40, 25, seed=0))
    estimates_R = weighted_spearmans(first_N, [second_N], counts_RN)[:, 0]
    for counts_N, estimate in zip(counts_RN.astype(int), estimates_R, strict=True):
        items = np.repeat(np.arange(40), counts_N)
        assert estimate == pytest.approx(
            spearmanr(first_N[items], second_N[items]).statistic, abs=1e-12
        )


def test_spearman_of_a_constant_is_zero_and_of_itself_one() -> None:
    values_N = np.arange(50.0)
    constant = {"constant": np.ones(50)}
    paired = paired_spearmans(values_N, constant, -values_N, samples=100, seed=0)["constant"]
    assert (paired.before, paired.before_ci95) == (0.0, (0.0, 0.0))
    assert paired.after == pytest.approx(-1.0)


def test_resamples_draw_as_many_items_as_there_are_and_repeat_by_seed() -> None:
    blocks = [np.concatenate(list(resamples(30, 50, seed))) for seed in (7, 7, 8)]
    assert blocks[0].shape == (50, 30)
    assert (blocks[0].sum(axis=1) == 30).all()
    assert (blocks[0] == blocks[1]).all()
    assert (blocks[0] != blocks[2]).any()


def test_ratio_of_sums_ignores_rows_without_denominator() -> None:
    paired = paired_ratios([1, 2, 0], [2, 3, 0], [2, 4, 0], samples=100, seed=0)
    assert (paired.before, paired.after) == (0.5, 5 / 6)


def test_perfect_scores_keep_an_honest_lower_bound() -> None:
    paired = paired_means(np.zeros(50), np.ones(50), samples=200, seed=0)
    assert paired.ci95 == exact_interval(50, 50)
    assert 0.92 < paired.ci95[0] < 0.95
    assert paired.before_ci95[0] == 0.0 < paired.before_ci95[1]
    assert 0.85 < paired.difference_ci95[0] < paired.ci95[0] < paired.difference_ci95[1] <= 1.0
    alike = paired_means(np.zeros(50), np.zeros(50), samples=200, seed=0).difference_ci95
    assert alike == (-paired.before_ci95[1], paired.before_ci95[1])


def test_median_over_seeds_is_the_median_and_its_interval_holds_it() -> None:
    errors_SN = np.random.default_rng(5).normal(size=(3, 400)) ** 2 * np.array(
        [[1.0], [4.0], [9.0]]
    )
    paired = paired_medians(errors_SN, errors_SN / 4, samples=300, seed=0, square_root=True)
    assert paired.before == pytest.approx(np.sqrt(errors_SN[1].mean()))
    assert paired.after == pytest.approx(paired.before / 2)
    assert paired.ci95[0] < paired.after < paired.ci95[1]


@pytest.mark.parametrize(
    ("before", "after"), [([], []), ([1.0], [1.0, 2.0]), ([float("nan")], [1.0])]
)
def test_unusable_scores_are_refused(before: list[float], after: list[float]) -> None:
    with pytest.raises(ValueError, match=r"equal length|finite"):
        paired_means(before, after, samples=10, seed=0)
