"""Stage `evaluate`: the trained model against its random initialization, on the same items.

stage.py               what is measured, from top to bottom; start reading here
tasks.py               the tasks by name, one line each; docs/evaluation.md adds another
base.py                what a task is made of: items, answers, scores
token_classification.py  numerical_reasoning.py  semantic_similarity.py  next_token_prediction.py
held_out_text.py  number_prediction.py  probes.py    one file per task
own_text.py            what the tasks about the corpus's own documents share, sentences.py too
next_number.py  masked_text.py  written_forms.py  wrong_number.py  neighbors.py    these tasks
context_baselines.py  compressors.py    plain methods that have read the training text
losses.py              held-out losses of both models
skills/                what each objective has learned to do, one file an objective
guide_examples.py      the guide's examples, right or wrong as they come out
comparison.py          before, after and baselines on the same items, with intervals
statistics.py          the bootstrap behind the intervals
data.py  items.py      what tasks may use; their items, cleared of what stands in training
contamination.py       13-grams of tokens that test and training text share
baselines.py  char_cnn.py    other ways to answer: counts, bags of words, a small network
external.py            files of one's own, each through one of the tasks
lines.py  readers.py  number_sets.py    their lines, their formats, public sets about numbers
plots.py               tables for DVC
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssl_lib.config import Settings
    from ssl_lib.predictor import Predictor


def evaluate(
    settings: Settings, root: Path, present: Callable[[Predictor, Predictor], None] | None = None
) -> dict[str, Any]:
    """Evaluate `model/`: `metrics/evaluation.json`, `plots/*.csv`, `report/`, and the MLflow run.

    `present` is called with the randomly initialized and the trained model once the files are
    written, before the tracker takes `report/`: `ssl_lib.report.evaluate` writes its page there.
    Returns what `metrics/evaluation.json` holds. Raises UserError where the model or the tokens
    cannot be read.
    """
    from ssl_lib.evaluation.stage import run

    return run(settings, root, present)
