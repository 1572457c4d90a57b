"""Estimates of two models on the same items, with intervals by paired bootstrap.

A resample draws as many items as there are, with replacement; both models, and every baseline, are
estimated on the same resamples, so that their difference has an interval of its own.

Legend: N items, G groups of items that are drawn together, R resamples, S seeds, K methods.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Interval = tuple[float, float]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

LEVEL = 0.95
CHUNK_CELLS = 4_000_000  # of one block of the resampling matrix: bounds memory at about 32 MB


class Paired(NamedTuple):
    """Two estimates on the same items, their 95% intervals and the interval of after - before."""

    before: float
    after: float
    before_ci95: Interval
    ci95: Interval
    difference_ci95: Interval


def paired_means(
    before_N: ArrayLike,
    after_N: ArrayLike,
    samples: int,
    seed: int,
    groups_N: ArrayLike | None = None,
) -> Paired:
    """Means of two scores of the same items with percentile bootstrap intervals (Efron 1979).

    Items with the same entry in `groups_N` (say, of one document) are resampled together. Where
    every score is 0, or every score 1, resampling says nothing and the interval of Clopper and
    Pearson over the independent items is given instead; if that holds on both sides, the
    difference is that of two independent shares. Raises ValueError for no items or unequal lengths.
    """
    before_N, after_N = _checked(before_N, after_N)
    if groups_N is None:
        groups_N = np.arange(len(before_N))
    # names of groups → 0 … G - 1
    _, group_N = np.unique(np.asarray(groups_N), return_inverse=True)
    # three items of two documents, [0, 0, 1] → [2, 1]
    sizes_G = np.bincount(group_N)
    sizes_G = sizes_G.astype(np.float64)
    before_G = np.bincount(group_N, weights=before_N)
    after_G = np.bincount(group_N, weights=after_N)
    return paired_ratios(before_G, after_G, sizes_G, samples, seed)


def paired_ratios(
    before_G: ArrayLike,
    after_G: ArrayLike,
    denominators_G: ArrayLike,
    samples: int,
    seed: int,
    before_denominators_G: ArrayLike | None = None,
) -> Paired:
    """Ratios of sums, sum(before_G) / sum(denominators_G) and the same for after.

    `before` may have denominators of its own, as the edits that a method proposes. Whole groups are
    resampled; those with denominator 0 are left out. Raises ValueError if nothing is left or a
    denominator is negative.
    """
    before_G, after_G = _checked(before_G, after_G)
    own = denominators_G if before_denominators_G is None else before_denominators_G
    own_G, its_G = _checked(own, denominators_G)
    if (own_G < 0).any() or (its_G < 0).any():
        raise ValueError("denominators must not be negative")
    # [G, 2] above and below the line, before and after side by side
    above_G2 = np.stack([before_G, after_G], axis=1)
    below_G2 = np.stack([own_G, its_G], axis=1)
    kept_G = (below_G2 > 0).all(axis=1)
    above_G2, below_G2 = above_G2[kept_G], below_G2[kept_G]
    if not len(above_G2):
        raise ValueError("no item has a positive denominator")
    before, after = map(float, above_G2.sum(axis=0) / below_G2.sum(axis=0))
    drawn_R4 = _resampled_sums(np.hstack([above_G2, below_G2]), samples, seed)
    before_R, after_R = (drawn_R4[:, :2] / drawn_R4[:, 2:]).T
    first_G, last_G = (above_G2 / below_G2).T
    before_ci95 = _unless_constant(first_G, percentile_interval(before_R))
    ci95 = _unless_constant(last_G, percentile_interval(after_R))
    difference = percentile_interval(after_R - before_R)
    if _is_constant(first_G) and _is_constant(last_G):
        # resampling two constants says nothing
        first = (before, *before_ci95)
        last = (after, *ci95)
        difference = independent_difference(first, last)
    return Paired(before, after, before_ci95, ci95, difference)


def independent_difference(
    first: tuple[float, float, float], other: tuple[float, float, float]
) -> Interval:
    """Interval of other - first, each given as (value, low, high) and taken as independent.

    Each end is as far as the two ends on its way are together (square-and-add: Newcombe 1998,
    method 10; Zou and Donner 2008).
    """
    first_value, first_low, first_high = first
    other_value, other_low, other_high = other
    below = math.hypot(other_value - other_low, first_high - first_value)
    above = math.hypot(other_high - other_value, first_value - first_low)
    value = other_value - first_value
    return value - below, value + above


def paired_medians(
    before_SN: ArrayLike, after_SN: ArrayLike, samples: int, seed: int, square_root: bool = False
) -> Paired:
    """Median over seeds of the mean over each seed's items, which are resampled inside their seed.

    With `square_root` the mean's root is taken first: squared errors give a median RMSE.
    """
    first_SN = np.atleast_2d(before_SN).astype(np.float64)
    last_SN = np.atleast_2d(after_SN).astype(np.float64)
    assert first_SN.shape == last_SN.shape, "both models answer the same items"
    means_2S = np.stack([first_SN.mean(axis=1), last_SN.mean(axis=1)])
    drawn = []
    for s, columns_N2 in enumerate(np.stack([first_SN, last_SN], axis=2)):
        sums_R2 = _resampled_sums(columns_N2, samples, seed + s)
        drawn.append(sums_R2 / len(columns_N2))
    drawn_SR2 = np.stack(drawn)
    if square_root:
        means_2S = np.sqrt(means_2S)
        drawn_SR2 = np.sqrt(drawn_SR2)
    before, after = map(float, np.median(means_2S, axis=1))
    before_R, after_R = np.median(drawn_SR2, axis=0).T
    before_ci95 = percentile_interval(before_R)
    ci95 = percentile_interval(after_R)
    if not square_root:
        before_ci95 = _unless_constant(first_SN.ravel(), before_ci95)
        ci95 = _unless_constant(last_SN.ravel(), ci95)
    difference = percentile_interval(after_R - before_R)
    return Paired(before, after, before_ci95, ci95, difference)


def paired_spearmans(
    gold_N: ArrayLike,
    others: Mapping[str, ArrayLike],
    after_N: ArrayLike,
    samples: int,
    seed: int,
    strata_N: ArrayLike | None = None,
) -> dict[str, Paired]:
    """Spearman correlation with `gold_N` of each of `others` against that of `after_N`.

    All are ranked anew in every resample, the same for all. Where either side is constant (in the
    data or in a resample) there is no order to find, and the correlation counts as 0. With
    `strata_N`, items are ranked and resampled within each stratum, and the correlation is the mean
    of theirs, weighted by how many items they have; raises ValueError for a stratum of one item.
    """
    gold_N, after_N = _checked(gold_N, after_N)
    columns = {name: _checked(scores_N, after_N)[0] for name, scores_N in others.items()}
    # [K, N]: the first row belongs to `after_N`, the others to `others` in their order
    every_KN = np.stack([after_N, *columns.values()])
    if strata_N is None:
        strata_N = np.zeros(len(after_N), dtype=np.int64)
    numbers, stratum_N = np.unique(np.asarray(strata_N), return_inverse=True)
    estimate_K = np.zeros(len(every_KN))
    drawn_RK = np.zeros((samples, len(every_KN)))
    for number in range(len(numbers)):
        here = stratum_N == number
        # 250 of 1,000 pairs stand in this file: its correlation counts a quarter
        share = np.count_nonzero(here) / len(after_N)
        estimates = [spearman(gold_N[here], scores_N[here]) for scores_N in every_KN]
        estimate_K += share * np.array(estimates)
        blocks = []
        # strata of one size are drawn apart from each other
        for counts_RN in resamples(int(here.sum()), samples, seed + number):
            blocks.append(weighted_spearmans(gold_N[here], every_KN[:, here], counts_RN))
        drawn_RK += share * np.concatenate(blocks)
    after_R = drawn_RK[:, 0]
    ci95 = percentile_interval(after_R)
    pairs = {}
    for place, name in enumerate(columns, start=1):
        other_R = drawn_RK[:, place]
        interval = percentile_interval(other_R)
        difference = percentile_interval(after_R - other_R)
        before, after = float(estimate_K[place]), float(estimate_K[0])
        pairs[name] = Paired(before, after, interval, ci95, difference)
    return pairs


def spearman(first_N: ArrayLike, second_N: ArrayLike) -> float:
    """Spearman's rank correlation, ties at their mean rank; 0 where either side is constant.

    Raises ValueError below two items.
    """
    first_N, second_N = _checked(first_N, second_N)
    if len(first_N) < 2:
        raise ValueError("a correlation needs at least two items")
    once_1N = np.ones((1, len(first_N)))
    return float(weighted_spearmans(first_N, [second_N], once_1N)[0, 0])


def pearson(first_N: ArrayLike, second_N: ArrayLike) -> float:
    """Pearson's correlation; 0 where either side is constant."""
    first_N, second_N = _checked(first_N, second_N)
    if not (np.ptp(first_N) and np.ptp(second_N)):
        return 0.0
    return float(np.corrcoef(first_N, second_N)[0, 1])


