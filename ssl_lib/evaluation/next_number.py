"""The next number of the corpus's own held-out documents, from what stands before it.

The answers and measures are those of number prediction in the built-in world; the plain methods
look at the numbers of training text.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ssl_lib.evaluation.base import Answered, Baselines
from ssl_lib.evaluation.comparison import Details
from ssl_lib.evaluation.context_baselines import ContextTables, quantiles_of
from ssl_lib.evaluation.data import EvaluationData, NumberInText, numbers_in
from ssl_lib.evaluation.number_prediction import (
    LEVELS,
    Forecasts,
    NextNumbers,
    NumberPrediction,
    as_items,
    covered,
    spread,
)
from ssl_lib.evaluation.own_text import OwnTextTask, held_out_documents
from ssl_lib.evaluation.statistics import Floats
from ssl_lib.numbers import find_numbers


class NextNumber(OwnTextTask[NextNumbers, Forecasts], NumberPrediction):
    """Mean error in orders of magnitude; exponents, within 1%, CRPS and coverage are details."""

    def items(self, data: EvaluationData) -> NextNumbers:
        """Numbers of the held-out documents, evenly from all of them."""
        found = list(numbers_in(held_out_documents(data), locale=data.locale))
        places = spread(len(found), data.settings.items, data.seed)
        return as_items([found[place] for place in places], [False] * len(places))

    def count(self, items: NextNumbers) -> int:
        """How many numbers are asked."""
        return len(items.numbers)

    def baselines(self, data: EvaluationData, items: NextNumbers) -> Baselines[Forecasts]:
        """Medians and quantiles of training numbers: of all, of the domain, of like contexts."""
        asked = items.numbers
        tables = data.context_tables
        groups: dict[str, Iterable[Floats]] = {
            "training_median": [tables.general] * len(asked),
            "domain_median": tables.of_domain(asked),
            "last_number": _last_numbers(asked, tables),
            "words_before": tables.behind_words(asked),
            "nearest_contexts": tables.in_nearest_contexts(asked),
        }
        return {name: Forecasts(*quantiles_of(group, LEVELS)) for name, group in groups.items()}

    def details(self, asked: Answered[NextNumbers, Forecasts]) -> Details:
        """All measures of every method, and how often the intervals hold by written form."""
        found = super().details(asked)
        numbers = asked.items.numbers
        found["coverage_by_form"] = {}
        for form in sorted({number.form for number in numbers}):
            kept = np.array([number.form == form for number in numbers])
            after = asked.answers["after"]
            forecasts = Forecasts(after.point[kept], after.quantiles[kept])
            values = asked.items.values[kept]
            row: Details = {"n": int(kept.sum())}
            for interval in (0.5, 0.9):
                row[str(interval)] = float(covered(forecasts, values, interval).mean())
            found["coverage_by_form"][form] = row
        return found


def _last_numbers(asked: list[NumberInText], tables: ContextTables) -> Iterable[Floats]:
    """The number that stands before each in its text; those of the domain before the first."""
    for number, general in zip(asked, tables.of_domain(asked), strict=True):
        before = find_numbers(number.before, number.locale)
        values = [one.value for one in before if np.isfinite(one.value)]
        yield np.array(values[-1:]) if values else general
