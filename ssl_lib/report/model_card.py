"""`report/model_card.md`: what the model learned, on what, how well, and where it ends.

The registered version in MLflow has it as its description. It is written from the files of a run,
as the page is; what is missing is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ssl_lib.config import OBJECTIVES, Settings
from ssl_lib.report.inputs import Inputs, Interval, Result
from ssl_lib.report.markup import count, name, number
from ssl_lib.report.own_text import best_baseline

LEARNED = {
    "mlm": "restores masked tokens",
    "ntp": "predicts the next token",
    "contrastive": "embeds what belongs together near each other, numbers by their amounts",
    "denoising": "restores corrupted tokens through a bottleneck",
    "numerical": "classifies tokens and predicts the value of the next number",
}
LIMITS = (
    "Results are those of one run, on held-out documents of the corpus that it was trained on. "
    "Intervals are 95% and come from resampling the items; another seed may differ by more.",
    "A number is predicted as a distribution: read its interval, not its median alone.",
    "It has seen no other text than this corpus, knows no facts beyond it, and follows no "
    "instructions.",
)


def model_card(settings: Settings, inputs: Inputs) -> str:
    """The card as Markdown."""
    title = settings.tracking.registered_model
    evaluation = inputs.evaluation
    lines = [f"# {title}", "", "One encoder, pretrained on text full of numbers. It", ""]
    lines += [f"* {LEARNED[one]} (`{one}`)" for one in settings.trained()]
    lines += ["", "## Trained on", "", *_facts(settings, inputs)]
    losses = _losses(evaluation)
    if losses:
        head = ["held-out loss, nats", "before", "after"]
        lines += ["", "## Results", "", *_table(head, losses)]
    skills = _rows({name: Result.of(tree) for name, tree in inputs.skills().items()})
    if skills:
        head = ["skill of objective", "metric", "before", "after", "best baseline", "items"]
        lines += ["", *_table(head, skills)]
    tasks = _rows(inputs.downstream())
    if tasks:
        head = ["downstream task", "metric", "before", "after", "best baseline", "items"]
        lines += ["", *_table(head, tasks)]
    lines += ["", "*Before* is the same architecture at its random initialization."]
    lines += ["", "## Limits", "", *(f"* {sentence}" for sentence in LIMITS)]
    return "\n".join(lines) + "\n"


def _facts(settings: Settings, inputs: Inputs) -> list[str]:
    """Corpus, size and cost, one line each."""
    train = inputs.train
    corpus = settings.corpus.display_name
    facts = [f"Corpus: {corpus}"]
    documents = (inputs.manifest.get("documents") or {}).get("train")
    if documents:
        facts[0] += f", {documents:,} documents"
    facts += [f"{place}: `{digest}`" for place, digest in inputs.digests.items()]
    if train:
        facts.append(f"{train['tokens']:,} tokens in {train['steps']:,} steps")
        facts.append(f"{train['parameters']:,} parameters, {train['seconds']:,.0f} seconds")
    if inputs.commit:
        facts.append(f"Commit {inputs.commit}")
    return [f"* {fact}" for fact in facts]


def _losses(evaluation: dict[str, Any]) -> list[list[str]]:
    rows = []
    for objective, loss in (evaluation.get("losses") or {}).items():
        if objective in OBJECTIVES:
            rows.append([objective, number(loss["before"]), number(loss["after"])])
    return rows


def _rows(results: Mapping[str, Result]) -> list[list[str]]:
    """A row for each result, with intervals."""
    rows = []
    for task, result in results.items():
        before = _with_interval(result.before, result.before_ci95)
        after = _with_interval(result.after, result.after_ci95)
        plain = best_baseline(result)
        best = f"{number(plain.value)} ({plain.label})" if plain else "none"
        rows.append([name(task), result.metric, before, after, best, count(result.n)])
    return rows


def _with_interval(value: float | None, ends: Interval | None) -> str:
    if value is None or ends is None:
        return number(value)
    return f"{number(value)} ({number(ends[0])} to {number(ends[1])})"


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]
