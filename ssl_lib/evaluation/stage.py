"""The stage itself: loads the model and its untrained twin, runs every measure, writes the files, tells MLflow."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ssl_lib.config import Settings
from ssl_lib.errors import UserError
from ssl_lib.evaluation.asked import Ground, cleared, draw
from ssl_lib.evaluation.downstream import counted_ngrams, downstream
from ssl_lib.evaluation.external import External, evaluate_external, read_external
from ssl_lib.evaluation.figures import figures, with_details
from ssl_lib.evaluation.plots import plot_tables
from ssl_lib.evaluation.protocol import Contest
from ssl_lib.files import write_atomically
from ssl_lib.progress import progress_bar

if TYPE_CHECKING:
    from ssl_lib.predictor import Predictor
    from ssl_lib.tokens.store import TokenStore

MOST_VALUES, MOST_TEXTS = 1_000_000, 20_000  # of the corpus, so that memory does not grow with it


class EvaluationError(UserError):
    """What `evaluate` needs is missing or unreadable."""


class RawTexts:
    """The texts of one `data/raw/*.jsonl`, read anew at each pass, so that memory does not grow with the corpus."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[str]:
        try:
            with self.path.open(encoding="utf-8") as lines:
                for line in lines:
                    yield json.loads(line)["text"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EvaluationError(
                f"{self.path}: cannot be read ({error}); run `ssl-lib corpus` again"
            ) from None


def run(
    settings: Settings, root: Path, present: Callable[[Predictor, Predictor], None] | None
) -> dict[str, Any]:
    """All of the stage `evaluate`; returns the metrics that it wrote."""
    from ssl_lib.predictor import Predictor, load
    from ssl_lib.tokens.store import TokenStore

    started = time.perf_counter()
    after = load(root / "model")
    before = Predictor.untrained(after.settings, after.encoding)
    contest = Contest(before, after, settings.seed, settings.evaluation.bootstrap_samples)
    external = read_external(settings.evaluation, root, settings.seed)
    test = TokenStore.open(root / "data" / "tokenized" / "test")
    found: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    with progress_bar("evaluate") as bar:
        for name, result in _measures(contest, test, external, settings, root):
            found[name] = result
            seconds[name] = time.perf_counter() - started - sum(seconds.values())
            bar.advance(text=f"{name} done")
    seconds["evaluate"] = time.perf_counter() - started
    metrics = figures(found) | _circumstances(settings, root, test.meta, seconds)
    _write(root, metrics, found, seconds)
    if present is not None:
        present(before, after)
    _record(settings, root, metrics)
    return metrics


def _measures(
    contest: Contest, test: TokenStore, external: list[External], settings: Settings, root: Path
) -> Iterator[tuple[str, Any]]:
    from ssl_lib.evaluation.losses import held_out_losses

    ground, evaluation = ground_of(root), settings.evaluation
    asked, contamination = cleared(
        draw(evaluation, contest.seed, ground), evaluation, contest.after.encoding, ground
    )
    yield "contamination", contamination
    yield "losses", held_out_losses(contest.after, contest.before, test, asked.unseen, settings)
    ngrams = counted_ngrams(contest, ground, evaluation)
    yield from downstream(contest, asked, ground, ngrams, evaluation)
    if external:
        yield (
            "external",
            evaluate_external(contest, external, ground, ngrams, evaluation.baselines != "none"),
        )
    if evaluation.baselines == "full":
        from ssl_lib.evaluation.alone import objectives_alone

        trained = contest.after.settings.replaced({"evaluation": evaluation.model_dump()})
        yield "objectives_alone", dict(objectives_alone(contest, asked, trained, root))


def ground_of(root: Path) -> Ground:
    """What the tasks may use of a project beside the two models. Raises UserError if `tokenize` has not run."""
    from ssl_lib.tokens.store import TokenStore

    train = TokenStore.open(root / "data" / "tokenized" / "train")
    raw = root / "data" / "raw"
    numbers = train.numbers[:: 1 + len(train.numbers) // MOST_VALUES]
    held_out = list(islice(RawTexts(raw / "test.jsonl"), MOST_TEXTS))
    return Ground(
        train.tokens,
        np.array(numbers["value"], dtype=np.float64),
        RawTexts(raw / "train.jsonl"),
        held_out,
    )


def _circumstances(
    settings: Settings, root: Path, meta: dict[str, Any], seconds: dict[str, float]
) -> dict[str, Any]:
    """The corpus that was judged on, and how long everything took."""
    held_out = {"split": "test", "documents": meta["documents"], "tokens": meta["tokens"]}
    measured = {name: round(value, 3) for name, value in seconds.items()}
    return {
        "corpus": {"name": settings.corpus.name, **held_out},
        "seconds": {"train": _seconds_of_training(root), **measured},
    }


def _seconds_of_training(root: Path) -> float:
    """From `metrics/train.json`, wherever the training stage has put its seconds; 0 where there is none."""
    try:
        found = json.loads((root / "metrics" / "train.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0.0
    seconds = found.get("seconds", 0.0)
    return float(seconds.get("train", 0.0) if isinstance(seconds, dict) else seconds)


def _write(
    root: Path, metrics: dict[str, Any], found: dict[str, Any], seconds: dict[str, float]
) -> None:
    """Every file complete or absent. `report/evaluation.json` has the details of every measure."""
    details = with_details(found)
    write_atomically(root / "metrics" / "evaluation.json", _json(metrics))
    write_atomically(root / "report" / "evaluation.json", _json(details | {"seconds": seconds}))
    for name, text in plot_tables(metrics, details).items():
        write_atomically(root / "plots" / f"{name}.csv", text)


def _json(tree: Any) -> str:
    return json.dumps(_plain(tree), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    """Standard JSON: tuples and arrays become lists, NumPy's numbers Python's, and what is not finite null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _record(settings: Settings, root: Path, metrics: dict[str, Any]) -> None:
    """Figures and files into the run that trained the model, which becomes the champion if it is the best so far."""
    from ssl_lib.tracking import promote, resume_run

    try:
        run_id = json.loads((root / "model" / "run.json").read_text(encoding="utf-8"))["run_id"]
    except (OSError, ValueError, KeyError) as error:
        raise EvaluationError(
            f"{root / 'model' / 'run.json'}: cannot be read ({error}); run `ssl-lib train`"
        ) from None
    with resume_run(settings, root, run_id, "evaluate") as tracked:
        tracked.log(dict(_flat("evaluation", _plain(metrics))), step=0)
        tracked.log_artifact(root / "metrics" / "evaluation.json", "evaluation")
        tracked.log_artifact(root / "report", "report")
    promote(settings, root, run_id)


def _flat(prefix: str, tree: Any) -> Iterator[tuple[str, float]]:
    """Leaves that are numbers, under names that MLflow allows; intervals become `.low` and `.high`."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _flat(f"{prefix}.{key}", value)
    elif isinstance(tree, list) and len(tree) == 2:
        yield from _flat(f"{prefix}.low", tree[0])
        yield from _flat(f"{prefix}.high", tree[1])
    elif isinstance(tree, (int, float)) and not isinstance(tree, bool):
        yield prefix, float(tree)
