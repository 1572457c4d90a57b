"""Items that the trained model got wrong, and some that it got right, as the evaluation recorded them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ssl_lib.report.formats import number, short
from ssl_lib.report.inputs import Inputs
from ssl_lib.report.markup import Html, absent, join, paragraph, table, tag


def examples(inputs: Inputs) -> Html:
    """Wrong ones first, of every task."""
    makers = (
        ("numerical_reasoning", "Numerical reasoning", _choice),
        ("token_classification", "Roles of numbers", _role),
        ("next_token_prediction", "Next tokens that the context determines", _next),
    )
    parts: list[Html] = []
    for task, title, make in makers:
        found = inputs.detail(task).get("examples") or []
        if found:
            parts += [tag("h3", title), tag("ul", *(make(one) for one in found), class_="examples")]
    parts += _pairs(inputs.detail("semantic_similarity").get("examples") or [])
    parts += _forecasts(inputs.detail("number_prediction").get("examples") or [])
    if not parts:
        return absent("report/evaluation.json holds no examples.")
    words = "Taken by rule from the start of the items, wrong ones before right ones; nothing was picked by hand."
    return join(paragraph(words), *parts)


def marked(text: str, spans: Sequence[Sequence[int]]) -> Html:
    """A text with some spans of characters marked; spans that overlap or touch are one."""
    parts: list[Any] = []
    done = 0
    for start, end in _merged(spans):
        parts += [text[done:start], tag("mark", text[start:end])]
        done = end
    return join(*parts, text[done:])


def _merged(spans: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted((int(start), int(end)) for start, end in spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _choice(row: Mapping[str, Any]) -> Html:
    choices, answer, chosen = row["choices"], row["answer"], row["chosen"]
    right = answer == chosen
    said = tag("mark", choices[chosen].strip())
    true = "right" if right else f"wrong, the answer is {choices[answer].strip().removesuffix('.')}"
    others = " · ".join(
        choice.strip() for i, choice in enumerate(choices) if i not in (answer, chosen)
    )
    what = f"{row['family']}: {true}. Other choices: {others}"
    return _item(right, join(row["prompt"].rstrip(), " ", said), what)


def _role(row: Mapping[str, Any]) -> Html:
    role, predicted = (row[key].replace("_", " ") for key in ("role", "predicted"))
    right = role == predicted
    what = f"{role}: right" if right else f"{role}, taken for {predicted}"
    return _item(right, marked(row["text"], [row["span"]]), what)


def _next(row: Mapping[str, Any]) -> Html:
    missed = len(row["missed"])
    what = (
        f"{missed} of {row['positions']} determined tokens missed"
        if missed
        else f"all {row['positions']} determined tokens right"
    )
    return _item(not missed, marked(row["text"], row["missed"]), what)


def _item(right: bool, text: Html, what: str) -> Html:
    return tag(
        "li",
        paragraph(text),
        paragraph(("✓ " if right else "✗ ") + what, class_="what"),
        class_="right" if right else "wrong",
    )


def _pairs(found: Sequence[Mapping[str, Any]]) -> list[Html]:
    if not found:
        return []
    rows = [
        [row["first"], row["second"], number(row["score"], 2), number(row["cosine"], 2)]
        for row in found
    ]
    caption = "Pairs ranked most nearly as graded, then those ranked least so"
    return [
        tag("h3", "Semantic similarity"),
        table(caption, ["First", "Second", "Graded", "Cosine"], rows, words=2),
    ]


def _ending(text: str, most: int = 90) -> str:
    return text if len(text) <= most else f"… {text[-most:]}"


def _forecasts(found: Sequence[Mapping[str, Any]]) -> list[Html]:
    if not found:
        return []
    rows = [
        [_ending(row["prompt"]), row["true"], short(row["value"]), " to ".join(short(end) for end in row["interval"]),
         "yes" if row["determined"] else "no"]
        for row in found
    ]  # fmt: skip
    head = ["Text before the number", "True", "Median", "90% interval", "Determined"]
    return [
        tag("h3", "Forecasts of the next number"),
        table("The first numbers of the test", head, rows),
    ]
