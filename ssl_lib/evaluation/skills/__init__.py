"""The skills by objective, one line each: what every objective has learned to do, not its loss.

base.py          what a skill is made of: items, answers, parts; start reading here
pieces.py        words and numbers of held-out documents, and which ones their text determines
mlm.py  ntp.py  contrastive.py  denoising.py  numerical.py    one file per objective
noise.py         text as people and scanners get it wrong; edits; a spelling corrector

Nothing but the standard library is imported here, so that page and commands can read it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ssl_lib.evaluation.skills.base import SkillMeasure


class Skill(NamedTuple):
    """What is known of a skill before it is asked: its class, its title, what its metric is called.

    `home` is the file of this folder and the class in it; the file is called as the objective.
    """

    home: str
    title: str
    metric: str

    @property
    def objective(self) -> str:
        """The objective that it belongs to."""
        return self.home.partition(".")[0]

    def load(self) -> SkillMeasure[Any, Any]:
        """The measure itself, ready to be asked."""
        module, _, kind = self.home.partition(".")
        file = importlib.import_module(f"{__name__}.{module}")
        measure: SkillMeasure[Any, Any] = getattr(file, kind)(self)
        return measure


LINES = (
    Skill("mlm.MaskedPieces", "Masked words and numbers restored", "exact_match"),
    Skill("ntp.NextPieces", "Next words and numbers predicted", "exact_match"),
    Skill("contrastive.Restatements", "Restatement found among 1,000", "accuracy_at_1"),
    Skill("denoising.Corrections", "Corrupted text corrected", "f1_of_edits"),
    Skill("numerical.TypesAndValues", "Token types and next numbers", "right"),
)
SKILLS: dict[str, Skill] = {skill.objective: skill for skill in LINES}
# metrics of parts that are shares, written in percent on the page
SHARES = frozenset(
    "exact_match accuracy_at_1 f1_of_edits right exact_rows left_alone coverage".split()
)
MEAN = "skills"  # what metrics/summary.json calls the mean of the five


def skill_name(objective: str) -> str:
    """What `metrics/summary.json` calls the skill of an objective."""
    return f"{objective}_skill"
