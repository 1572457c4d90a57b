"""The figures as tables for DVC's plots, drawn by the templates in `.dvc/plots`.

Tables of estimates are long: one row for each item and each method, with the ends of its 95% interval (empty: none).
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from io import StringIO
from typing import Any

ESTIMATES = ("item", "who", "value", "low", "high", "n")
UNTRAINED, TRAINED = "untrained twin", "trained"
APART = {
    "extrapolation": "trained, longer numbers",
    "reserved_wordings": "trained, unseen wordings",
}


def plot_tables(metrics: Mapping[str, Any], details: Mapping[str, Any]) -> dict[str, str]:
    """CSV text by name of the plot; a table without data has its header alone."""
    return {
        "downstream": _csv(ESTIMATES, _downstream(metrics["downstream"])),
        "reasoning": _csv(ESTIMATES, _reasoning(details["numerical_reasoning"]["details"])),
        "calibration": _csv(
            ("numbers", "who", "promised", "observed"),
            _calibration(details["number_prediction"]["details"]),
        ),
        "confusion": _csv(
            ("actual", "predicted"), _confusion(details["token_classification"]["details"])
        ),
    }


def _downstream(tasks: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    for task, row in tasks.items():
        yield _estimate(task, UNTRAINED, row["before"], row["before_ci95"], row["n"])
        yield _estimate(task, TRAINED, row["after"], row["ci95"], row["n"])
        for name, value in row["baselines"].items():
            yield _estimate(
                task, name.replace("_", " "), value, row["baselines_ci95"].get(name), row["n"]
            )


def _reasoning(detail: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    for family, row in detail["families"].items():
        yield _estimate(family, UNTRAINED, row["before"], row["before_ci95"], row["n"])
        yield _estimate(family, TRAINED, row["after"], row["ci95"], row["n"])
    for key, who in APART.items():
        for family, row in detail[key]["families"].items():
            yield _estimate(family, who, row["after"], row["ci95"], row["n"])


def _calibration(detail: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    names = {"before": UNTRAINED, "after": TRAINED, "marginal": "training numbers"}
    for numbers in ("all", "determined", "free"):
        for who, name in names.items():
            for promised, observed in (
                detail.get(numbers, {}).get(who, {}).get("coverage", {}).items()
            ):
                yield numbers, name, promised, f"{observed:.6f}"


def _confusion(detail: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """One row for each number that was asked, as DVC counts them itself."""
    classes = detail["classes"]
    for true, counts in zip(classes, detail["confusion"], strict=True):
        for named, count in zip(classes, counts, strict=True):
            yield from [(true, named)] * count


def _estimate(item: str, who: str, value: float, interval: Any, n: int) -> tuple[Any, ...]:
    low, high = interval or (None, None)
    return (
        item.replace("_", " "),
        who,
        *("" if one is None else f"{one:.6f}" for one in (value, low, high)),
        n,
    )


def _csv(columns: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    text = StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
