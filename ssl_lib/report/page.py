"""The page: sections in their order, in one file that asks nothing of the network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from ssl_lib.config import Settings
from ssl_lib.files import write_atomically
from ssl_lib.report import guide, learning, methods, numbers, overview, provenance, tasks
from ssl_lib.report.examples import examples
from ssl_lib.report.inputs import Inputs
from ssl_lib.report.markup import Html, absent, paragraph, tag
from ssl_lib.report.style import STYLE

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


class Section(NamedTuple):
    """A heading with its content."""

    id: str
    title: str
    content: Callable[[], Html]


def sections(settings: Settings, inputs: Inputs, written: str) -> list[Section]:
    """Everything below the headline, in the order of the page."""
    return [
        Section(
            "guide-tasks", "Downstream tasks beside the guide", lambda: overview.guide_tasks(inputs)
        ),
        Section("guide-losses", "Losses beside the guide", lambda: overview.guide_losses(inputs)),
        Section("curves", "Loss curves", lambda: learning.loss_curves(inputs)),
        Section(
            "downstream", "Before and after, with baselines", lambda: methods.downstream(inputs)
        ),
        Section("external", "Files of your own", lambda: methods.external(inputs)),
        Section("reasoning", "Numerical reasoning by family", lambda: tasks.reasoning(inputs)),
        Section("similarity", "Cosine by graded similarity", lambda: tasks.similarity(inputs)),
        Section("next-tokens", "Next tokens in more detail", lambda: tasks.next_tokens(inputs)),
        Section("number-line", "Number line", lambda: numbers.number_line(inputs)),
        Section(
            "calibration", "Calibration of number prediction", lambda: numbers.calibration(inputs)
        ),
        Section("roles", "Confusion of roles", lambda: tasks.roles(inputs)),
        Section("probes", "Probes of numbers", lambda: numbers.probes(inputs)),
        Section("transfer", "Transfer between objectives", lambda: learning.transfer(inputs)),
        Section("neighbours", "Nearest neighbours of numbers", lambda: numbers.neighbours(inputs)),
        Section("examples", "Examples, wrong and right", lambda: examples(inputs)),
        Section("contamination", "Contamination", lambda: provenance.contamination(inputs)),
        Section("tuning", "Tuning", lambda: learning.tuning(inputs)),
        Section("corpus", "Corpus", lambda: provenance.corpus(inputs)),
        Section("settings", "Settings", lambda: provenance.settings_table(settings, inputs)),
        Section(
            "circumstances",
            "Commit, time, hardware",
            lambda: provenance.circumstances(inputs, written),
        ),
    ]


def render_page(settings: Settings, inputs: Inputs, written: str) -> str:
    """The whole page; `written` is the moment to show."""
    parts = sections(settings, inputs, written)
    contents = tag(
        "nav",
        tag("ul", *(tag("li", tag("a", part.title, href=f"#{part.id}")) for part in parts)),
        aria_label="Contents",
    )
    header = tag(
        "header",
        tag("h1", "What self-supervised pretraining taught this model"),
        overview.headline(inputs),
        _missing(inputs),
        contents,
    )
    body = tag("body", header, tag("main", *map(_section, parts)), _footer())
    return "<!DOCTYPE html>\n" + tag("html", _head(inputs), body, lang="en") + "\n"


def write_page(settings: Settings, inputs: Inputs, folder: Path) -> Path:
    """Write `index.html` into `folder`, complete or not at all."""
    written = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    target = folder / "index.html"
    write_atomically(target, render_page(settings, inputs, written))
    return target


def _head(inputs: Inputs) -> Html:
    corpus = inputs.evaluation.get("corpus") or {}
    title = f"ssl-lib report: {corpus.get('name', 'no evaluation yet')}"
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(STYLE)),
    )


def _section(part: Section) -> Html:
    heading = tag("h2", part.title, id=f"{part.id}-title")
    return tag("section", heading, part.content(), id=part.id, aria_labelledby=f"{part.id}-title")


def _missing(inputs: Inputs) -> Html | None:
    return (
        absent(f"Not there, and so not shown: {'; '.join(inputs.missing)}.")
        if inputs.missing
        else None
    )


def _footer() -> Html:
    lines: Sequence[str] = (
        f"The guide is “{guide.TITLE}”, which this project implements; its figures are quoted as given.",
        "Before is the same architecture at its random initialisation, given the same probes and the same labelled "
        "data. All figures come from documents that no training, tuning or early stopping has seen.",
    )
    return tag("footer", *map(paragraph, lines))
