"""The report of a run: one self-contained page, and its main figures as PNG files.

page.py           the page from top to bottom; start reading here
inputs.py         the files that a run leaves, those that are missing told by name
overview.py       headline, the guide's two tables beside ours
learning.py       loss curves, tuning, transfer between objectives
methods.py        each task, and each file of one's own, with every method on the same items
tasks.py          families of reasoning, next tokens of several kinds, confusion of roles
numbers.py        number line, calibration, probes, nearest neighbours
examples.py       what the model got right and wrong
provenance.py     contamination, corpus, settings, commit, time, hardware
guide.py          the guide's figures and what it takes to meet them
number_line.py    numbers as the trunk sees them, computed from a model
pictures.py       PNG files
svg.py, markup.py, formats.py, style.py    drawing, HTML, figures as text, the style sheet
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
    """Write `report/index.html` and `report/*.png` from the files of the last run; return the page.

    A file that is missing or unreadable costs its part of the page alone, which says so.
    """
    from ssl_lib.report.inputs import read_inputs
    from ssl_lib.report.page import write_page
    from ssl_lib.report.pictures import write_pictures

    inputs = read_inputs(root)
    write_pictures(inputs, root / "report")
    return write_page(settings, inputs, root / "report")
