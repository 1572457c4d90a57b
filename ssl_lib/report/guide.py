"""The beginning of the page: what was gained in one sentence, and the guide's tables beside ours.

The guide's marks of tasks stand in the registry, `ssl_lib.evaluation.tasks`; those of losses here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ssl_lib.evaluation.tasks import TASKS
from ssl_lib.report.inputs import Inputs, Result, at, known
from ssl_lib.report.markup import (
    NONE,
    Html,
    absent,
    after_cell,
    before_cell,
    count,
    gain,
    gain_cell,
    interval_text,
    join,
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
)

TITLE = "Self-Supervised Learning for Numerical Token Prediction"
# The guide's first table: nats before and after training, and the reduction as a share.
LOSSES = {
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
        # <span class="mark near">≈ met, interval reaches below</span>
        sign = SIGNS[self.kind]
        return tag("span", f"{sign} {self.words}", class_=f"mark {self.kind}")


SIGNS = {"met": "✓", "near": "≈", "missed": "✗"}
MET = Verdict("met", "met")
MISSED = Verdict("missed", "not met")
NEAR = Verdict("near", "met, interval reaches below")
NO_MARK = Verdict("none", "the guide has no mark")


def mark_of_task(task: str, which: int) -> float | None:
    """The guide's result of a task before (0) or after (1) training, None where it has none."""
    if task not in TASKS:
        return None
    guide = TASKS[task].guide
    return guide[which] if guide else None


def verdict_of_loss(objective: str, loss: Mapping[str, Any]) -> Verdict:
    """Does the reduction of a held-out loss reach the guide's?"""
    if objective not in LOSSES:
        return NO_MARK
    reduction = loss.get("reduction")
    bar = LOSSES[objective][2]
    if known(reduction) and reduction >= bar:
        return MET
    return MISSED


def verdict_of_task(task: str, result: Result) -> Verdict:
    """Does the result after training reach the guide's, and does its interval stay above it?"""
    bar = mark_of_task(task, 1)
    if bar is None:
        return NO_MARK
    if result.after is None or result.after < bar:
        return MISSED
    # 89.1% [87.1–91.1] reaches a mark of 88%; other items might have given less.
    if result.after_ci95 and result.after_ci95[0] < bar:
        return NEAR
    return MET


def verdict_of_twin(result: Result) -> Verdict:
    """Do the intervals of the trained model and of its twin lie apart, the better one trained?"""
    place = "above" if result.higher_is_better else "below"
    missed = Verdict("missed", f"not {place}")
    if result.before_ci95 is None or result.after_ci95 is None:
        return missed
    # Before [23, 27], after [87, 91] lie apart; [30, 41] and [40, 60] do not.
    before_low, before_high = result.before_ci95
    after_low, after_high = result.after_ci95
    better = after_low > before_high
    if not result.higher_is_better:
        better = after_high < before_low
    return Verdict("met", place) if better else missed


def headline(inputs: Inputs) -> Html:
    """One sentence with intervals, one line of verdicts, a tile for each task."""
    results = inputs.downstream()
    if not results:
        return absent(
            "metrics/evaluation.json holds no downstream tasks yet: run `dvc repro` to measure "
            "them."
        )
    lead = paragraph(sentence(results), class_="lead")
    verdicts = _verdicts(inputs, results)
    tiles = [_tile(task, result) for task, result in results.items()]
    return join(lead, verdicts, tag("div", *tiles, class_="tiles"))


def sentence(results: Mapping[str, Result]) -> str:
    """What pretraining did to each task, in words.

    "… raised a from 25.1% [23.1–27.1] to 89.1% [87.1–91.1] and b from …; it lowered c from …". A
    change counts only where the interval of the paired difference leaves out zero.
    """
    groups: dict[str, list[str]] = {"raised": [], "did not clearly change": [], "lowered": []}
    for task, result in results.items():
        metric = result.metric
        before = score(result.before, metric)
        after = score(result.after, metric)
        before_ends = interval_text(result.before_ci95, metric)
        after_ends = interval_text(result.after_ci95, metric)
        change = f"from {before} [{before_ends}] to {after} [{after_ends}]"
        title = name(task).lower()
        direction = _direction(result)
        groups[direction].append(f"{title} {change}")

    clauses = []
    for verb, tasks in groups.items():
        # ["a", "b", "c"] → "a, b and c"
        *first, last = tasks or [""]
        if first:
            last = ", ".join(first) + f" and {last}"
        if tasks:
            clauses.append(f"{verb} {last}")
    changes = "; it ".join(clauses)
    lead = "On text that training has never seen, pretraining"
    return f"{lead} {changes} (95% intervals in brackets)."


def _direction(result: Result) -> str:
    """The verb for a change, by the interval of the difference or else by both intervals."""
    if result.difference_ci95 is None:
        verdict = verdict_of_twin(result)
        return "raised" if verdict.kind == "met" else "did not clearly change"
    low, high = result.difference_ci95
    if low > 0:
        return "raised"
    return "lowered" if high < 0 else "did not clearly change"


