"""`ssl-lib ablate`: models of some of the objectives, at equal tokens, and what each adds.

Every model is a nested MLflow run and a line of a file in `.ssl_lib/ablate`, whose name hashes
settings and tokens: what has been trained is not trained again. A model is trained and evaluated in
a process of its own.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

from ssl_lib.config import Settings, with_best
from ssl_lib.experiments.subsets import chosen_subsets, evaluator, train_subset
from ssl_lib.experiments.transfer import summarize, write_files
from ssl_lib.files import write_atomically
from ssl_lib.progress import progress_bar
from ssl_lib.tokens.store import TokenStore
from ssl_lib.tracking import resume_run, start_run
from ssl_lib.training.checkpoint import run_key

Result = dict[str, Any]  # of one model
Key = tuple[str, int]  # its label and seed
NOT_HASHED = {"external", "baselines"}  # settings of `evaluate` that decide nothing here


class Model(NamedTuple):
    """All that a process needs to train and evaluate one model."""

    label: str
    names: tuple[str, ...]
    settings: Settings
    item_seed: int
    root: Path
    parent_run: str


# How several models are trained: `train_and_evaluate` for each, wherever that runs.
TrainAll = Callable[[Sequence[Model]], Iterator[Result]]


def ablate(
    settings: Settings,
    root: Path,
    subsets: Sequence[str] = (),
    every: bool = False,
    seeds: int = 1,
    steps: int | None = None,
    workers: int = 1,
    train_all: TrainAll | None = None,
) -> dict[str, Any]:
    """Train and evaluate the subsets with `seeds` seeds each, and write `ablation/`.

    `subsets` are labels such as `mlm+ntp`, `all` or `all-ntp`; see `chosen_subsets`. The models are
    trained by `train_all`, which calls `train_and_evaluate` for each and gives the results as they
    come; without it in `workers` processes of this machine. Returns what `ablation/results.json`
    holds. Raises UserError for a label that names something else.
    """
    settings = with_best(settings, root)
    if steps is not None:
        warmup = min(settings.training.warmup_steps, steps // 4)
        settings = settings.replaced({"training.steps": steps, "training.warmup_steps": warmup})
    chosen = chosen_subsets(subsets, settings.trained(), every)
    # all models of the first seed come first
    seeded = range(settings.seed, settings.seed + seeds)
    plan = [(label, seed) for seed in seeded for label in chosen]
    folder = root / ".ssl_lib" / "ablate"
    finished = Finished(folder / f"{study_key(settings, root)}.jsonl")
    # the models of one time share the processor
    shared = (os.cpu_count() or 1) // workers
    threads = settings.training.threads or max(1, shared)
    with start_run(settings, root, "ablate") as run:
        run.log_params(settings.model_dump())
        missing = []
        for label, seed in plan:
            if (label, seed) not in finished.results:
                own = settings.replaced({"seed": seed, "training.threads": threads})
                names = chosen[label]
                model = Model(label, names, own, settings.seed, root, run.run_id)
                missing.append(model)
        with progress_bar("ablate", "models", len(plan), done=len(plan) - len(missing)) as bar:
            results_of = train_all(missing) if train_all else _results(missing, workers, folder)
            for result in results_of:
                finished.add(result)
                seconds = sum(result["seconds"].values())
                name = f"{result['subset']}, seed {result['seed']}"
                bar.advance(text=f"{name}: {seconds:.0f} s")
        results = [finished.results[key] for key in plan]
        found = summarize(results, list(chosen), settings)
        write_files(found, root / "ablation")
        run.log_artifact(root / "ablation")
        run.log_figure(root / "ablation" / "transfer.png")
    return found


class Finished:
    """Results of models that have been trained, by label and seed, in a file of JSON lines.

    A line that was cut off by a kill is dropped, and its model trained again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.results: dict[Key, Result] = {}
        if not path.exists():
            return
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                result = json.loads(line)
            except ValueError:
                continue
            key = result["subset"], result["seed"]
            self.results[key] = result
        self._write()

    def add(self, result: Result) -> None:
        """Keep one more."""
        key = result["subset"], result["seed"]
        self.results[key] = result
        self._write()

    def _write(self) -> None:
        lines = [json.dumps(result) + "\n" for result in self.results.values()]
        write_atomically(self.path, "".join(lines))


def train_and_evaluate(model: Model) -> Result:
    """One model: its held-out losses in nats, its downstream results, the seconds they took."""
    started = time.perf_counter()
    settings = model.settings
    steps = model.settings.training.steps
    parent = resume_run(settings, model.root, model.parent_run, "ablate")
    with parent.child(f"{model.label} seed {settings.seed}") as run:
        run.log_params({"subset": model.label, "seed": settings.seed, "steps": steps})
        trained = train_subset(model.names, settings, model.root, run)
        middle = time.perf_counter()
        # the items of all seeds are those of the first
        asked = evaluator(settings.replaced({"seed": model.item_seed}), model.root)
        found = asked.evaluate(trained, model.names)
        seconds = {"train": middle - started, "evaluate": time.perf_counter() - middle}
        for kind, values in (found | {"seconds": seconds}).items():
            # parts of losses are kept in the file alone
            if kind != "parts":
                run.log({f"{kind}/{name}": value for name, value in values.items()}, steps)
    rounded = {name: round(value, 1) for name, value in seconds.items()}
    named = {"subset": model.label, "seed": settings.seed, "run_id": run.run_id}
    found["seconds"] = rounded
    return named | found


def study_key(settings: Settings, root: Path) -> str:
    """Names the file of finished models: all that their metrics depend on but the seed."""
    digests = []
    for split in ("train", "validation", "test"):
        folder = root / "data" / "tokenized"
        store = TokenStore.open(folder / split)
        digests.append(store.meta["sha256"])
    evaluation = settings.evaluation.model_dump_json(exclude=NOT_HASHED)
    return run_key(settings, json.dumps(digests, sort_keys=True), evaluation)


def _results(models: Sequence[Model], workers: int, scratch: Path) -> Iterator[Result]:
    """Results as the processes finish them; after an error no further model is begun."""
    scratch.mkdir(parents=True, exist_ok=True)
    most = max(1, len(models))
    workers = min(workers, most)
    # forked processes would share the threads of torch and MLflow
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _quiet, (scratch,)) as pool:
        futures = [pool.submit(train_and_evaluate, model) for model in models]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _quiet(scratch: Path) -> None:
    """Bars and warnings of a process go into a file, so that the terminal is one's own."""
    log = scratch / f"process-{os.getpid()}.log"
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    # what C++ prints too, which knows no sys.stdout
    os.dup2(file, 1)
    os.dup2(file, 2)
