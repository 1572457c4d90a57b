"""Five objectives, five skills: what each has learned to do, beside its held-out loss.

The guide's examples stand on the first screen, right or wrong as they came out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ssl_lib.evaluation.skills import SKILLS
from ssl_lib.report.inputs import Inputs, Result, known
from ssl_lib.report.markup import (
    NONE,
    Html,
    absent,
    after_cell,
    before_cell,
    count,
    folded,
    join,
    metric_name,
    name,
    note,
    number,
    score,
    small,
    table,
    tag,
    with_interval,
)
from ssl_lib.report.own_text import best_baseline, marked


def skills(inputs: Inputs) -> Html:
    """One row an objective: trained, twin, best plain method, loss; then the parts of each."""
    trees = inputs.skills()
    if not trees:
        return absent(
            "metrics/evaluation.json holds no skills yet: run `dvc repro` to measure them."
        )
    losses = inputs.evaluation.get("losses") or {}
    rows = []
    for objective, tree in trees.items():
        result = Result.of(tree)
        told = f"{SKILLS[objective].title}: {metric_name(result.metric)}"
        title = join(name(objective), small(told))
        loss = losses.get(objective) or {}
        fell = NONE
        if known(loss.get("after")):
            fell = join(number(loss["after"]), small(f"from {number(loss.get('before'))}"))
        row = [title, marked(result), count(result.n), after_cell(result), before_cell(result)]
        rows.append([*row, _best(result), fell])
    head = ["Objective", "Verdict", "n", "Trained", "Random init.", "Best plain method", "Loss"]
    words = (
        "A skill is what an objective is for, measured on held-out documents; the same items for "
        "every method, whole documents resampled. Masked and next words and numbers count whole "
        "and exactly, numbers where the text determines them; of a corpus that does not tell, all."
    )
    caption = "Skill of each objective, 95% intervals below the values"
    blocks = [_parts(objective, tree) for objective, tree in trees.items()]
    return join(table(caption, head, rows, words=2), note(words), folded("Parts of each", *blocks))


def _best(result: Result) -> Html | str:
    """The plain method that reaches most, with its interval."""
    best = best_baseline(result)
    if best is None:
        return NONE
    return join(best.label, " ", with_interval(best.value, best.interval, result.metric))


def _parts(objective: str, tree: Mapping[str, Any]) -> Html:
    """A table of the parts of one skill, with all plain methods."""
    rows = []
    for key, part in (tree.get("parts") or {}).items():
        result = Result.of(part)
        plain = {one: value for one, value in (part.get("baselines") or {}).items() if known(value)}
        told = ", ".join(
            f"{name(one)} {score(value, result.metric)}" for one, value in plain.items()
        )
        title = join(name(key), small(metric_name(result.metric)))
        rows.append([title, count(result.n), after_cell(result), before_cell(result), small(told)])
    caption = f"{name(objective)}: {SKILLS[objective].title.lower()}"
    return table(caption, ["Part", "n", "Trained", "Random init.", "Plain methods"], rows)


def guide_examples(inputs: Inputs) -> Html | None:
    """The guide's examples with what the model says, folded behind how many are right."""
    rows = inputs.evaluation.get("guide_examples") or []
    if not rows:
        return None
    shown = []
    for row in rows:
        sign, kind = ("✓", "met") if row["right"] else ("✗", "missed")
        mark = tag("span", sign, class_=f"mark {kind}")
        asked = join(row["asked"], small(row["concept"])) if row["concept"] else row["asked"]
        shown.append([asked, mark, row["answered"], row["expected"]])
    right = sum(bool(row["right"]) for row in rows)
    caption = f"Examples that the guide promises: {right} of {len(rows)} right"
    return table(caption, ["Asked", "", "Answer", "Expected"], shown, words=4)
