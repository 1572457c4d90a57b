"""The metrics as tables for DVC's plots, drawn by the templates in `.dvc/plots`.

Tables of estimates are long: one row for each item and each method, with the ends of its 95%
interval (empty: none).
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from io import StringIO
from typing import Any

Row = tuple[Any, ...]

ESTIMATES = ("item", "who", "value", "low", "high", "n")
UNTRAINED, TRAINED = "random initialization", "trained"
APART = {
    "extrapolation": "trained, longer numbers",
    "training_templates": "trained, templates of training",
}


def plot_tables(metrics: Mapping[str, Any], details: Mapping[str, Any]) -> dict[str, str]:
    """CSV text by name of the plot; a table without data has its header alone."""
    tasks = _downstream(metrics["downstream"])
    reasoning = _reasoning(details["numerical_reasoning"]["details"])
    calibration = _calibration(details["number_prediction"]["details"])
    roles = _confusion(details["token_classification"]["details"])
    return {
        "downstream": _csv(ESTIMATES, tasks),
        "reasoning": _csv(ESTIMATES, reasoning),
        "calibration": _csv(("numbers", "who", "promised", "observed"), calibration),
        "confusion": _csv(("actual", "predicted"), roles),
    }


def _downstream(tasks: Mapping[str, Any]) -> Iterator[Row]:
    for task, row in tasks.items():
        yield from _both(task, row)
        for name, value in row["baselines"].items():
            interval = row["baselines_ci95"].get(name)
            yield _estimate(task, name.replace("_", " "), value, interval, row["n"])


def _reasoning(detail: Mapping[str, Any]) -> Iterator[Row]:
    for family, row in detail["families"].items():
        yield from _both(family, row)
    # of the sets apart only the trained model is drawn
    for key, who in APART.items():
        for family, row in detail[key]["families"].items():
            yield _estimate(family, who, row["after"], row["ci95"], row["n"])


def _calibration(detail: Mapping[str, Any]) -> Iterator[Row]:
    names = {"before": UNTRAINED, "after": TRAINED, "marginal": "training numbers"}
    for numbers in ("all", "determined", "free"):
        group = detail.get(numbers, {})
        for who, name in names.items():
            coverage = group.get(who, {}).get("coverage", {})
            for promised, observed in coverage.items():
                yield numbers, name, promised, f"{observed:.6f}"


def _confusion(detail: Mapping[str, Any]) -> Iterator[Row]:
    """One row for each number that was asked, as DVC counts them itself."""
    classes = detail["classes"]
    for true, counts in zip(classes, detail["confusion"], strict=True):
        for named, count in zip(classes, counts, strict=True):
            yield from [(true, named)] * count


def _both(item: str, row: Mapping[str, Any]) -> Iterator[Row]:
    """The two models on one item."""
    yield _estimate(item, UNTRAINED, row["before"], row["before_ci95"], row["n"])
    yield _estimate(item, TRAINED, row["after"], row["ci95"], row["n"])


def _estimate(item: str, who: str, value: float, interval: Any, n: int) -> Row:
    # 0.25 without an interval → "0.250000", "", ""
    numbers = (value, *(interval or (None, None)))
    written = ["" if one is None else f"{one:.6f}" for one in numbers]
    return (item.replace("_", " "), who, *written, n)


def _csv(columns: Row, rows: Iterable[Row]) -> str:
    # the same bytes on every system
    text = StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
