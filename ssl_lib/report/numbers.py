"""What the model knows of numbers: number line, calibration, probes, nearest neighbours."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ssl_lib.report.formats import (
    count,
    is_interval,
    known,
    metric_name,
    name,
    number,
    percent,
    score,
    span,
    with_interval,
)
from ssl_lib.report.inputs import Inputs, at, number_lines
from ssl_lib.report.learning import legend
from ssl_lib.report.markup import Html, absent, figure, grid, join, paragraph, table, tag
from ssl_lib.report.svg import Mark, Series, line_chart, scatter

WHO = {"before": "Untrained twin", "after": "Trained", "marginal": "Training numbers"}
LABELS = {1e-3: "0.001", 1.0: "1", 1e3: "1,000", 1e6: "1 million", 1e9: "1 billion"}
MEASURES = (
    ("mean_error_decades", "Mean error, decades", "decades"),
    ("median_error_decades", "Median error, decades", "decades"),
    ("exponent_accuracy", "Right power of ten, of numbers above zero", "accuracy"),
    ("within_1_percent", "Within 1%", "accuracy"),
    ("crps_decades", "CRPS, decades", "decades"),
)  # key, words, metric; an interval stands under the key with _ci95 in place of _decades, or after it


def number_line(inputs: Inputs) -> Html:
    """Numbers of twelve decades, projected on the plane in which the trunk spreads them most."""
    drawings = [_line(one, title) for one, title in number_lines(inputs)]
    if not drawings:
        return absent(
            "report/number_line.json is missing or holds no points: there is no number line."
        )
    words = (
        "Each point is a number written out in digits, from small (faint) to large (strong), joined in their order and "
        "projected on the first two principal components. A trunk that knows magnitudes lays them out in order; the "
        "untrained twin shows how much of that order the encoding of numbers gives away by itself."
    )
    return join(paragraph(words), grid(*drawings))


def calibration(inputs: Inputs) -> Html:
    """Does an interval said to hold 90% of the next numbers hold 90% of them?"""
    detail = inputs.detail("number_prediction")
    groups = {key: detail[key] for key in ("all", "determined", "free") if detail.get(key)}
    if not groups:
        return absent("report/evaluation.json holds no prediction of numbers.")
    colours = legend(
        ("--before", "untrained twin"),
        ("--after", "trained"),
        ("--plain", "quantiles of the training numbers"),
    )
    charts = [
        _coverage(group, key) for key, group in groups.items() if at(group, "after", "coverage")
    ]
    words = (
        "The model gives the next number as a distribution. A central interval is calibrated where as many of the true "
        "numbers lie in it as it promises: on the dashed diagonal. Determined numbers follow from the text before "
        "them; free ones do not. Small figures are 95% intervals; medians have none."
    )
    tables = [_measures(group, key) for key, group in groups.items()]
    return join(paragraph(words), colours, grid(*charts), *tables)


def probes(inputs: Inputs) -> Html:
    """Probes of the numbers themselves, beside the rows of the paper they follow."""
    found = inputs.details.get("probes") or inputs.evaluation.get("probes") or {}
    if not found:
        return absent("metrics/evaluation.json holds no probes.")
    others = list(
        dict.fromkeys(key for row in found.values() for key in (row.get("baselines") or {}))
    )
    head = [
        "Probe",
        "n",
        "Untrained twin",
        "Trained",
        *(name(key) for key in others),
        "The paper's rows",
    ]
    rows = [_probe(key, row, others) for key, row in found.items()]
    note = (
        "After Wallace et al. 2019: integers below 100, 1,000 and 10,000 split 80/20, medians over seeds, and the "
        "range of the seeds where there are several. For the RMSE less is better. The list maximum's scorer is a "
        "network on each number instead of a recurrent one over the list, so the paper's rows are for scale. Probes on "
        "the digits alone read the numbers without any model."
    )
    return join(
        table("Probes on the frozen trunk, 95% intervals below the figures", head, rows),
        paragraph(note, class_="note"),
    )


def neighbours(inputs: Inputs) -> Html:
    """Which written numbers lie nearest to some others."""
    found = inputs.number_line.get("neighbours") or {}
    if not found.get("rows"):
        return absent("report/number_line.json holds no neighbours of numbers.")
    rows = [
        [
            row["number"],
            ", ".join(f"{text} ({number(cosine, 2)})" for text, cosine in row["nearest"]),
        ]
        for row in found["rows"]
    ]
    words = f"Of {count(found.get('candidates'))} written numbers, those whose embeddings have the highest cosine."
    return join(
        paragraph(words),
        table("Nearest neighbours", ["Number", "Nearest, with cosine"], rows, words=2),
    )


def _line(found: Mapping[str, Any], title: str) -> Html:
    values, points = found["values"], found["points"]
    sizes = [math.log10(abs(value)) if value else 0.0 for value in values]
    low, high = min(sizes), max(sizes)
    weights = [(size - low) / (high - low or 1.0) for size in sizes]
    names = [_power(value) for value in values]
    caption = [f" · {count(len(values))} numbers"]
    if known(found.get("rank_correlation")):
        caption.append(
            f" · rank correlation of the first component with the value {number(found['rank_correlation'], 2)}"
        )
    if found.get("explained"):
        caption.append(f" · the plane holds {percent(sum(found['explained']), 0)} of the variance")
    drawn = scatter(
        f"Number line, {title.lower()}{''.join(caption)}",
        [tuple(p) for p in points],
        weights,
        names,
    )
    return figure(
        drawn,
        join(
            tag("strong", title),
            *caption,
            paragraph(found["label"]) if found.get("label") else None,
        ),
    )


def _power(value: float) -> str:
    """A label for every third power of ten."""
    return next((words for power, words in LABELS.items() if math.isclose(value, power)), "")


def _coverage(group: Mapping[str, Any], key: str) -> Html:
    series = [Series("ideal", [(0.0, 0.0), (1.0, 1.0)], "diagonal")]
    for who, style in (("marginal", "plain"), ("before", "before"), ("after", "after")):
        covered = at(group, who, "coverage") or {}
        points = sorted((float(level), share) for level, share in covered.items() if known(share))
        if points:
            series.append(Series(who, points, style))
    errors = [
        (float(level), Mark(at(group, "after", "coverage", level), interval, "after"))
        for level, interval in (at(group, "after", "coverage_ci95") or {}).items()
        if is_interval(interval) and known(at(group, "after", "coverage", level))
    ]
    ends = ", ".join(
        f"{percent(place, 0)} interval holds {percent(mark.value)}" for place, mark in errors
    )
    title = f"Nominal against observed coverage, {_kind(key)}: {ends}"
    drawn = line_chart(title, series, "promised share", (0.0, 1.0), (0.0, 1.0), errors, _share_tick)
    return figure(
        drawn,
        join(
            tag("strong", _kind(key).capitalize()),
            f" · observed share by promised share · n = {count(group.get('n'))}",
        ),
    )


def _share_tick(value: float) -> str:
    return percent(value, 0)


def _kind(key: str) -> str:
    return f"{key} numbers"


def _measures(group: Mapping[str, Any], key: str) -> Html:
    who = [one for one in WHO if group.get(one)]
    rows: list[list[Any]] = []
    for measure, title, metric in MEASURES:
        ends = measure.removesuffix("_decades") + "_ci95"
        rows.append(
            [
                title,
                *(
                    with_interval(at(group, one, measure), at(group, one, ends), metric)
                    for one in who
                ),
            ]
        )
    for level in ("0.5", "0.9"):
        cells = [
            with_interval(
                at(group, one, "coverage", level),
                at(group, one, "coverage_ci95", level),
                "accuracy",
            )
            for one in who
        ]
        rows.append([f"Share inside the {percent(float(level), 0)} interval", *cells])
    return table(
        f"Prediction of the next number, {_kind(key)}, n = {count(group.get('n'))}",
        ["Measure", *(WHO[one] for one in who)],
        rows,
    )


def _paper(row: Mapping[str, Any]) -> Mapping[str, float]:
    return at(dict(row), "details", "paper") or row.get("paper") or {}


def _probe(key: str, row: Mapping[str, Any], others: list[str]) -> list[Any]:
    metric = row.get("metric") or "accuracy"
    task, _, limit = key.partition("/")
    title = f"{name(task)}, below {count(int(limit))}" if limit.isdigit() else name(task)
    ours = [
        join(with_interval(row.get(who), row.get(ends), metric), _seeds(row, who, metric))
        for who, ends in (("before", "before_ci95"), ("after", "ci95"))
    ]
    given = [
        with_interval(
            at(dict(row), "baselines", other), at(dict(row), "baselines_ci95", other), metric
        )
        for other in others
    ]
    theirs = ", ".join(f"{paper} {score(value, metric)}" for paper, value in _paper(row).items())
    first = join(title, tag("span", metric_name(metric), class_="ci"))
    return [
        first,
        count(row.get("n")),
        *ours,
        *given,
        tag("span", theirs or "–", class_="ci aside"),
    ]


def _seeds(row: Mapping[str, Any], who: str, metric: str) -> Html | None:
    """How far the seeds of a probe lie apart; nothing for a single one."""
    found = at(dict(row), "details", "seeds", who)
    if not isinstance(found, list) or len(found) < 2 or not all(map(known, found)):
        return None
    return tag("span", f"seeds {span([min(found), max(found)], metric)}", class_="ci")
