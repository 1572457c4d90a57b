"""The report of a run: one self-contained page, and its main pictures as PNG files.

Start at page.py, which lists the sections; each file has those of one subject.

page.py           the page from top to bottom, and the style sheet of style.py
guide.py          the headline, and the guide's two tables beside ours
own_text.py       what was learned of the corpus's own text, beside plain methods
skills.py         the skill of each objective; the guide's examples as they came out
learning.py       loss curves, transfer between objectives
search.py         tuning: choice, history, importance, every trial
tasks.py          each task, and each file of one's own, with every method; examples
task_details.py   families of reasoning, pairs by similarity, next tokens, confusion of roles
numbers.py        number line, calibration, probes, nearest neighbours
model_card.py     the model in short, for the registry
provenance.py     contamination, corpus, settings, commit, time, hardware
inputs.py         the files that a run leaves, those that are missing told by name
number_line.py    numbers as the encoder sees them, computed from a model
pictures.py       PNG files
markup.py, svg.py values as text, HTML, tables; drawings

A task of `ssl_lib.evaluation.tasks` is on the page without a change here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssl_lib.config import Settings
    from ssl_lib.predictor import Predictor


def evaluate(settings: Settings, root: Path) -> dict[str, Any]:
    """Run stage `evaluate`: what `ssl_lib.evaluation` measures, then the number line and the page.

    Returns what `metrics/evaluation.json` holds. Raises UserError as `ssl_lib.evaluation.evaluate`.
    """
    from ssl_lib import evaluation
    from ssl_lib.report.number_line import write_number_line

    def present(before: Predictor, after: Predictor) -> None:
        write_number_line(before, after, root / "report")
        write_report(settings, root)

    return evaluation.evaluate(settings, root, present)


def write_report(settings: Settings, root: Path) -> Path:
    """Write the page, its pictures and the model card from the files of the last run.

    Returns `report/index.html`. A file that is missing or unreadable costs its part of the page
    alone, which says so.
    """
    from ssl_lib.files import write_atomically
    from ssl_lib.report.inputs import read_inputs
    from ssl_lib.report.model_card import model_card
    from ssl_lib.report.page import write_page
    from ssl_lib.report.pictures import write_pictures

    inputs = read_inputs(root)
    write_pictures(inputs, root / "report")
    write_atomically(root / "report" / "model_card.md", model_card(settings, inputs))
    return write_page(settings, inputs, root / "report")