def weighted_spearmans(
    first_N: ArrayLike, others: Sequence[ArrayLike] | Floats, counts_RN: Floats
) -> Floats:
    """Spearman correlations [R, K] of one list with each of K others, in R resamples.

    A resample is told by how often it holds every item.
    """
    total_R = counts_RN.sum(axis=1)
    first_RN, first_R = _centered_ranks(first_N, counts_RN)
    columns = []
    for other_N in others:
        other_RN, other_R = _centered_ranks(other_N, counts_RN)
        covariance_R = np.einsum("rn,rn,rn->r", counts_RN, first_RN, other_RN)
        scale_R = np.sqrt(first_R * other_R)
        known_R = scale_R > 1e-9 * total_R  # a constant list has no ranks to correlate
        correlation_R = np.zeros_like(covariance_R)
        np.divide(covariance_R, scale_R, out=correlation_R, where=known_R)
        columns.append(correlation_R)
    return np.stack(columns, axis=1)


def resamples(items: int, samples: int, seed: int) -> Iterator[Floats]:
    """Blocks [R, N] that say how often each of N items was drawn; a resample is N draws."""
    generator = np.random.default_rng([seed, items])
    rows = max(1, CHUNK_CELLS // items)
    for start in range(0, samples, rows):
        block = min(rows, samples - start)
        drawn_RN = generator.integers(0, items, size=(block, items))
        # one count over all resamples of the block: resample r counts in the cells from r * N on
        cells_RN = drawn_RN + np.arange(block)[:, None] * items
        cells = cells_RN.ravel()
        counts = np.bincount(cells, minlength=block * items)
        yield counts.reshape(block, items).astype(np.float64)


def percentile_interval(estimates_R: Floats, level: float = LEVEL) -> Interval:
    """The middle `level` of the resampled estimates."""
    ends = ((1 - level) / 2, (1 + level) / 2)
    low, high = np.quantile(estimates_R, ends)
    return float(low), float(high)


def exact_interval(hits: int, trials: int, level: float = LEVEL) -> Interval:
    """Interval of Clopper and Pearson (1934) for `hits` of `trials`."""
    from scipy.stats import beta

    tail = (1 - level) / 2
    misses = trials - hits
    low, high = 0.0, 1.0
    if hits:
        low = float(beta.ppf(tail, hits, misses + 1))
    if misses:
        high = float(beta.ppf(1 - tail, hits + 1, misses))
    return low, high


def mean_interval(
    scores_N: ArrayLike, samples: int, seed: int, groups_N: ArrayLike | None = None
) -> Interval:
    """Percentile interval of one mean, by the same resamples as `paired_means`."""
    return paired_means(scores_N, scores_N, samples, seed, groups_N).ci95


def _resampled_sums(columns_NK: Floats, samples: int, seed: int) -> Floats:
    """Sums [R, K] of K columns over the items that each resample holds."""
    items = len(columns_NK)
    blocks = [counts_RN @ columns_NK for counts_RN in resamples(items, samples, seed)]
    return np.concatenate(blocks)


def _centered_ranks(values_N: ArrayLike, counts_RN: Floats) -> tuple[Floats, Floats]:
    """Ranks less their mean [R, N], and the sum of their squares [R], items as often as drawn."""
    values_N = np.asarray(values_N, dtype=np.float64)
    # items of equal value are a group: [7, 5, 7] → [1, 0, 1]
    _, group_N = np.unique(values_N, return_inverse=True)
    order_N = np.argsort(group_N, kind="stable")
    starts_G = np.flatnonzero(np.diff(group_N[order_N], prepend=-1))
    # how many drawn items each group has, how many stand before it, and so its mean rank
    ordered_RN = counts_RN[:, order_N]
    held_RG = np.add.reduceat(ordered_RN, starts_G, axis=1)
    before_RG = np.cumsum(held_RG, axis=1) - held_RG
    ranks_RG = before_RG + (held_RG + 1) / 2
    ranks_RN = ranks_RG[:, group_N]
    mean_R = np.einsum("rn,rn->r", counts_RN, ranks_RN) / counts_RN.sum(axis=1)
    ranks_RN -= mean_R[:, None]
    return ranks_RN, np.einsum("rn,rn,rn->r", counts_RN, ranks_RN, ranks_RN)


def _is_constant(scores_N: Floats) -> bool:
    """Is every score 0, or every score 1?"""
    first = scores_N[0]
    return first in (0.0, 1.0) and bool((scores_N == first).all())


def _unless_constant(scores_N: Floats, interval: Interval) -> Interval:
    """The interval, or the exact one where every score is 0 or every score 1."""
    if _is_constant(scores_N):
        hits = int(scores_N.sum())
        return exact_interval(hits, len(scores_N))
    return interval


def _checked(first_N: ArrayLike, second_N: ArrayLike) -> tuple[Floats, Floats]:
    """Both lists as float64. Raises ValueError unless they are finite and equally long."""
    first_N = np.asarray(first_N, dtype=np.float64)
    second_N = np.asarray(second_N, dtype=np.float64)
    if first_N.shape != second_N.shape or first_N.ndim != 1 or not len(first_N):
        shapes = f"{first_N.shape} and {second_N.shape}"
        raise ValueError(f"expected two lists of equal length with at least one item, got {shapes}")
    if not (np.isfinite(first_N).all() and np.isfinite(second_N).all()):
        raise ValueError("scores must be finite")
    return first_N, second_N
