"""What a skill is made of: items, answers, and the parts of which each is one ratio of sums.

Every estimate is a sum over items divided by another: hits over items, 2 * true edits over edits
said and wanted, bits over bytes. Whole documents are resampled for the intervals, the same ones for
all methods. Legend: N items, G documents.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from ssl_lib.evaluation.base import EvaluatedModel, ModelPair
from ssl_lib.evaluation.comparison import Details, Resampling, Scores, TaskResult
from ssl_lib.evaluation.data import EvaluationData
from ssl_lib.evaluation.skills import Skill
from ssl_lib.evaluation.statistics import Bools, Floats, Integers, paired_ratios

Items = TypeVar("Items")
Answers = TypeVar("Answers")
WHOLE = ""  # the key of the skill itself among its parts


class Part(NamedTuple):
    """One ratio: sum of `values` over sum of `sizes` [N], the documents that items stand in [N]."""

    metric: str
    values: Floats
    sizes: Floats
    owners: Integers
    higher_is_better: bool = True

    @classmethod
    def mean(
        cls,
        metric: str,
        values_N: ArrayLike,
        owners_N: ArrayLike,
        kept_N: Bools | None = None,
        higher_is_better: bool = True,
    ) -> Part:
        """The mean of one value an item, of those kept."""
        values_N = np.asarray(values_N, dtype=np.float64)
        owners_N = np.asarray(owners_N, dtype=np.int64)
        if kept_N is not None:
            values_N, owners_N = values_N[kept_N], owners_N[kept_N]
        return cls(metric, values_N, np.ones(len(values_N)), owners_N, higher_is_better)

    def sums_by_owner(self) -> tuple[Floats, Floats]:
        """Sums of values and of sizes over each document [G]."""
        owners_G, index_N = np.unique(self.owners, return_inverse=True)
        columns = (self.values, self.sizes)
        above_G, below_G = (np.bincount(index_N, column, len(owners_G)) for column in columns)
        return above_G.astype(np.float64), below_G.astype(np.float64)


# by name of the part; a baseline may know the value of one without an answer for each item
Scored = Mapping[str, Part | float]


class SkillMeasure(Generic[Items, Answers]):
    """One skill: what is asked, what a model answers, and the parts that are made of it."""

    def __init__(self, skill: Skill) -> None:
        self.skill = skill

    def items(self, data: EvaluationData, context_length: int) -> Items:
        """What is asked: of held-out documents, and the same for all methods.

        What has to fit a model's context has `context_length` tokens at most.
        """
        raise AssertionError(f"{type(self).__name__} must say what it asks")

    def answer(self, model: EvaluatedModel, items: Items) -> Answers:
        """What a model says to all of the items."""
        raise AssertionError(f"{type(self).__name__} must ask a model")

    def score(self, items: Items, answers: Answers) -> dict[str, Part]:
        """The skill under WHOLE, then its parts; empty parts may be among them."""
        raise AssertionError(f"{type(self).__name__} must score its answers")

    def baselines(
        self, data: EvaluationData, pair: ModelPair, items: Items
    ) -> Mapping[str, Scored]:
        """What other methods reach, by name, in the parts that they answer."""
        return {}

    def run(self, pair: ModelPair, data: EvaluationData) -> tuple[Details, Scores | None]:
        """The skill's row of `metrics/evaluation.json`, and the trained model's sums by document.

        Nothing where the text holds nothing to ask.
        """
        items = self.items(data, pair.after.context_length)
        asked: dict[str, Scored] = {}
        for name, model in (("before", pair.before), ("after", pair.after)):
            asked[name] = self.score(items, self.answer(model, items))
        rows: dict[str, Details] = {}
        for name, part in asked["after"].items():
            if isinstance(part, Part) and part.sizes.sum() > 0:
                rows[name] = {}
        if WHOLE not in rows:
            return {}, None
        asked |= self.baselines(data, pair, items)
        for name in rows:
            methods = {who: scored[name] for who, scored in asked.items() if name in scored}
            rows[name] = compared(methods, pair.resampling)
        whole = asked["after"][WHOLE]
        assert isinstance(whole, Part), "models are asked, not known"
        above_G, below_G = whole.sums_by_owner()
        return rows.pop(WHOLE) | {"parts": rows}, Scores(above_G, denominators=below_G)


def compared(methods: Mapping[str, Part | float], resampling: Resampling) -> Details:
    """One row: before, after and the baselines of one part, with their intervals."""
    parts = {name: part for name, part in methods.items() if isinstance(part, Part)}
    after = parts.pop("after")
    last = after.sums_by_owner()
    pairs = {}
    for name, part in parts.items():
        first_G, own_G = part.sums_by_owner()
        pairs[name] = paired_ratios(first_G, *last, *resampling, own_G)
    main = pairs.pop("before")
    baselines = {name: value for name, value in methods.items() if isinstance(value, float)}
    baselines |= {name: pair.before for name, pair in pairs.items()}
    result = TaskResult(
        metric=after.metric,
        before=main.before,
        after=main.after,
        ci95=main.ci95,
        before_ci95=main.before_ci95,
        n=len(after.values),
        baselines=baselines,
        baselines_ci95={name: pair.before_ci95 for name, pair in pairs.items()},
        over_baselines_ci95={name: pair.difference_ci95 for name, pair in pairs.items()},
        difference_ci95=main.difference_ci95,
        higher_is_better=after.higher_is_better,
    )
    return result.summary()
