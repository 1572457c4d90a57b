"""The one place that compares: before, after and baselines on the same items, with intervals.

A task gives one value for each item (`Scores`), of each model and of each baseline. What comes out
is a `TaskResult`, whose keys are those of `metrics/evaluation.json`.

Legend: N items, S seeds.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssl_lib.evaluation.statistics import (
    Floats,
    Interval,
    Paired,
    paired_means,
    paired_medians,
    paired_ratios,
    paired_spearmans,
)
from ssl_lib.evaluation.tasks import Task
from ssl_lib.files import write_atomically

Details = dict[str, Any]  # a part of a file of results
SCORES_ARRAYS = ("values", "groups", "denominators", "targets")


@dataclass(frozen=True)
class Scores:
    """One value for each of N items, and how the values make one estimate.

    Without more, their mean; items with the same entry in `groups` are resampled together. With
    `denominators`, the ratio of the two sums. With `targets`, the rank correlation with them; with
    `strata` too, the mean of those within each stratum, weighted by its items. With
    values [S, N] of S seeds, the median of the seeds' means, or of the `square_root` of the means.
    `count` is what the result calls n, where it is not the number of values.
    """

    values: NDArray[Any]
    groups: NDArray[np.int64] | None = None
    denominators: NDArray[Any] | None = None
    targets: Floats | None = None
    strata: NDArray[np.int64] | None = None
    square_root: bool = False
    count: int | None = None

    def pairs_with(self, other: Scores) -> bool:
        """Whether both hold the same items, as far as their values can tell."""
        if self.values.shape != other.values.shape:
            return False
        for name in ("groups", "denominators", "targets"):
            own, its = getattr(self, name), getattr(other, name)
            if (own is None) != (its is None) or (own is not None and not np.array_equal(own, its)):
                return False
        return True


@dataclass(frozen=True)
class TaskResult:
    """One metric before and after training, with its uncertainty.

    `ci95` belongs to `after`, `before_ci95` to `before`, `difference_ci95` to after - before on the
    same resampled items. `n` counts items; `baselines` are other methods on the same items, with
    their intervals in `baselines_ci95` and those of after - baseline in `over_baselines_ci95`;
    `details` holds all that a page or a test may show, `scores` the trained model's values.
    """

    metric: str
    before: float
    after: float
    ci95: Interval
    before_ci95: Interval
    n: int
    details: Details = field(default_factory=dict)
    baselines: dict[str, float] = field(default_factory=dict)
    baselines_ci95: dict[str, Interval] = field(default_factory=dict)
    over_baselines_ci95: dict[str, Interval] = field(default_factory=dict)
    difference_ci95: Interval = (float("nan"), float("nan"))
    higher_is_better: bool = True
    scores: Scores | None = None

    def summary(self) -> Details:
        """Everything but details and scores, ready for JSON."""
        values = asdict(replace(self, details={}, scores=None))
        del values["details"], values["scores"]
        return values


class Resampling(NamedTuple):
    """How often items are drawn anew, and from which seed: the same for all that is compared."""

    samples: int
    seed: int

    def paired(self, before: Scores, after: Scores) -> Paired:
        """Both estimates, their intervals and the interval of the difference."""
        return self.all_paired({"before": before}, after)["before"]

    def all_paired(self, others: Mapping[str, Scores], after: Scores) -> dict[str, Paired]:
        """Each of `others` as `before`, with the same `after`."""
        if after.targets is not None:
            # ranks are found anew in each resample, for all methods together
            columns = {name: one.values for name, one in others.items()}
            return paired_spearmans(
                after.targets, columns, after.values, *self, strata_N=after.strata
            )
        pairs = {}
        for name, one in others.items():
            both = (one.values, after.values)
            # how the trained model's values make an estimate, those of all others do
            if after.denominators is not None:
                pairs[name] = paired_ratios(*both, after.denominators, *self)
            elif after.values.ndim == 2:
                pairs[name] = paired_medians(*both, *self, square_root=after.square_root)
            else:
                pairs[name] = paired_means(*both, *self, groups_N=after.groups)
        return pairs


def estimate(scores: Scores) -> float:
    """The one estimate of a single model, the same as in a comparison."""
    return Resampling(samples=1, seed=0).paired(scores, scores).after


def compare(
    task: Task,
    scores: Mapping[str, Scores | float],
    resampling: Resampling,
    details: Details | None = None,
) -> TaskResult:
    """`scores` has the keys `before`, `after`, and the names of baselines.

    A baseline may be a value that is known without asking, such as chance; it has no interval.
    Raises ValueError where there is nothing to compare.
    """
    # chance and the like were not asked anything
    asked = {name: one for name, one in scores.items() if isinstance(one, Scores)}
    after = asked.pop("after")
    pairs = resampling.all_paired(asked, after)
    main = pairs.pop("before")
    baselines: dict[str, float] = {}
    for name, one in scores.items():
        if isinstance(one, float):
            baselines[name] = one
        elif name in pairs:
            baselines[name] = pairs[name].before
    return TaskResult(
        metric=task.metric,
        before=main.before,
        after=main.after,
        ci95=main.ci95,
        before_ci95=main.before_ci95,
        n=after.values.size if after.count is None else after.count,
        details=details or {},
        baselines=baselines,
        baselines_ci95={name: pair.before_ci95 for name, pair in pairs.items()},
        over_baselines_ci95={name: pair.difference_ci95 for name, pair in pairs.items()},
        difference_ci95=main.difference_ci95,
        higher_is_better=task.higher_is_better,
        scores=after,
    )


def save_scores(scores: Mapping[str, Scores], path: Path) -> None:
    """Write the scores of tasks by name, from which runs are compared item by item."""
    arrays: dict[str, NDArray[Any]] = {}
    for task, one in scores.items():
        for name in SCORES_ARRAYS:
            array = getattr(one, name)
            if array is not None:
                # "numerical_reasoning/values"
                arrays[f"{task}/{name}"] = np.asarray(array)
    content = io.BytesIO()
    # NumPy's types take a name for one of the function's own parameters
    np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
    write_atomically(path, content.getvalue())


def load_scores(content: bytes) -> dict[str, Scores]:
    """What `save_scores` has written, from the content of its file. Raises ValueError."""
    parts: dict[str, dict[str, NDArray[Any]]] = {}
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        for key in arrays.files:
            task, _, name = key.partition("/")
            parts.setdefault(task, {})[name] = arrays[key]
    scores = {}
    for task, found in parts.items():
        groups, denominators = found.get("groups"), found.get("denominators")
        scores[task] = Scores(found["values"], groups, denominators, found.get("targets"))
    return scores
