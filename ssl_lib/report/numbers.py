"""What the model knows of numbers: number line, calibration, probes, nearest neighbours."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ssl_lib.report.inputs import Inputs, Result, at, is_interval, known, number_lines
from ssl_lib.report.markup import (
    NONE,
    Html,
    Rows,
    absent,
    after_cell,
    before_cell,
    count,
    figure,
    grid,
    interval_text,
    join,
    legend,
    metric_name,
    name,
    note,
    number,
    paragraph,
    percent,
    score,
    small,
    table,
    tag,
    whole_percent,
    with_interval,
)
from ssl_lib.report.svg import Mark, Series, line_chart, scatter

MODELS = {
    "before": "Random init.",
    "after": "Trained",
    "marginal": "Training numbers",
}
STYLES = {"marginal": "plain", "before": "before", "after": "after"}
LABELS = {1e-3: "0.001", 1.0: "1", 1e3: "1,000", 1e6: "1 million", 1e9: "1 billion"}
# Key of the measure, key of its interval, words, metric. Errors are differences of log10.
MEASURES = (
    ("mean_error_decades", "mean_error_ci95", "Mean error, orders of magnitude", "log10"),
    ("median_error_decades", "median_error_ci95", "Median error, orders of magnitude", "log10"),
    ("exponent_accuracy", "exponent_accuracy_ci95", "Right power of ten, of numbers above zero",
     "accuracy"),
    ("within_1_percent", "within_1_percent_ci95", "Within 1%", "accuracy"),
    ("crps_decades", "crps_ci95", "CRPS, orders of magnitude", "log10"),
)  # fmt: skip


def number_line(inputs: Inputs) -> Html:
    """Numbers from 0.001 to 1 billion, on the plane in which the encoder spreads them most."""
    lines = number_lines(inputs)
    if not lines:
        return absent(
            "report/number_line.json is missing or holds no points: there is no number line."
        )
    words = (
        "Each point is a number written out in digits, from small (faint) to large (strong), "
        "joined in their order and projected on the first two principal components. An encoder "
        "that knows magnitudes lays them out in order; the randomly initialised twin shows how "
        "much of that order the encoding of numbers gives away by itself."
    )
    drawings = [number_line_figure(line, model) for line, model in lines]
    return join(paragraph(words), grid(*drawings))


def number_line_figure(line: Mapping[str, Any], model: str) -> Html:
    """The numbers of one model as points that are joined in their order."""
    values = line["values"]
    points = line["points"]
    # Darker by order of magnitude: 0.001 → 0, 1,000 → 0.5, 1 billion → 1.
    sizes = [math.log10(abs(value)) if value else 0.0 for value in values]
    low = min(sizes)
    high = max(sizes)
    weights = [(size - low) / (high - low or 1.0) for size in sizes]
    # A label at every third power of ten.
    labels = []
    for value in values:
        found = [words for power, words in LABELS.items() if math.isclose(value, power)]
        labels.append(found[0] if found else "")

    about = f" · {count(len(values))} numbers"
    correlation = line.get("rank_correlation")
    explained = line.get("explained")
    if known(correlation):
        about += " · rank correlation of the first component with the value "
        about += number(correlation, 2)
    if explained:
        about += f" · the plane holds {whole_percent(sum(explained))} of the variance"
    below = paragraph(line["label"]) if line.get("label") else None
    title = f"Number line, {model.lower()}{about}"
    drawn = scatter(title, [tuple(point) for point in points], weights, labels)
    return figure(drawn, join(tag("strong", model), about, below))


def calibration(inputs: Inputs) -> Html:
    """Does an interval said to hold 90% of the next numbers hold 90% of them?"""
    detail = inputs.detail("number_prediction")
    groups = {key: detail[key] for key in ("all", "determined", "free") if detail.get(key)}
    if not groups:
        return absent("report/evaluation.json holds no prediction of numbers.")
    colors = legend(
        ("--before", "randomly initialised twin"),
        ("--after", "trained"),
        ("--plain", "quantiles of the training numbers"),
    )
    words = (
        "The model gives the next number as a distribution. A central interval is calibrated where "
        "as many of the true numbers lie in it as it promises: on the dashed diagonal. "
        "Deterministic numbers follow from the text before them; free ones do not. Small values "
        "are 95% intervals; medians have none."
    )
    charts = []
    tables = []
    for key, group in groups.items():
        kind = "deterministic numbers" if key == "determined" else f"{key} numbers"
        if at(group, "after", "coverage"):
            charts.append(coverage_chart(group, kind))
        tables.append(prediction_table(group, kind))
    return join(paragraph(words), colors, grid(*charts), *tables)


def coverage_chart(group: Mapping[str, Any], kind: str) -> Html:
    """Observed by promised coverage of central intervals, of both models and of the quantiles."""
    series = [Series("ideal", [(0.0, 0.0), (1.0, 1.0)], "diagonal")]
    for model, style in STYLES.items():
        # {"0.5": 0.47, "0.9": 0.91} → [(0.5, 0.47), (0.9, 0.91)]
        coverage = at(group, model, "coverage") or {}
        points = sorted((float(level), held) for level, held in coverage.items() if known(held))
        if points:
            series.append(Series(model, points, style))

    # The trained model's intervals at 50% and 90% stand on its line, and in the title.
    errors = []
    ends = []
    for level, interval in (at(group, "after", "coverage_ci95") or {}).items():
        held = at(group, "after", "coverage", level)
        if is_interval(interval) and known(held):
            errors.append((float(level), Mark(held, interval, "after")))
            ends.append(f"{whole_percent(float(level))} interval holds {percent(held)}")
    title = f"Nominal against observed coverage, {kind}: {', '.join(ends)}"
    unit_range = (0.0, 1.0)
    drawn = line_chart(
        title, series, "promised share", unit_range, unit_range, errors, whole_percent
    )
    about = f" · observed share by promised share · n = {count(group.get('n'))}"
    return figure(drawn, join(tag("strong", kind.capitalize()), about))


def prediction_table(group: Mapping[str, Any], kind: str) -> Html:
    """Errors and coverage of the predicted numbers, a column for each model."""
    models = [model for model in MODELS if group.get(model)]
    rows: Rows = []
    # {"before": {"crps_decades": 0.667, "crps_ci95": [0.657, 0.677], "coverage": {…}}, …}
    for key, interval_key, title, metric in MEASURES:
        row: list[Any] = [title]
        for model in models:
            value = at(group, model, key)
            interval = at(group, model, interval_key)
            row.append(with_interval(value, interval, metric))
        rows.append(row)
    for level in ("0.5", "0.9"):
        row = [f"Share inside the {whole_percent(float(level))} interval"]
        for model in models:
            held = at(group, model, "coverage", level)
            interval = at(group, model, "coverage_ci95", level)
            row.append(with_interval(held, interval, "accuracy"))
        rows.append(row)
    caption = f"Prediction of the next number, {kind}, n = {count(group.get('n'))}"
    return table(caption, ["Measure", *(MODELS[model] for model in models)], rows)


def probes(inputs: Inputs) -> Html:
    """Probes of the numbers themselves, beside the rows of the paper they follow."""
    found = inputs.details.get("probes") or inputs.evaluation.get("probes") or {}
    if not found:
        return absent("metrics/evaluation.json holds no probes.")
    # Probes differ in their baselines; each baseline has one column.
    keys = [key for result in found.values() for key in result.get("baselines") or {}]
    baselines = list(dict.fromkeys(keys))
    head = ["Probe", "n", "Random init.", "Trained", *map(name, baselines)]
    rows = [probe_row(key, result, baselines) for key, result in found.items()]
    words = (
        "After Wallace et al. 2019: integers below 100, 1,000 and 10,000 split 80/20, medians over "
        "seeds, and the range of the seeds where there are several. For the RMSE less is better. "
        "The list maximum's scorer is a network on each number instead of a recurrent one over the "
        "list, so the paper's rows are for scale. Probes on the digits read the numbers without "
        "any model."
    )
    caption = "Probes on the frozen encoder, 95% intervals below the values"
    return join(table(caption, [*head, "The paper's rows"], rows), note(words))


def probe_row(key: str, tree: Mapping[str, Any], baselines: list[str]) -> list[Any]:
    """The cells of one probe, such as `addition/1000`: Addition, below 1,000."""
    task, _, limit = key.partition("/")
    title = f"{name(task)}, below {count(int(limit))}" if limit.isdigit() else name(task)
    result = Result.of(tree)
    metric = result.metric
    cells: list[Any] = [join(title, small(metric_name(metric))), count(result.n)]
    for model, shown in (("before", before_cell(result)), ("after", after_cell(result))):
        # How far the seeds lie apart; nothing for a single one.
        seeds = at(tree, "details", "seeds", model)
        if isinstance(seeds, list) and len(seeds) > 1 and all(map(known, seeds)):
            ends = interval_text([min(seeds), max(seeds)], metric)
            shown = join(shown, small(f"seeds {ends}"))
        cells.append(shown)
    for baseline in baselines:
        value = at(tree, "baselines", baseline)
        interval = at(tree, "baselines_ci95", baseline)
        cells.append(with_interval(value, interval, metric))
    # {"BERT": 0.62, "untrained CNN": 0.87} → BERT 62.0%, untrained CNN 87.0%
    paper = at(tree, "details", "paper") or tree.get("paper") or {}
    theirs = [f"{model} {score(value, metric)}" for model, value in paper.items()]
    cells.append(tag("span", ", ".join(theirs) or NONE, class_="ci aside"))
    return cells


def neighbors(inputs: Inputs) -> Html:
    """Which written numbers lie nearest to some others."""
    found = inputs.number_line.get("neighbours") or {}
    if not found.get("rows"):
        return absent("report/number_line.json holds no neighbours of numbers.")
    rows = []
    # {"number": "12%", "nearest": [["13", 0.981], ["twelve", 0.91]]}
    for row in found["rows"]:
        nearest = [f"{text} ({number(cosine, 2)})" for text, cosine in row["nearest"]]
        rows.append([row["number"], ", ".join(nearest)])
    words = (
        f"Of {count(found.get('candidates'))} written numbers, those whose embeddings have the "
        "highest cosine."
    )
    head = ["Number", "Nearest, with cosine"]
    return join(paragraph(words), table("Nearest neighbours", head, rows, words=2))
