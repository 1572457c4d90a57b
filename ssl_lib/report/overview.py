"""The beginning of the page: what was gained, in one sentence, and the guide's two tables beside ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ssl_lib.report import guide
from ssl_lib.report.formats import (
    count,
    difference,
    gain,
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
from ssl_lib.report.inputs import TASKS, Inputs, at
from ssl_lib.report.markup import Html, absent, join, paragraph, table, tag


def headline(inputs: Inputs) -> Html:
    """One sentence with intervals, one line of verdicts, four tiles."""
    rows = {task: inputs.task(task) for task in TASKS if inputs.task(task)}
    if not rows:
        return absent(
            "metrics/evaluation.json holds no downstream tasks yet: run `dvc repro` to measure them."
        )
    tiles = tag("div", *(_tile(task, row) for task, row in rows.items()), class_="tiles")
    return join(paragraph(sentence(rows), class_="lead"), _verdicts(inputs, rows), tiles)


def sentence(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """What pretraining did to each task; a change counts only where the interval of the difference leaves out zero."""
    groups: dict[str, list[str]] = {"raised": [], "did not clearly change": [], "lowered": []}
    for task, row in rows.items():
        groups[_direction(row)].append(_from_to(task, row))
    said = [f"{verb} {_listed(clauses)}" for verb, clauses in groups.items() if clauses]
    return f"On text that training has never seen, pretraining {'; it '.join(said)} (95% intervals in brackets)."


def guide_losses(inputs: Inputs) -> Html:
    """The guide's table of losses beside the held-out losses of this run."""
    losses = inputs.evaluation.get("losses") or {}
    if not losses:
        return absent(
            "metrics/evaluation.json holds no held-out losses: the guide's first table has nothing beside it."
        )
    head = [
        "Loss",
        "Guide's reduction",
        "Ours before",
        "after",
        "reduction",
        "Guide before",
        "after",
        "reduction",
    ]
    caption = "Held-out losses in nats: the untrained twin before, the trained model after"
    note = (
        "Losses are means over all scored positions of the same held-out rows with the same views for both models; "
        "documents that share a 13-gram of tokens with training are left out, and no interval is computed. The guide "
        "does not say what its losses before are; ours are those of the same architecture at random initialisation. "
        "The guide has no row for the numerical objective"
        + (
            ", whose loss adds token types and the value of the next number."
            if "numerical" in losses
            else "."
        )
        + _whole_contrastive(losses.get("contrastive") or {})
    )
    return join(
        table(caption, head, [_loss_row(key, row) for key, row in losses.items()], words=2),
        paragraph(note, class_="note"),
    )


def guide_tasks(inputs: Inputs) -> Html:
    """The guide's table of downstream tasks beside ours."""
    rows = {task: inputs.task(task) for task in guide.TASKS if inputs.task(task)}
    if not rows:
        return absent(
            "metrics/evaluation.json holds no downstream tasks: the guide's second table has nothing beside it."
        )
    head = [
        "Task",
        "Guide's figure",
        "n",
        "Ours before",
        "after",
        "gain",
        "Guide before",
        "after",
        "Untrained twin",
    ]
    caption = "Downstream tasks, 95% intervals below the figures"
    note = (
        "Met means that the figure after training is at least the guide's; where the lower end of its interval is "
        "not, the row says so. Above means that the lower end after training lies above the untrained twin's upper "
        "end. Semantic similarity is Spearman's correlation; the guide gives it in percent."
    )
    return join(
        table(caption, head, [_task_row(task, row) for task, row in rows.items()], words=2),
        paragraph(note, class_="note"),
    )


def _verdicts(inputs: Inputs, rows: Mapping[str, Mapping[str, Any]]) -> Html:
    losses = {
        key: row
        for key, row in (inputs.evaluation.get("losses") or {}).items()
        if key in guide.LOSSES
    }
    tasks_met = sum(guide.verdict_of_task(task, row).kind != "missed" for task, row in rows.items())
    losses_met = sum(
        guide.verdict_of_loss(key, row).kind != "missed" for key, row in losses.items()
    )
    above = sum(map(guide.above_twin, rows.values()))
    reached = (
        f"{tasks_met} of {len(guide.TASKS)} tasks and {losses_met} of {len(guide.LOSSES)} losses"
    )
    words = f"{reached} reach the guide's figures; {above} of {len(rows)} tasks lie clearly above the untrained twin."
    corpus = at(inputs.evaluation, "corpus") or {}
    where = (
        f" Held-out documents: {count(corpus.get('documents'))}, corpus: {corpus.get('name')}."
        if corpus
        else ""
    )
    return paragraph(words + where, class_="note")


