"""The beginning of the page: what was gained in one sentence, and the guide's tables beside ours.

The guide's marks of tasks stand in the registry, `ssl_lib.evaluation.tasks`; those of losses here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ssl_lib.evaluation.tasks import TASKS
from ssl_lib.report.inputs import Inputs
from ssl_lib.report.markup import (
    NONE,
    Html,
    absent,
    count,
    difference,
    gain,
    interval_text,
    is_interval,
    join,
    known,
    metric_name,
    name,
    note,
    number,
    paragraph,
    percent,
    score,
    table,
    tag,
    with_interval,
)

TITLE = "Self-Supervised Learning for Numerical Token Prediction"
LOSSES = {  # before, after, reduction
    "mlm": (5.0, 2.1, 0.58),
    "ntp": (4.5, 1.8, 0.60),
    "contrastive": (3.0, 0.5, 0.83),
    "denoising": (4.2, 1.5, 0.64),
}


class Verdict(NamedTuple):
    """`kind` is met, near, missed or none; `words` say it."""

    kind: str
    words: str

    def mark(self) -> Html:
        """The verdict as a mark that needs no color to be read: ✓ met."""
        if self.kind == "none":
            return Html(NONE)
        sign = {"met": "✓", "near": "≈", "missed": "✗"}[self.kind]
        return tag("span", f"{sign} {self.words}", class_=f"mark {self.kind}")


NO_MARK = Verdict("none", "the guide has no mark")


def mark_of_task(task: str, which: int) -> float | None:
    """The guide's result of a task before (0) or after (1) training, None where it has none."""
    guide = TASKS[task].guide if task in TASKS else None
    return guide[which] if guide else None


def verdict_of_loss(objective: str, loss: Mapping[str, Any]) -> Verdict:
    """Does the reduction of a held-out loss reach the guide's?"""
    if objective not in LOSSES:
        return NO_MARK
    reduction = loss.get("reduction")
    if known(reduction) and reduction >= LOSSES[objective][2]:
        return Verdict("met", "met")
    return Verdict("missed", "not met")


def verdict_of_task(task: str, result: Mapping[str, Any]) -> Verdict:
    """Does the result after training reach the guide's, and does its interval stay above it?"""
    bar = mark_of_task(task, 1)
    if bar is None:
        return NO_MARK
    after, interval = result.get("after"), result.get("ci95")
    if not known(after) or after < bar:
        return Verdict("missed", "not met")
    if is_interval(interval) and interval[0] < bar:
        return Verdict("near", "met, interval reaches below")
    return Verdict("met", "met")


def verdict_of_twin(result: Mapping[str, Any]) -> Verdict:
    """Do the intervals of the trained model and of its twin lie apart, the better one trained?"""
    after, before = result.get("ci95"), result.get("before_ci95")
    if not is_interval(after) or not is_interval(before):
        return Verdict("missed", "not above")
    if result.get("higher_is_better") is False:
        return Verdict("met", "below") if after[1] < before[0] else Verdict("missed", "not below")
    return Verdict("met", "above") if after[0] > before[1] else Verdict("missed", "not above")


def headline(inputs: Inputs) -> Html:
    """One sentence with intervals, one line of verdicts, a tile for each task."""
    results = inputs.downstream()
    if not results:
        return absent(
            "metrics/evaluation.json holds no downstream tasks yet: run `dvc repro` to measure "
            "them."
        )
    tiles = [_tile(task, result) for task, result in results.items()]
    lead = paragraph(sentence(results), class_="lead")
    return join(lead, _verdicts(inputs, results), tag("div", *tiles, class_="tiles"))


def sentence(results: Mapping[str, Mapping[str, Any]]) -> str:
    """What pretraining did to each task, in words.

    "… raised a from 25.1% [23.1–27.1] to 89.1% [87.1–91.1] and b from …; it lowered c from …". A
    change counts only where the interval of the paired difference leaves out zero.
    """
    groups: dict[str, list[str]] = {"raised": [], "did not clearly change": [], "lowered": []}
    for task, result in results.items():
        interval = result.get("difference_ci95")
        if not is_interval(interval):
            raised, lowered = verdict_of_twin(result).kind == "met", False
        else:
            raised, lowered = interval[0] > 0, interval[1] < 0
        verb = "raised" if raised else "lowered" if lowered else "did not clearly change"
        metric = _metric(result)
        before = score(result.get("before"), metric)
        after = score(result.get("after"), metric)
        before_ends = interval_text(result.get("before_ci95"), metric)
        after_ends = interval_text(result.get("ci95"), metric)
        change = f"from {before} [{before_ends}] to {after} [{after_ends}]"
        groups[verb].append(f"{name(task).lower()} {change}")

    clauses = []
    for verb, tasks in groups.items():
        if tasks:
            # ["a", "b", "c"] → "a, b and c"
            first, last = ", ".join(tasks[:-1]), tasks[-1]
            clauses.append(f"{verb} {first} and {last}" if first else f"{verb} {last}")
    changes = "; it ".join(clauses)
    lead = "On text that training has never seen, pretraining"
    return f"{lead} {changes} (95% intervals in brackets)."


