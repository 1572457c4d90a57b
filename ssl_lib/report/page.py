"""The page: sections in their order, in one file that asks nothing of the network."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from ssl_lib.config import Settings
from ssl_lib.files import write_atomically
from ssl_lib.report import (
    guide,
    learning,
    numbers,
    own_text,
    provenance,
    search,
    skills,
    task_details,
    tasks,
)
from ssl_lib.report.inputs import Inputs
from ssl_lib.report.markup import Html, absent, paragraph, tag
from ssl_lib.report.style import STYLE

# The page may use its own style sheet and pictures in it, and load nothing at all.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
FOOTER = (
    f"The guide is “{guide.TITLE}”, which this project implements; its results are quoted as "
    "given.",
    "Before is the same architecture at its random initialisation, given the same probes and the "
    "same labelled data. All results come from documents that no training, tuning or early "
    "stopping has seen.",
)


class Section(NamedTuple):
    """A heading with its content; the contents of the page link to its id."""

    id: str
    title: str
    content: Html


def sections(settings: Settings, inputs: Inputs, written: str) -> list[Section]:
    """Everything below the headline, in the order of the page."""
    own = "Your own text" if own_text.is_own(inputs) else "The corpus's own held-out documents"
    return [
        Section("own-text", own, own_text.own_text(inputs)),
        Section("skills", "Five objectives, five skills", skills.skills(inputs)),
        Section("guide-tasks", "Downstream tasks beside the guide", guide.guide_tasks(inputs)),
        Section("guide-losses", "Losses beside the guide", guide.guide_losses(inputs)),
        Section("curves", "Loss curves", learning.loss_curves(inputs)),
        Section("downstream", "Before and after, with baselines", tasks.downstream(inputs)),
        Section("external", "Files of your own", tasks.external(inputs)),
        Section("reasoning", "Numerical reasoning by family", task_details.reasoning(inputs)),
        Section("similarity", "Cosine by target similarity", task_details.similarity(inputs)),
        Section("next-tokens", "Next tokens in more detail", task_details.next_tokens(inputs)),
        Section("number-line", "Number line", numbers.number_line(inputs)),
        Section("calibration", "Calibration of number prediction", numbers.calibration(inputs)),
        Section("roles", "Confusion of roles", task_details.roles(inputs)),
        Section("probes", "Probes of numbers", numbers.probes(inputs)),
        Section("transfer", "Transfer between objectives", learning.transfer(inputs)),
        Section("neighbours", "Nearest neighbours of numbers", numbers.neighbors(inputs)),
        Section("examples", "Examples, wrong and right", tasks.examples(inputs)),
        Section("contamination", "Contamination", provenance.contamination(inputs)),
        Section("tuning", "Tuning", search.tuning(inputs)),
        Section("corpus", "Corpus", provenance.corpus(inputs)),
        Section("settings", "Settings", provenance.settings_table(settings, inputs)),
        Section("run", "Commit, time, hardware", provenance.run_metadata(inputs, written)),
    ]


def render_page(settings: Settings, inputs: Inputs, written: str) -> str:
    """The whole page; `written` is the moment to show."""
    parts = sections(settings, inputs, written)
    links = [tag("li", tag("a", part.title, href=f"#{part.id}")) for part in parts]
    missing = None
    if inputs.missing:
        missing = absent(f"Not there, and so not shown: {'; '.join(inputs.missing)}.")
    header = tag(
        "header",
        tag("h1", "What self-supervised pretraining taught this model"),
        own_text.lead(inputs),
        guide.headline(inputs),
        skills.guide_examples(inputs),
        missing,
        tag("nav", tag("ul", *links), aria_label="Contents"),
    )

    # <section id="curves" aria-labelledby="curves-title"><h2 id="curves-title">Loss curves</h2>…
    main = []
    for part in parts:
        title_id = f"{part.id}-title"
        title = tag("h2", part.title, id=title_id)
        main.append(tag("section", title, part.content, id=part.id, aria_labelledby=title_id))
    footer = tag("footer", *map(paragraph, FOOTER))
    body = tag("body", header, tag("main", *main), footer)

    corpus = inputs.evaluation.get("corpus") or {}
    viewport = "width=device-width, initial-scale=1"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content=viewport),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"ssl-lib report: {corpus.get('name', 'no evaluation yet')}"),
        tag("style", Html(STYLE)),
    )
    return "<!DOCTYPE html>\n" + tag("html", head, body, lang="en") + "\n"


def write_page(settings: Settings, inputs: Inputs, folder: Path) -> Path:
    """Write `index.html` into `folder`, complete or not at all; return its path."""
    target = folder / "index.html"
    written = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    write_atomically(target, render_page(settings, inputs, written))
    return target
