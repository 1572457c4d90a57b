"""How the model learned: loss curves of each objective, tuning, transfer between objectives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ssl_lib.report.formats import count, known, name, number, score, short
from ssl_lib.report.inputs import Inputs, at, loss_points
from ssl_lib.report.markup import (
    Html,
    absent,
    figure,
    folded,
    grid,
    join,
    paragraph,
    scroll_box,
    table,
    tag,
)
from ssl_lib.report.svg import Mark, Point, Series, line_chart

STYLES = {"train": "before thin", "validation": "after"}


def loss_curves(inputs: Inputs) -> Html:
    """One drawing an objective: training and validation."""
    points = loss_points(inputs)
    if not points:
        return absent("plots/losses.csv is missing or empty: there are no loss curves.")
    weights = inputs.train.get("weights") or {}
    drawings = [
        _curve(objective, splits, weights.get(objective)) for objective, splits in points.items()
    ]
    legend_of_both = legend(("--before", "training batches"), ("--after", "validation"))
    return join(_best(inputs), legend_of_both, grid(*drawings), _gradients(inputs))


def legend(*entries: tuple[str, str]) -> Html:
    """Colours of the style sheet and what they stand for."""
    return tag(
        "ul",
        *(tag("li", words, style=f"--c: var({colour})") for colour, words in entries),
        class_="legend",
    )


def tuning(inputs: Inputs) -> Html:
    """What the search chose, and every trial."""
    if not inputs.trials:
        return absent(
            "tuning/trials.csv is missing or empty: no search over weights, temperature and learning rates was made."
        )
    states: dict[str, int] = {}
    for trial in inputs.trials:
        state = trial.get("state") or "of unknown state"
        states[state] = states.get(state, 0) + 1
    counted = ", ".join(f"{number_of} {state}" for state, number_of in states.items())
    chosen = (
        table(
            "Values that replace those of params.yaml",
            ["Setting", "Value"],
            [[k, short(v)] for k, v in inputs.best.items()],
        )
        if inputs.best
        else paragraph(
            "No trial was better than the settings of params.yaml by the margin asked for, so they stand."
        )
    )
    words = "The score is the mean over objectives of held-out loss after / before, without weights: less is better."
    intro = paragraph(f"{count(len(inputs.trials))} trials: {counted}. {words}")
    return join(intro, chosen, folded("Every trial", _trials(inputs.trials)))


def transfer(inputs: Inputs) -> Html:
    """Which objectives help which: held-out losses and tasks of models trained with a subset of the objectives."""
    subsets = inputs.ablation.get("subsets") or []
    if not subsets:
        return absent(
            "ablation/results.json is not there: `ssl-lib ablate` has trained no model with a subset of the objectives."
        )
    losses = _matrix(
        "Held-out loss by objectives trained, nats (darker: lower)",
        subsets,
        inputs.ablation.get("losses"),
        True,
    )
    tasks = _matrix(
        "Downstream result by objectives trained (darker: higher)",
        subsets,
        inputs.ablation.get("downstream"),
        False,
    )
    relative = inputs.ablation.get("relative")
    share = "Held-out loss as a share of that of the objective trained alone (darker: lower)"
    shares = _matrix(share, subsets, relative, True) if relative else None
    words = "Each row is a model of its own, trained with the objectives it names and as many tokens as the others."
    return join(paragraph(words), grid(shares, losses, tasks))


def _best(inputs: Inputs) -> Html | None:
    step, best = inputs.train.get("best_step"), inputs.train.get("best_score")
    if not known(step) or not known(best):
        return None
    words = f"The model of step {count(step)} was kept, whose validation losses, as shares of those at the start, are least"
    return paragraph(f"{words}: {number(best)} on average over the objectives.", class_="note")


def _gradients(inputs: Inputs) -> Html | None:
    """Cosines between the objectives' gradients, where training.gradient_cosine_every_steps has measured them."""
    means = inputs.train.get("gradient_cosines")
    if not means:
        return None
    caption = (
        "Cosine of the objectives' gradients in the trunk, mean over the run (darker: they agree)"
    )
    columns = [name(objective) for objective in means]
    head = tag(
        "tr", tag("th", ""), *(tag("th", column, scope="col", class_="n") for column in columns)
    )
    body = [
        tag(
            "tr",
            tag("th", name(row), scope="row"),
            *(_heat(cells.get(key), (-1.0, 1.0), False) for key in means),
        )
        for row, cells in means.items()
    ]
    inner = tag("table", tag("thead", head), tag("tbody", *body), aria_label=caption)
    return tag("div", paragraph(caption), scroll_box(inner, caption), class_="heat")


def _curve(objective: str, splits: Mapping[str, Sequence[Point]], weight: Any) -> Html:
    series = [
        Series(split, sorted(points), STYLES.get(split, "plain"))
        for split, points in splits.items()
    ]
    last = "; ".join(f"{one.name} {number(one.points[-1][1])}" for one in series if one.points)
    dots = [
        (step, Mark(loss, None, "after")) for step, loss in sorted(splits.get("validation", []))
    ]
    title = f"{name(objective)}: loss by step, at the end {last}"
    caption = join(
        tag("strong", name(objective)),
        " · loss in nats by step",
        f" · weight {short(weight)}" if known(weight) else "",
        f" · at the end {last}",
    )
    return figure(line_chart(title, series, "step", errors=dots), caption)


def _trials(trials: Sequence[Mapping[str, str]]) -> Html:
    keys = list(trials[0])
    rows = [[_cell(trial.get(key)) for key in keys] for trial in trials]
    return table("All trials", [key.removeprefix("objectives.") for key in keys], rows)


def _cell(text: str | None) -> str:
    try:
        return short(float(text or ""))
    except ValueError:
        return text or "–"


def _matrix(caption: str, subsets: Sequence[str], values: Any, less_is_better: bool) -> Html:
    columns = list(dict.fromkeys(key for subset in subsets for key in (at(values, subset) or {})))
    if not columns:
        return absent(f"{caption.partition(' (')[0]}: ablation/results.json holds no such figures.")
    head = tag(
        "tr",
        tag("th", "Trained with", scope="col"),
        *(tag("th", name(c), scope="col", class_="n") for c in columns),
    )
    scales = {
        column: _scale([at(values, subset, column) for subset in subsets]) for column in columns
    }
    body = []
    for subset in subsets:
        cells = [
            _heat(at(values, subset, column), scales[column], less_is_better) for column in columns
        ]
        body.append(tag("tr", tag("th", _trained(subset), scope="row"), *cells))
    inner = tag("table", tag("thead", head), tag("tbody", *body), aria_label=caption)
    return tag("div", scroll_box(inner, caption), class_="heat")


def _trained(subset: str) -> str:
    if subset.startswith("all-"):
        return f"All but {name(subset.removeprefix('all-'))}"
    return " + ".join(name(part) for part in subset.split("+"))


def _scale(values: Sequence[Any]) -> tuple[float, float]:
    finite = [value for value in values if known(value)] or [0.0]
    return min(finite), max(finite)


def _heat(value: Any, scale: tuple[float, float], less_is_better: bool) -> Html:
    low, high = scale
    share = (value - low) / (high - low) if known(value) and high > low else 0.0
    share = 1 - share if less_is_better and high > low and known(value) else share
    shown = number(value) if less_is_better else score(value, "spearman")
    return tag("td", shown, style=f"--w: {share:.3f}")
