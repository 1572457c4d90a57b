"""Tasks and files of one's own, with every method on the same items; items right and wrong.

Each task of the registry gets a block: a drawing and a table of before, after and baselines. What
single tasks show beyond that stands in task_details.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ssl_lib.report.guide import mark_of_task
from ssl_lib.report.inputs import Inputs, Result, at, is_interval, known
from ssl_lib.report.markup import (
    NONE,
    Html,
    absent,
    count,
    figure,
    gain_with_interval,
    grid,
    interval_text,
    is_share,
    join,
    legend,
    metric_name,
    name,
    note,
    number,
    paragraph,
    percent,
    score,
    short,
    spaced,
    table,
    tag,
    whole_percent,
    with_interval,
)
from ssl_lib.report.svg import Mark, Row, interval_chart

COLORS = legend(
    ("--before", "randomly initialised twin"), ("--after", "trained"), ("--plain", "other methods")
)


class Method(NamedTuple):
    """One way to answer the items: its result, and how far the trained model is ahead of it."""

    label: str
    value: float
    interval: Any
    ahead: Any
    style: str


def downstream(inputs: Inputs) -> Html:
    """The downstream tasks, then others without a part of their own, one after the other."""
    results = inputs.downstream() | inputs.further()
    if not results:
        return absent("metrics/evaluation.json holds no downstream tasks.")
    words = (
        "Every method answers the same items. Lines and the small values are 95% intervals, by "
        "resampling the items, or whole documents where several items stand in one; the last "
        "column is the paired difference, on the same resampled items. The dotted line is the "
        "guide's result."
    )
    blocks = []
    for task, result in results.items():
        bar = mark_of_task(task, 1)
        blocks.append(method_block(name(task), result, bar))
    return join(COLORS, paragraph(words), *blocks)


def external(inputs: Inputs) -> Html:
    """Files that `evaluation.external` names."""
    trees = inputs.evaluation.get("external")
    if not trees:
        return absent("evaluation.external names no file, so none was evaluated.")
    blocks = []
    for key, tree in trees.items():
        if tree and tree.get("error"):
            blocks.append(tag("h3", key))
            blocks.append(note(f"Not evaluated: {tree['error']}"))
        elif tree:
            words = _about_file(tree)
            blocks.append(method_block(key, Result.of(tree), None, words))
    return join(COLORS, *blocks)


def methods(result: Result) -> list[Method]:
    """The randomly initialised twin, the trained model, then baselines: those with a result."""
    found = []
    tree = result.tree
    if result.before is not None:
        ends = result.before_ci95
        ahead = result.difference_ci95
        found.append(Method("Random init.", result.before, ends, ahead, "before"))
    if result.after is not None:
        found.append(Method("Trained", result.after, result.after_ci95, None, "after"))
    # "baselines": {"char_cnn": 0.81}, "baselines_ci95": {"char_cnn": [0.78, 0.84]}, and
    # "over_baselines_ci95": the interval of the trained model's result less the baseline's.
    for key, value in (tree.get("baselines") or {}).items():
        if known(value):
            ends = at(tree, "baselines_ci95", key)
            ahead = at(tree, "over_baselines_ci95", key)
            found.append(Method(name(key), value, ends, ahead, "plain"))
    return found


def method_block(title: str, result: Result, bar: float | None, words: str = "") -> Html:
    """A drawing and a table of every method; `bar` is a result to reach, `words` stand above."""
    metric = result.metric
    found = methods(result)
    caption = f"{title}: {metric_name(metric)}, n = {count(result.n)}"
    drawn = None
    if found:
        chart = _method_chart(caption, found, metric, bar)
        drawn = figure(chart, caption)

    rows = []
    for method in found:
        shown = with_interval(method.value, method.interval, metric)
        ahead: Html | str = NONE
        if method.style != "after" and result.after is not None:
            lead = result.after - method.value
            ahead = gain_with_interval(lead, method.ahead, metric)
        rows.append([method.label, shown, ahead])
    head = ["Method", "Result", "Trained less it"]
    beside = tag("div", table(f"{title}: methods on the same items", head, rows))

    if not result.higher_is_better:
        words = f"{words} Less is better."
    above = note(words.strip()) if words else None
    return join(tag("h3", title), above, grid(drawn, beside))


def _method_chart(caption: str, found: Sequence[Method], metric: str, bar: float | None) -> Html:
    """One row a method, from zero or the lowest end to the highest possible value."""
    rows = []
    ends = []
    for method in found:
        interval = method.interval if is_interval(method.interval) else None
        ends += [method.value, *(interval or ())]
        mark = Mark(method.value, interval, method.style)
        shown = score(method.value, metric)
        rows.append(Row(method.label, [mark], shown))
    # "Tense: accuracy, n = 77; Random init. 31.0%, Trained 72.0%" is what a screen reader says.
    values = [f"{row.label} {row.shown}" for row in rows]
    title = f"{caption}; {', '.join(values)}"
    # Shares and correlations end at 1; bits per byte and errors have no highest value.
    high = 1.05 * max(ends)
    if is_share(metric) or metric == "spearman":
        high = 1.0

    def tick(value: float) -> str:
        if is_share(metric):
            return whole_percent(value)
        return number(value, 1)

    return interval_chart(title, rows, (min(0.0, *ends), high), tick, bar)


def _about_file(tree: Mapping[str, Any]) -> str:
    """How many items of which file were answered, what was left out, and results beside its own."""
    asked = count(tree.get("asked"))
    all_items = count(tree.get("of"))
    task = name(tree.get("task") or "")
    words = f"{task} on {tree.get('path')}: {asked} of {all_items} items."
    contaminated = at(tree, "contamination", "contaminated")
    if contaminated:
        words += f" {count(contaminated)} of those drawn share a 13-gram of tokens with training "
        words += "and were left out."
    repeated = tree.get("repeated")
    if repeated:
        words += f" {count(repeated)} repeat a sentence that the probe learns from and were left "
        words += "out."
    for reason, items in (tree.get("left_out") or {}).items():
        words += f" {count(items)} more were left out: {spaced(reason)}."
    linear = at(tree, "pearson", "after")
    if known(linear):
        words += f" Pearson's correlation: {score(linear, 'spearman')}."
    files = tree.get("files") or {}
    if files:
        # {"STS.input.news.txt": {"before": 0.4, "after": 0.5, "n": 250}}
        told = [f"{file} {score(row.get('after'), 'spearman')}" for file, row in files.items()]
        words += f" Mean of {len(files)} files, weighted by their pairs: {', '.join(told)}."
    for key, label in (
        ("exact_match", "Exact match by generation"),
        ("four_choice", "Four-choice with near numbers"),
    ):
        if tree.get(key):
            beside = Result.of(tree[key])
            after = percent(beside.after)
            ends = interval_text(beside.after_ci95, beside.metric)
            before = percent(beside.before)
            words += f" {label}: {after} ({ends}), randomly initialised twin {before}."
    for kind, label in (("all", "all tokens"), ("numbers", "tokens inside numbers")):
        right = at(tree, "accuracy", kind)
        if right:
            after = percent(right.get("after"))
            words += f" Top-1 accuracy on {label}: {after}."
    return words


def examples(inputs: Inputs) -> Html:
    """Items that the trained model answered, wrong ones first, as the evaluation recorded them."""
    parts: list[Html] = []
    for task, title, show in (
        ("numerical_reasoning", "Numerical reasoning", choice_example),
        ("token_classification", "Roles of numbers", role_example),
        ("next_token_prediction", "Next tokens that the context determines", next_token_example),
    ):
        items = inputs.detail(task).get("examples") or []
        if items:
            parts.append(tag("h3", title))
            parts.append(tag("ul", *map(show, items), class_="examples"))

    pairs = inputs.detail("semantic_similarity").get("examples") or []
    if pairs:
        rows = []
        # {"first": "The bridge is 2 km long.", "second": …, "score": 1.0, "cosine": 0.94}
        for pair in pairs:
            target = number(pair["score"], 2)
            cosine = number(pair["cosine"], 2)
            rows.append([pair["first"], pair["second"], target, cosine])
        caption = "Pairs ranked most nearly by their target similarity, then those ranked least so"
        parts.append(tag("h3", "Semantic similarity"))
        parts.append(table(caption, ["First", "Second", "Target", "Cosine"], rows, words=2))

    predictions = inputs.detail("number_prediction").get("examples") or []
    if predictions:
        rows = [prediction_example(item) for item in predictions]
        head = ["Text before the number", "True", "Median", "90% interval", "Deterministic"]
        parts.append(tag("h3", "Predictions of the next number"))
        parts.append(table("The first numbers of the test", head, rows))
    if not parts:
        return absent("report/evaluation.json holds no examples.")
    words = (
        "Taken by rule from the start of the items, wrong ones before right ones; nothing was "
        "picked by hand."
    )
    return join(paragraph(words), *parts)


def choice_example(item: Mapping[str, Any]) -> Html:
    """A four-choice item: the prompt with what was chosen, then the answer and the others."""
    # {"prompt": "2 and 3 is", "choices": [" 5.", " 6."], "answer": 0, "chosen": 1, "family": …}
    choices = item["choices"]
    answer = item["answer"]
    chosen = item["chosen"]
    right = answer == chosen
    verdict = "right"
    if not right:
        verdict = f"wrong, the answer is {choices[answer].strip().removesuffix('.')}"
    left = [choice.strip() for i, choice in enumerate(choices) if i not in (answer, chosen)]
    about = f"{item['family']}: {verdict}. Other choices: {' · '.join(left)}"
    return _example(
        right, join(item["prompt"].rstrip(), " ", tag("mark", choices[chosen].strip())), about
    )


def role_example(item: Mapping[str, Any]) -> Html:
    """A number in its sentence, its role and the one that was predicted."""
    # {"text": "In 1999 the team …", "span": [3, 7], "role": "year", "predicted": "year"}
    role = spaced(item["role"])
    predicted = spaced(item["predicted"])
    right = role == predicted
    about = f"{role}: right" if right else f"{role}, taken for {predicted}"
    return _example(right, marked(item["text"], [item["span"]]), about)


def next_token_example(item: Mapping[str, Any]) -> Html:
    """A document with the deterministic tokens that were missed."""
    # {"text": "Half of 8 is 4.", "missed": [[13, 14]], "positions": 1}: spans of characters
    missed = item["missed"]
    positions = item["positions"]
    if missed:
        about = f"{len(missed)} of {positions} deterministic tokens missed"
    else:
        about = f"all {positions} deterministic tokens right"
    return _example(not missed, marked(item["text"], missed), about)


def prediction_example(item: Mapping[str, Any]) -> list[Any]:
    """A row of the table of predicted numbers: the end of the text, the number, its prediction."""
    prompt = item["prompt"]
    if len(prompt) > 90:
        prompt = f"… {prompt[-90:]}"
    interval = " to ".join(short(end) for end in item["interval"])
    deterministic = "yes" if item["determined"] else "no"
    return [prompt, item["true"], short(item["value"]), interval, deterministic]


def marked(text: str, spans: Sequence[Sequence[int]]) -> Html:
    """A text with some spans of characters marked; spans that overlap or touch are one.

    ("abcd", [(1, 2), (2, 3)]) → `a<mark>bc</mark>d`
    """
    merged: list[tuple[int, int]] = []
    for start, end in sorted((int(start), int(end)) for start, end in spans):
        if merged and start <= merged[-1][1]:
            first, last = merged.pop()
            merged.append((first, max(end, last)))
        else:
            merged.append((start, end))
    parts: list[str] = []
    done = 0
    for start, end in merged:
        parts += [text[done:start], tag("mark", text[start:end])]
        done = end
    return join(*parts, text[done:])


def _example(right: bool, text: Html, about: str) -> Html:
    # <li class="wrong"><p>… is <mark>6.</mark></p><p class="what">✗ addition: wrong, …</p></li>
    sign, class_ = ("✓", "right") if right else ("✗", "wrong")
    below = paragraph(f"{sign} {about}", class_="what")
    return tag("li", paragraph(text), below, class_=class_)