def _tile(task: str, row: Mapping[str, Any]) -> Html:
    metric = row.get("metric") or "accuracy"
    after = f"{span(row.get('ci95'), metric)}, n = {count(row.get('n'))}"
    before = f"from {score(row.get('before'), metric)} ({span(row.get('before_ci95'), metric)})"
    both = known(row.get("before")) and known(row.get("after"))
    change = (
        f"{gain(row['after'] - row['before'], metric)}, guide {_guide_shown(task, 1)}"
        if both
        else ""
    )
    return tag(
        "div", tag("h3", name(task)), paragraph(score(row.get("after"), metric), class_="big"), paragraph(after),
        paragraph(before), paragraph(change), paragraph(guide.verdict_of_task(task, row).mark()), class_="tile",
    )  # fmt: skip


def _whole_contrastive(row: dict[str, Any]) -> str:
    """What the contrastive row leaves out: the graded parts of the objective."""
    total = row.get("total")
    if not total:
        return ""
    return (
        " The contrastive row is NT-Xent, as the guide's; with the graded similarity of numbers and sentences the "
        f"whole objective fell from {total['before']:.3f} to {total['after']:.3f}, by {total['reduction']:.1%}."
    )


def _loss_row(key: str, row: Mapping[str, Any]) -> list[Any]:
    ours = [number(row.get("before")), number(row.get("after")), _reduction(row)]
    if key not in guide.LOSSES:
        return [name(key), "–", *ours, "–", "–", "–"]
    before, after, reduction = guide.LOSSES[key]
    theirs = [number(before, 1), number(after, 1), percent(reduction, 0)]
    return [name(key), guide.verdict_of_loss(key, row).mark(), *ours, *theirs]


def _reduction(row: Mapping[str, Any]) -> str:
    """As a share of the loss before; nothing where a loss is not above zero, since a share of it says nothing."""
    positive = (
        known(row.get("before"))
        and known(row.get("after"))
        and min(row["before"], row["after"]) > 0
    )
    return percent(row.get("reduction")) if positive else "–"


def _task_row(task: str, row: Mapping[str, Any]) -> list[Any]:
    metric = row.get("metric") or "accuracy"
    before = with_interval(row.get("before"), row.get("before_ci95"), metric)
    after = with_interval(row.get("after"), row.get("ci95"), metric)
    title = join(name(task), tag("span", metric_name(metric), class_="ci"))
    theirs = (_guide_shown(task, 0), _guide_shown(task, 1))
    figures = (count(row.get("n")), before, after, difference(row, metric))
    return [
        title,
        guide.verdict_of_task(task, row).mark(),
        *figures,
        *theirs,
        guide.verdict_of_twin(row).mark(),
    ]


def _guide_shown(task: str, which: int) -> str:
    return percent(guide.TASKS[task][which], 0)


def _direction(row: Mapping[str, Any]) -> str:
    interval = row.get("difference_ci95")
    if not is_interval(interval):
        return "raised" if guide.above_twin(row) else "did not clearly change"
    return (
        "raised" if interval[0] > 0 else "lowered" if interval[1] < 0 else "did not clearly change"
    )


def _from_to(task: str, row: Mapping[str, Any]) -> str:
    metric = row.get("metric") or "accuracy"
    before, after = score(row.get("before"), metric), score(row.get("after"), metric)
    ends = span(row.get("before_ci95"), metric), span(row.get("ci95"), metric)
    return f"{name(task).lower()} from {before} [{ends[0]}] to {after} [{ends[1]}]"


def _listed(clauses: list[str]) -> str:
    return clauses[0] if len(clauses) == 1 else f"{', '.join(clauses[:-1])} and {clauses[-1]}"
