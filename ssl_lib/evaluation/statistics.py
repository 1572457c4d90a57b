"""Estimates with honest uncertainty: paired bootstrap over items, rank correlation, and the one result type of all
tasks.

Legend: N items (rows that are resampled together), G groups of items, R resamples, S seeds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Interval = tuple[float, float]
Floats = NDArray[np.float64]

LEVEL = 0.95
CHUNK_CELLS = 4_000_000  # cells of one block of the resampling matrix: bounds memory at about 32 MB


@dataclass(frozen=True)
class TaskResult:
    """One figure before and after training, with its uncertainty.

    `ci95` belongs to `after`, `before_ci95` to `before`, `difference_ci95` to after - before on the same resampled
    items. `n` counts items; `baselines` are other methods on the same items, with their intervals in `baselines_ci95`
    and those of after - baseline in `over_baselines_ci95`; `details` holds all that a page or a test may show.
    """

    metric: str
    before: float
    after: float
    ci95: Interval
    before_ci95: Interval
    n: int
    details: dict[str, Any] = field(default_factory=dict)
    baselines: dict[str, float] = field(default_factory=dict)
    baselines_ci95: dict[str, Interval] = field(default_factory=dict)
    over_baselines_ci95: dict[str, Interval] = field(default_factory=dict)
    difference_ci95: Interval = (float("nan"), float("nan"))
    higher_is_better: bool = True

    def summary(self) -> dict[str, Any]:
        """Everything but the details, ready for JSON."""
        values = asdict(self)
        del values["details"]
        return values


def lower_is_better(result: TaskResult) -> TaskResult:
    """The same result, marked as one of which less is better."""
    return replace(result, higher_is_better=False)


class Paired(NamedTuple):
    """Two estimates on the same items, their 95% intervals and the interval of after - before."""

    before: float
    after: float
    before_ci95: Interval
    ci95: Interval
    difference_ci95: Interval

    def result(
        self, metric: str, n: int, details: dict[str, Any], baselines: Mapping[str, Paired | float]
    ) -> TaskResult:
        """The estimates as a TaskResult, higher being better.

        A baseline is either a figure known without asking, or a pair whose `before` is the baseline and whose `after`
        is the trained model on the same items.
        """
        pairs = {name: one for name, one in baselines.items() if isinstance(one, Paired)}
        return TaskResult(
            metric, self.before, self.after, self.ci95, self.before_ci95, n, details,
            baselines={name: one.before if isinstance(one, Paired) else one for name, one in baselines.items()},
            baselines_ci95={name: one.before_ci95 for name, one in pairs.items()},
            over_baselines_ci95={name: one.difference_ci95 for name, one in pairs.items()},
            difference_ci95=self.difference_ci95,
        )  # fmt: skip


def paired_means(
    before_N: ArrayLike,
    after_N: ArrayLike,
    samples: int,
    seed: int,
    groups_N: ArrayLike | None = None,
) -> Paired:
    """Means of two scores of the same items with percentile bootstrap intervals (Efron 1979).

    Items with the same entry in `groups_N` (say, of one document) are resampled together. Where every score is 0,
    or every score 1, resampling says nothing and the interval of Clopper and Pearson over the independent items is
    given instead, and if that holds on both sides, the difference is that of two independent shares.
    Raises ValueError for no items or unequal lengths.
    """
    before_N, after_N = _checked(before_N, after_N)
    groups_N = np.arange(len(before_N)) if groups_N is None else np.asarray(groups_N)
    _, group_N = np.unique(groups_N, return_inverse=True)
    sizes_G = np.bincount(group_N).astype(np.float64)
    sums_G2 = np.stack(
        [np.bincount(group_N, weights=scores) for scores in (before_N, after_N)], axis=1
    )
    return paired_ratios(sums_G2[:, 0], sums_G2[:, 1], sizes_G, samples, seed)


def paired_ratios(
    before_G: ArrayLike, after_G: ArrayLike, denominators_G: ArrayLike, samples: int, seed: int
) -> Paired:
    """Ratios of sums, sum(before_G) / sum(denominators_G) and the same for after, resampling whole rows.

    Rows with denominator 0 are left out. Raises ValueError if nothing is left or a denominator is negative.
    """
    before_G, after_G = _checked(before_G, after_G)
    denominators_G = np.asarray(denominators_G, dtype=np.float64)
    if (denominators_G < 0).any():
        raise ValueError("denominators must not be negative")
    kept_G = denominators_G > 0
    columns_G3 = np.stack([before_G, after_G, denominators_G], axis=1)[kept_G]
    if not len(columns_G3):
        raise ValueError("no item has a positive denominator")
    drawn_R3 = np.concatenate(
        [counts_RG @ columns_G3 for counts_RG in resamples(len(columns_G3), samples, seed)]
    )
    estimates_R2 = drawn_R3[:, :2] / drawn_R3[:, 2:]
    total_3 = columns_G3.sum(axis=0)
    before, after = float(total_3[0] / total_3[2]), float(total_3[1] / total_3[2])
    intervals = [
        _unless_constant(
            columns_G3[:, i] / columns_G3[:, 2], percentile_interval(estimates_R2[:, i])
        )
        for i in (0, 1)
    ]
    shares_G2 = columns_G3[:, :2] / columns_G3[:, 2:]
    difference = percentile_interval(estimates_R2[:, 1] - estimates_R2[:, 0])
    if all(
        _is_constant(column_G) for column_G in shares_G2.T
    ):  # resampling two constants says nothing
        difference = independent_difference((before, *intervals[0]), (after, *intervals[1]))
    return Paired(before, after, *intervals, difference)


def independent_difference(
    first: tuple[float, float, float], other: tuple[float, float, float]
) -> Interval:
    """Interval of other - first, each given as (value, low, high) and taken as independent.

    Each end is as far as the two ends on its way are together (square-and-add: Newcombe 1998, method 10; Zou and Donner
    2008).
    """
    value = other[0] - first[0]
    below = math.hypot(other[0] - other[1], first[2] - first[0])
    above = math.hypot(other[2] - other[0], first[0] - first[1])
    return value - below, value + above


def paired_medians(
    before_SN: ArrayLike, after_SN: ArrayLike, samples: int, seed: int, square_root: bool = False
) -> Paired:
    """Median over seeds of the mean over each seed's items, [S, N]; items are resampled inside each seed.

    With `square_root` the mean's root is taken first, so that squared errors give a median RMSE.
    """
    before_SN, after_SN = (
        np.atleast_2d(before_SN).astype(np.float64),
        np.atleast_2d(after_SN).astype(np.float64),
    )
    assert before_SN.shape == after_SN.shape, "both models answer the same items"
    columns_SN2 = np.stack([before_SN, after_SN], axis=2)
    drawn_RS2 = np.stack(
        [_resampled_means(c_N2, samples, seed + s) for s, c_N2 in enumerate(columns_SN2)], axis=1
    )
    means_S2 = np.stack([before_SN.mean(axis=1), after_SN.mean(axis=1)], axis=1)
    if square_root:
        drawn_RS2, means_S2 = np.sqrt(drawn_RS2), np.sqrt(means_S2)
    drawn_R2, (before, after) = np.median(drawn_RS2, axis=1), np.median(means_S2, axis=0)
    before_ci95, ci95 = percentile_interval(drawn_R2[:, 0]), percentile_interval(drawn_R2[:, 1])
    if not square_root:
        before_ci95 = _unless_constant(before_SN.ravel(), before_ci95)
        ci95 = _unless_constant(after_SN.ravel(), ci95)
    return Paired(
        float(before),
        float(after),
        before_ci95,
        ci95,
        percentile_interval(drawn_R2[:, 1] - drawn_R2[:, 0]),
    )


def paired_spearman(
    gold_N: ArrayLike, before_N: ArrayLike, after_N: ArrayLike, samples: int, seed: int
) -> Paired:
    """Spearman correlation of two predictions with `gold_N`, ranked anew in every resample of the items.

    Where either side is constant (in the data or in a resample) there is no order to find, and the correlation
    counts as 0.
    """
    return paired_spearmans(gold_N, {"before": before_N}, after_N, samples, seed)["before"]


def paired_spearmans(
    gold_N: ArrayLike, others: Mapping[str, ArrayLike], after_N: ArrayLike, samples: int, seed: int
) -> dict[str, Paired]:
    """`paired_spearman` of each of `others` against `after_N`, all on the same resamples."""
    columns = {name: _checked(scores_N, after_N)[0] for name, scores_N in others.items()}
    gold_N, after_N = _checked(gold_N, after_N)
    blocks = [
        weighted_spearmans(gold_N, [after_N, *columns.values()], counts_RN)
        for counts_RN in resamples(len(after_N), samples, seed)
    ]
    drawn_RK, after = np.concatenate(blocks), spearman(gold_N, after_N)
    ci95 = percentile_interval(drawn_RK[:, 0])
    return {
        name: Paired(
            spearman(gold_N, scores_N), after, percentile_interval(drawn_RK[:, k]), ci95,
            percentile_interval(drawn_RK[:, 0] - drawn_RK[:, k]),
        )
        for k, (name, scores_N) in enumerate(columns.items(), start=1)
    }  # fmt: skip


def spearman(first_N: ArrayLike, second_N: ArrayLike) -> float:
    """Spearman's rank correlation, ties at their mean rank; 0 where either side is constant.

    Raises ValueError below two items.
    """
    first_N, second_N = _checked(first_N, second_N)
    if len(first_N) < 2:
        raise ValueError("a correlation needs at least two items")
    return float(weighted_spearman(first_N, second_N, np.ones((1, len(first_N))))[0])


def weighted_spearman(first_N: ArrayLike, second_N: ArrayLike, counts_RN: Floats) -> Floats:
    """Spearman correlations [R] of R resamples, each told by how often it holds every item."""
    return weighted_spearmans(first_N, [second_N], counts_RN)[:, 0]


def weighted_spearmans(
    first_N: ArrayLike, others: Sequence[ArrayLike], counts_RN: Floats
) -> Floats:
    """Spearman correlations [R, K] of one list with each of K others, in R resamples."""
    total_R = counts_RN.sum(axis=1)
    first_RN, first_R = _centred_ranks(first_N, counts_RN)
    columns = []
    for other_N in others:
        other_RN, other_R = _centred_ranks(other_N, counts_RN)
        covariance_R, scale_R = (
            np.einsum("rn,rn,rn->r", counts_RN, first_RN, other_RN),
            np.sqrt(first_R * other_R),
        )
        known_R = scale_R > 1e-9 * total_R
        columns.append(
            np.divide(covariance_R, scale_R, out=np.zeros_like(covariance_R), where=known_R)
        )
    return np.stack(columns, axis=1)


def resamples(items: int, samples: int, seed: int) -> Iterator[Floats]:
    """Blocks [R, N] that say how often each of N items was drawn; N draws with replacement in each row."""
    generator = np.random.default_rng([seed, items])
    rows = max(1, CHUNK_CELLS // items)
    for start in range(0, samples, rows):
        block = min(rows, samples - start)
        drawn_RN = (
            generator.integers(0, items, size=(block, items)) + np.arange(block)[:, None] * items
        )
        yield (
            np.bincount(drawn_RN.ravel(), minlength=block * items)
            .reshape(block, items)
            .astype(np.float64)
        )


def percentile_interval(estimates_R: Floats, level: float = LEVEL) -> Interval:
    """The middle `level` of the resampled estimates."""
    low, high = np.quantile(estimates_R, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def exact_interval(hits: int, trials: int, level: float = LEVEL) -> Interval:
    """Interval of Clopper and Pearson (1934) for `hits` of `trials`."""
    from scipy.stats import beta

    tail = (1 - level) / 2
    low = float(beta.ppf(tail, hits, trials - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, trials - hits)) if hits < trials else 1.0
    return low, high


def mean_interval(
    scores_N: ArrayLike, samples: int, seed: int, groups_N: ArrayLike | None = None
) -> Interval:
    """Percentile interval of one mean, by the same resamples as `paired_means`."""
    return paired_means(scores_N, scores_N, samples, seed, groups_N).ci95


def _resampled_means(columns_N2: Floats, samples: int, seed: int) -> Floats:
    blocks = [counts_RN @ columns_N2 for counts_RN in resamples(len(columns_N2), samples, seed)]
    return np.concatenate(blocks) / len(columns_N2)


def _centred_ranks(values_N: ArrayLike, counts_RN: Floats) -> tuple[Floats, Floats]:
    """Ranks less their mean [R, N], and the sum of their squares [R], each item as often as it was drawn."""
    ranks_RN = _weighted_ranks(np.asarray(values_N, dtype=np.float64), counts_RN)
    ranks_RN -= (np.einsum("rn,rn->r", counts_RN, ranks_RN) / counts_RN.sum(axis=1))[:, None]
    return ranks_RN, np.einsum("rn,rn,rn->r", counts_RN, ranks_RN, ranks_RN)


def _weighted_ranks(values_N: Floats, counts_RN: Floats) -> Floats:
    _, group_N = np.unique(values_N, return_inverse=True)
    order_N = np.argsort(group_N, kind="stable")
    starts_G = np.flatnonzero(np.diff(group_N[order_N], prepend=-1))
    held_RG = np.add.reduceat(counts_RN[:, order_N], starts_G, axis=1)
    ranks_RG = np.cumsum(held_RG, axis=1) - held_RG + (held_RG + 1) / 2
    return ranks_RG[:, group_N]


def _is_constant(scores_N: Floats) -> bool:
    """Is every score 0, or every score 1?"""
    return bool((scores_N == scores_N[0]).all() and scores_N[0] in (0.0, 1.0))


def _unless_constant(scores_N: Floats, interval: Interval) -> Interval:
    if _is_constant(scores_N):
        return exact_interval(int(scores_N.sum()), len(scores_N))
    return interval


def _checked(first_N: ArrayLike, second_N: ArrayLike) -> tuple[Floats, Floats]:
    first_N, second_N = (
        np.asarray(first_N, dtype=np.float64),
        np.asarray(second_N, dtype=np.float64),
    )
    if first_N.shape != second_N.shape or first_N.ndim != 1 or not len(first_N):
        shapes = f"{first_N.shape} and {second_N.shape}"
        raise ValueError(f"expected two lists of equal length with at least one item, got {shapes}")
    if not (np.isfinite(first_N).all() and np.isfinite(second_N).all()):
        raise ValueError("scores must be finite")
    return first_N, second_N