def _verdicts(inputs: Inputs, results: Mapping[str, Result]) -> Html:
    """How many tasks and losses reach the guide's results, and on what they were measured."""
    losses = inputs.evaluation.get("losses") or {}
    tasks_met = losses_met = above = 0
    for task, result in results.items():
        tasks_met += verdict_of_task(task, result) in (MET, NEAR)
        above += verdict_of_twin(result).kind == "met"
    for objective, loss in losses.items():
        losses_met += verdict_of_loss(objective, loss) == MET
    marked = sum(task.guide is not None for task in TASKS.values())
    words = (
        f"{tasks_met} of {marked} tasks and {losses_met} of {len(LOSSES)} losses reach the guide's "
        f"results; {above} of {len(results)} tasks lie clearly above the randomly initialised twin."
    )
    corpus = inputs.evaluation.get("corpus")
    if corpus:
        documents = count(corpus.get("documents"))
        words += f" Held-out documents: {documents}, corpus: {corpus.get('name')}."
    return note(words)


def _tile(task: str, result: Result) -> Html:
    """The result after training in large type, with what is needed to judge it."""
    metric = result.metric
    verdict = verdict_of_task(task, result)
    ends = interval_text(result.after_ci95, metric)
    before = score(result.before, metric)
    before_ends = interval_text(result.before_ci95, metric)
    change = ""
    if result.gain is not None:
        change = gain(result.gain, metric)
        bar = mark_of_task(task, 1)
        if bar is not None:
            change += f", guide {whole_percent(bar)}"
    # <div class="tile"><h3>…</h3><p class="big">89.1%</p><p>87.1–91.1, n = 1,000</p>…
    lines = [f"{ends}, n = {count(result.n)}", f"from {before} ({before_ends})", change]
    if verdict != NO_MARK:
        lines.append(verdict.mark())
    large = paragraph(score(result.after, metric), class_="big")
    return tag("div", tag("h3", name(task)), large, *map(paragraph, lines), class_="tile")


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
        title = join(name(task), small(metric_name(result.metric)))
        # Task, verdict, n; ours before, after and gain; the guide's before and after; verdict.
        row = [title, verdict_of_task(task, result).mark(), count(result.n)]
        row += [before_cell(result), after_cell(result), gain_cell(result)]
        row += [whole_percent(mark_of_task(task, which)) for which in (0, 1)]
        row += [verdict_of_twin(result).mark(), _plain_methods(result)]
        rows.append(row)
    head = ["Task", "Guide's result", "n", "Ours before", "after", "gain"]
    head += ["Guide before", "after", "Random init.", "Plain methods"]
    words = (
        "Met means that the result after training is at least the guide's; where the lower end of "
        "its interval is not, the row says so. Above means that the lower end after training lies "
        "above the upper end of the randomly initialised twin. Semantic similarity is Spearman's "
        "correlation; the guide gives it in percent. Where a plain method is as good, pretraining "
        "gains nothing for the task."
    )
    caption = "Downstream tasks, 95% intervals below the values"
    return join(table(caption, head, rows, words=2), note(words))


def _plain_methods(result: Result) -> Html:
    """What others reach on the same items, the best first."""
    values = {key: one for key, one in (result.tree.get("baselines") or {}).items() if known(one)}
    order = sorted(values, key=lambda key: values[key], reverse=result.higher_is_better)
    return small(", ".join(f"{name(key)} {score(values[key], result.metric)}" for key in order))


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
        before = loss.get("before")
        after = loss.get("after")
        # A share of a loss that is not above zero, as a density's need not be, says nothing.
        positive = known(before) and known(after) and min(before, after) > 0
        reduction = percent(loss.get("reduction")) if positive else NONE
        # Loss, verdict; ours before, after and reduction; the guide's, where it has the loss.
        row = [name(objective), verdict_of_loss(objective, loss).mark()]
        row += [number(before), number(after), reduction]
        if objective in LOSSES:
            guide_before, guide_after, guide_reduction = LOSSES[objective]
            row += [number(guide_before, 1), number(guide_after, 1), whole_percent(guide_reduction)]
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
    way = at(losses, "ntp", "toward_best")
    if way:
        words += f" {_about_the_way(way)}"
    # The objective adds soft-label terms to NT-Xent; the guide's loss is NT-Xent alone.
    total = at(losses, "contrastive", "total")
    if total:
        words += (
            " The contrastive row is NT-Xent, as the guide's; with the soft-label similarity of "
            f"numbers and sentences the whole objective fell from {total['before']:.3f} to "
            f"{total['after']:.3f}, by {total['reduction']:.1%}."
        )
    return words


def _about_the_way(way: Mapping[str, Any]) -> str:
    """What the reduction of next-token prediction is worth beside counts of n-grams."""
    counts, best = number(way["ngram_counts"]), number(way["best"])
    found = f"n-gram counts have {counts}, the trained model {number(way['after'])}"
    method = name(way["best_method"]).lower() if way["best_method"] != "trained" else "it is that"
    share = percent(way["share"]) if known(way.get("share")) else "nothing: counts are the best"
    return (
        "A random start is easily beaten, so next-token prediction is also measured on the way "
        "from n-gram counts to the best known: in bits per byte of the same documents "
        f"{found}, the best known {best} ({method}), which makes {share} of the way. Best known "
        "is the lowest that any method here reaches, the trained model among them, as the entropy "
        "of a text is not known. The other objectives have no plain method that is scored as they "
        "are, and so no such share."
    )
