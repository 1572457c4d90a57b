"""Tuning: what was chosen and why, how the search went, what mattered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ssl_lib.report.inputs import Inputs, Table, known
from ssl_lib.report.markup import (
    NONE,
    Html,
    absent,
    count,
    figure,
    folded,
    grid,
    join,
    name,
    number,
    paragraph,
    percent,
    short,
    table,
)
from ssl_lib.report.svg import Mark, Point, Row, Series, interval_chart, line_chart, parallel_chart

FIXED = ("round", "trial", "state", "steps", "score", "language", "numbers", "seconds")
MOST_LINES = 60  # of trials in parallel coordinates: the best


def tuning(inputs: Inputs) -> Html:
    """The choice, its check, pictures of the search, every trial."""
    trials, study = inputs.trials, inputs.study
    if not trials:
        reason = study.get("reason") or "tuning/trials.csv is missing or empty"
        return absent(f"No search over weights, temperature and learning rates was made: {reason}.")
    short_trials = [row for row in trials if row.get("round", "trial") == "trial"]
    states = Counter(row.get("state") or "of unknown state" for row in short_trials)
    counted = ", ".join(f"{number_of} {state}" for state, number_of in states.items())
    intro = paragraph(
        f"{count(len(short_trials))} trials: {counted}. A value is a mean over objectives of "
        "held-out loss as a share of random weights' loss, without weights: less is better."
    )
    # tuning/best.yaml is empty where the settings were not beaten.
    chosen = paragraph("The settings of params.yaml stand.")
    if inputs.best:
        head = ["Setting", "Value"]
        values = [[key, short(value)] for key, value in inputs.best.items()]
        chosen = table("Values that replace those of params.yaml", head, values)
    reason = paragraph(f"{study['reason']}.") if study.get("reason") else None
    goals = [goal for goal in ("score", "language", "numbers") if goal in trials[0]]
    keys = [key for key in trials[0] if key not in FIXED]
    pictures = grid(
        _history(short_trials, goals),
        _front(short_trials, study.get("front") or []) if len(goals) > 1 else None,
        _parallel(short_trials, goals, keys),
        *[_importance(goal, shares) for goal, shares in (study.get("importance") or {}).items()],
    )
    # trial, state, score, objectives.mlm.weight, … → trial, state, score, mlm.weight, …
    head = [_key(key) for key in trials[0]]
    rows = [[_trial_value(row.get(key)) for key in trials[0]] for row in trials]
    every = table("All trials", head, rows)
    return join(intro, reason, _check(study), chosen, pictures, folded("Every trial", every))


def _check(study: Mapping[str, Any]) -> Html | None:
    """What the winner and the settings got at full length."""
    check = study.get("check")
    if not check:
        return None
    caption = f"Trained for {count(check['steps'])} steps, as the model is"
    rows = [[who, number(check.get(who))] for who in ("params.yaml", "winner")]
    return table(caption, ["Settings", "Value"], rows)


def _history(trials: Table, goals: Sequence[str]) -> Html | None:
    """Every complete trial, and the best so far."""
    points = _points(trials, goals)
    if len(points) < 2:
        return None
    best = []
    for index, (trial, _) in enumerate(points):
        lowest = min(value for _, value in points[: index + 1])
        best.append((trial, lowest))
    dots = [(trial, Mark(value, None, "plain")) for trial, value in points]
    ends = min(value for _, value in points), max(value for _, value in points)
    drawn = line_chart(
        f"History: best value {number(ends[0])}",
        [Series("best so far", best, "after")],
        "trial",
        y=ends,
        errors=dots,
    )
    return figure(drawn, f"History · value by trial, the best so far: {number(ends[0])}")


def _front(trials: Table, front: Sequence[int]) -> Html:
    """Language against numbers; those that none beats in both are joined."""
    points = []
    for row in trials:
        pair = _float(row.get("language")), _float(row.get("numbers"))
        if known(pair[0]) and known(pair[1]):
            points.append((pair, int(row["trial"]) in front))
    joined = sorted(pair for pair, on_front in points if on_front)
    dots = []
    for (language, numbers), on_front in points:
        dots.append((language, Mark(numbers, None, "after" if on_front else "plain")))
    x_values, y_values = ([pair[axis] for pair, _ in points] or [0.0, 1.0] for axis in (0, 1))
    drawn = line_chart(
        f"Front of {len(joined)} trials",
        [Series("front", joined, "after thin")],
        "language",
        x=(min(x_values), max(x_values)),
        y=(min(y_values), max(y_values)),
        errors=dots,
    )
    return figure(drawn, f"Numbers by language · {len(joined)} trials that none beats in both")


def _parallel(trials: Table, goals: Sequence[str], keys: Sequence[str]) -> Html | None:
    """A line for each trial through its values and its result; the best are dark."""
    rows = []
    for row in trials:
        values = [_float(row.get(key)) for key in (*keys, *goals)]
        if row.get("state") == "complete" and all(known(value) for value in values):
            rows.append(values)
    if len(rows) < 2:
        return None
    rows.sort(key=lambda values: sum(values[len(keys) :]))
    rows = rows[:MOST_LINES]
    labels = [_key(key) for key in (*keys, *goals)]
    drawn = parallel_chart(f"Values of {len(rows)} trials", labels, rows)
    return figure(drawn, "Parallel coordinates · values searched and found, the best trials dark")


def _importance(goal: str, shares: Mapping[str, float]) -> Html:
    """Which settings decide a goal."""
    rows = []
    for key, share in shares.items():
        rows.append(Row(_key(key), [Mark(share, None, "after")], percent(share, 0)))
    drawn = interval_chart(f"Importance for {goal}", rows, (0.0, 1.0), lambda v: percent(v, 0))
    return figure(drawn, f"Importance for {name(goal)} · share of each setting (PED-ANOVA)")


def _points(trials: Table, goals: Sequence[str]) -> list[Point]:
    """Trial and mean value of those that ran to their end."""
    points = []
    for row in trials:
        values = [_float(row.get(goal)) for goal in goals]
        if values and row.get("state") == "complete" and all(known(value) for value in values):
            points.append((float(row["trial"]), sum(values) / len(values)))
    return points


def _key(key: str) -> str:
    # objectives.contrastive.temperature → contrastive.temperature
    return key.removeprefix("objectives.").removeprefix("training.")


def _float(text: str | None) -> Any:
    try:
        return float(text or "")
    except ValueError:
        return {"True": 1.0, "False": 0.0}.get(text or "")


def _trial_value(text: str | None) -> str:
    # "0.31249999" → 0.3125, "stopped" as it is, "" → –
    try:
        return short(float(text or ""))
    except ValueError:
        return text or NONE
