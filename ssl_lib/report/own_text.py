"""The first table: the corpus's own held-out documents, with the best plain method beside."""

from __future__ import annotations

from ssl_lib.report.inputs import Inputs, Result, is_interval
from ssl_lib.report.markup import (
    NONE,
    Html,
    absent,
    after_cell,
    before_cell,
    count,
    join,
    metric_name,
    name,
    note,
    paragraph,
    percent,
    small,
    table,
    tag,
    with_interval,
)
from ssl_lib.report.tasks import COLORS, Method, method_block, methods

BUILT_IN = "built-in"
ONE_DOMAIN = 0.8  # with a larger share of one domain, its nearest document says little


def is_own(inputs: Inputs) -> bool:
    """Does the corpus hold anything but the built-in text?"""
    corpus = inputs.evaluation.get("corpus") or {}
    return bool(corpus) and corpus.get("name") != BUILT_IN


def own_text(inputs: Inputs) -> Html:
    """One row a task: trained, twin, the best plain method and the verdict; then every method."""
    results = inputs.own_text()
    if not results:
        return absent("metrics/evaluation.json holds nothing about the corpus's own documents.")
    rows = []
    for task, result in results.items():
        best = best_baseline(result)
        beside: Html | str = NONE
        if best is not None:
            shown = with_interval(best.value, best.interval, result.metric)
            beside = join(best.label, " ", shown)
        title = join(name(task), small(metric_name(result.metric)))
        row = [title, marked(result), count(result.n), after_cell(result)]
        rows.append([*row, before_cell(result), beside])
    head = ["Task", "Verdict", "n", "Trained", "Random init.", "Best plain method"]
    words = (
        "Items are made of held-out documents that share no 13-gram of tokens with training text; "
        "nothing is labeled by hand. A verdict needs a paired 95% interval that leaves out zero; "
        "a method without an interval is compared with the trained model's own."
    )
    words += _about_domains(inputs)
    blocks = [method_block(name(task), result, None) for task, result in results.items()]
    caption = "What was learned of this text, 95% intervals below the values"
    every = tag("details", tag("summary", "Every method"), COLORS, *blocks)
    return join(
        paragraph(summary(results)), table(caption, head, rows, words=2), note(words), every
    )


def lead(inputs: Inputs) -> Html | None:
    """The first sentence of the page where the corpus is not the built-in one."""
    results = inputs.own_text()
    if not is_own(inputs) or not results:
        return None
    return paragraph(f"On your own text: {summary(results)}", class_="lead")


def marked(result: Result) -> Html:
    """The verdict with a sign: ✓ better than the best plain method, ✗ worse, ≈ neither."""
    best = best_baseline(result)
    found = _compared(result, best) if best else ""
    kind, sign = {"better": ("met", "✓"), "worse": ("missed", "✗")}.get(found, ("near", "≈"))
    return tag("span", f"{sign} {verdict(result)}", class_=f"mark {kind}")


def _about_domains(inputs: Inputs) -> str:
    """What the check against training text left of the domains, where that is not all of them."""
    if "neighbors" not in inputs.own_text():
        return (
            " The nearest document is not asked: fewer than two domains have two documents that "
            "share no 13-gram with training text."
        )
    domains = inputs.detail("neighbors").get("domains") or {}
    asked, every = domains.get("asked"), domains.get("held_out")
    if asked == every and domains.get("largest", 0.0) > ONE_DOMAIN:
        return (
            f" Of the documents that the nearest is looked for, {percent(domains['largest'])} are "
            "of one domain, so that chance is nearly as good and the task says little."
        )
    if asked == every:
        return ""
    return (
        f" The nearest document is asked in {asked} of {every} domains: the others have fewer than "
        "two documents that share no 13-gram with training text, and chance is the higher."
    )


def best_baseline(result: Result) -> Method | None:
    """The plain method with the best result; chance is none."""
    plain = [one for one in methods(result) if one.style == "plain" and one.label != "Chance"]
    if not plain:
        return None
    best = max if result.higher_is_better else min
    return best(plain, key=lambda method: method.value)


def verdict(result: Result) -> str:
    """Better or worse than the best plain method and than the twin, in words."""
    best = best_baseline(result)
    twin = Method("its random start", result.before or 0.0, None, result.difference_ci95, "before")
    if best is None:
        found = _compared(result, twin)
        return f"{found} than {twin.label}" if found else f"no clear difference from {twin.label}"
    first = _compared(result, best)
    words = f"{first} than {best.label}" if first else f"no clear difference from {best.label}"
    second = _compared(result, twin)
    if second == "worse":
        words += "; worse than its random start"
    elif not second:
        words += "; no clear gain over its random start"
    return words


def _compared(result: Result, other: Method) -> str:
    """`better`, `worse`, or nothing where the interval holds zero."""
    ends = other.ahead
    if not is_interval(ends) and is_interval(result.after_ci95):
        # known without asking: the trained model's interval less its value
        ends = [end - other.value for end in result.after_ci95]
    if not is_interval(ends):
        return ""
    # where less is better, less than the other is ahead of it
    low, high = ends if result.higher_is_better else (-ends[1], -ends[0])
    if low > 0:
        return "better"
    return "worse" if high < 0 else ""


def summary(results: dict[str, Result]) -> str:
    """How many tasks the trained model wins and loses against the best plain method."""
    # {"next_number": "better", "masked_text": ""}: nothing where the interval holds zero
    outcomes = {}
    for task, result in results.items():
        best = best_baseline(result)
        if best is not None:
            outcomes[task] = _compared(result, best)
    if not outcomes:
        return "No plain method was asked beside the trained model."
    every = list(outcomes.values())
    wins, losses = every.count("better"), every.count("worse")
    even = len(outcomes) - wins - losses
    named = [name(task) for task, found in outcomes.items() if found == "worse"]
    words = f"Better than every plain method in {wins} of {len(outcomes)} tasks, worse in {losses}"
    words += f" ({', '.join(named)})" if named else ""
    words += f", no clear difference in {even}." if even else "."
    return words + (" Where it is worse, use the plain method instead." if named else "")