def _verdicts(inputs: Inputs, results: Mapping[str, Mapping[str, Any]]) -> Html:
    """How many tasks and losses reach the guide's results, and on what they were measured."""
    losses = inputs.evaluation.get("losses") or {}
    of_tasks = [verdict_of_task(task, result) for task, result in results.items()]
    of_losses = [verdict_of_loss(objective, loss) for objective, loss in losses.items()]
    tasks_met = sum(verdict.kind in ("met", "near") for verdict in of_tasks)
    losses_met = sum(verdict.kind == "met" for verdict in of_losses)
    marked = sum(task.guide is not None for task in TASKS.values())
    above = sum(verdict_of_twin(result).kind == "met" for result in results.values())
    words = (
        f"{tasks_met} of {marked} tasks and {losses_met} of {len(LOSSES)} losses reach the guide's "
        f"results; {above} of {len(results)} tasks lie clearly above the randomly initialised twin."
    )
    corpus = inputs.evaluation.get("corpus") or {}
    if corpus:
        documents = count(corpus.get("documents"))
        words += f" Held-out documents: {documents}, corpus: {corpus.get('name')}."
    return note(words)


def _tile(task: str, result: Mapping[str, Any]) -> Html:
    """The result after training in large type, with what is needed to judge it."""
    metric = _metric(result)
    before, after = result.get("before"), result.get("after")
    ends = interval_text(result.get("ci95"), metric)
    before_ends = interval_text(result.get("before_ci95"), metric)
    change = ""
    if known(before) and known(after):
        change = gain(after - before, metric)
        bar = mark_of_task(task, 1)
        if bar is not None:
            change += f", guide {percent(bar, 0)}"
    verdict = verdict_of_task(task, result)
    return tag(
        "div",
        tag("h3", name(task)),
        paragraph(score(after, metric), class_="big"),
        paragraph(f"{ends}, n = {count(result.get('n'))}"),
        paragraph(f"from {score(before, metric)} ({before_ends})"),
        paragraph(change),
        paragraph(verdict.mark()) if verdict != NO_MARK else None,
        class_="tile",
    )


def guide_tasks(inputs: Inputs) -> Html:
    """The guide's table of downstream tasks beside ours."""
    results = inputs.downstream()
    if not results:
        return absent(
            "metrics/evaluation.json holds no downstream tasks: the guide's second table has "
            "nothing beside it."
        )
    rows = []
    for task, result in results.items():
        metric = _metric(result)
        rows.append(
            [
                join(name(task), tag("span", metric_name(metric), class_="ci")),
                verdict_of_task(task, result).mark(),
                count(result.get("n")),
                with_interval(result.get("before"), result.get("before_ci95"), metric),
                with_interval(result.get("after"), result.get("ci95"), metric),
                difference(result, metric),
                percent(mark_of_task(task, 0), 0),
                percent(mark_of_task(task, 1), 0),
                verdict_of_twin(result).mark(),
            ]
        )
    head = ["Task", "Guide's result", "n", "Ours before", "after", "gain"]
    head += ["Guide before", "after", "Random init."]
    words = (
        "Met means that the result after training is at least the guide's; where the lower end of "
        "its interval is not, the row says so. Above means that the lower end after training lies "
        "above the upper end of the randomly initialised twin. Semantic similarity is Spearman's "
        "correlation; the guide gives it in percent."
    )
    caption = "Downstream tasks, 95% intervals below the values"
    return join(table(caption, head, rows, words=2), note(words))


def guide_losses(inputs: Inputs) -> Html:
    """The guide's table of losses beside the held-out losses of this run."""
    losses = inputs.evaluation.get("losses") or {}
    if not losses:
        return absent(
            "metrics/evaluation.json holds no held-out losses: the guide's first table has "
            "nothing beside it."
        )
    rows = []
    for objective, loss in losses.items():
        before, after = loss.get("before"), loss.get("after")
        # A share of a loss that is not above zero, as a density's need not be, says nothing.
        positive = known(before) and known(after) and min(before, after) > 0
        reduction = percent(loss.get("reduction")) if positive else NONE
        row = [name(objective), verdict_of_loss(objective, loss).mark()]
        row += [number(before), number(after), reduction]
        if objective in LOSSES:
            guide_before, guide_after, guide_reduction = LOSSES[objective]
            row += [number(guide_before, 1), number(guide_after, 1), percent(guide_reduction, 0)]
        else:
            row += [NONE, NONE, NONE]
        rows.append(row)
    head = ["Loss", "Guide's reduction", "Ours before", "after", "reduction"]
    head += ["Guide before", "after", "reduction"]
    caption = (
        "Held-out losses in nats: the randomly initialised twin before, the trained model after"
    )
    return join(table(caption, head, rows, words=2), note(_about_losses(losses)))


def _about_losses(losses: Mapping[str, Any]) -> str:
    """What the table of losses compares, and what its contrastive row leaves out."""
    words = (
        "Losses are means over all target positions of the same held-out sequences with the same "
        "views for both models; documents that share a 13-gram of tokens with training are left "
        "out, and no interval is computed. The guide does not say what its losses before are; ours "
        "are those of the same architecture at random initialisation. The guide has no row for the "
        "numerical objective"
    )
    if "numerical" in losses:
        words += ", whose loss adds token types and the value of the next number"
    words += "."
    total = (losses.get("contrastive") or {}).get("total")
    if total:
        words += (
            " The contrastive row is NT-Xent, as the guide's; with the soft-label similarity of "
            f"numbers and sentences the whole objective fell from {total['before']:.3f} to "
            f"{total['after']:.3f}, by {total['reduction']:.1%}."
        )
    return words


def _metric(result: Mapping[str, Any]) -> str:
    return result.get("metric") or "accuracy"
