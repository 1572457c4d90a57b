"""`ssl-lib ablate`: models trained with some of the objectives, at equal tokens, and how the objectives transfer.

Every model is a nested MLflow run and a line of a file in `.ssl_lib/ablate`, whose name hashes settings and tokens:
what has been trained is not trained again. A model is trained and judged in a process of its own.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

from ssl_lib.config import Settings, with_best
from ssl_lib.errors import UserError
from ssl_lib.experiments.transfer import draw, summarise
from ssl_lib.files import write_atomically
from ssl_lib.progress import progress_bar

Row = dict[str, Any]
NOT_HASHED = {"external", "baselines"}  # settings of `evaluate` that decide nothing here


class Plan(NamedTuple):
    """What to train: subsets by label, and seeds."""

    subsets: dict[str, tuple[str, ...]]
    seeds: list[int]

    def tasks(self) -> list[tuple[str, int]]:
        """Label and seed of every model, all of the first seed first."""
        return [(label, seed) for seed in self.seeds for label in self.subsets]


class Task(NamedTuple):
    """All that a process needs to train and judge one model."""

    label: str
    names: tuple[str, ...]
    settings: Settings
    item_seed: int
    root: Path
    parent_run: str


def ablate(
    settings: Settings,
    root: Path,
    subsets: Sequence[str] = (),
    every: bool = False,
    seeds: int = 1,
    steps: int | None = None,
    workers: int = 1,
) -> dict[str, Any]:
    """Train and judge the subsets with `seeds` seeds each, write `ablation/`; returns what `results.json` holds.

    `subsets` are labels such as `mlm+ntp`, `all` or `all-ntp`; without any, each objective alone, all of them, and all
    but one, or with `every` all combinations. Raises UserError for a label that names something else.
    """
    from ssl_lib.tracking import start_run

    settings = _shortened(with_best(settings, root), steps)
    chosen = chosen_subsets(subsets, settings.trained(), every)
    plan = Plan(chosen, [settings.seed + number for number in range(seeds)])
    finished = Finished(root / ".ssl_lib" / "ablate" / f"{_key(settings, root)}.jsonl")
    with start_run(settings, root, "ablate") as run:
        run.log_params(settings.model_dump())
        missing = [task for task in plan.tasks() if task not in finished.rows]
        threads = settings.training.threads or max(1, (os.cpu_count() or 1) // workers)
        tasks = [
            _task(settings, plan, label, seed, threads, root, run.run_id) for label, seed in missing
        ]
        total = len(plan.tasks())
        with progress_bar("ablate", "models", total, done=total - len(tasks)) as bar:
            for row in _rows(tasks, min(workers, max(1, len(tasks))), finished.path.parent):
                finished.add(row)
                seconds = sum(row["seconds"].values())
                bar.advance(text=f"{row['subset']}, seed {row['seed']}: {seconds:.0f} s")
        found = summarise(
            [finished.rows[task] for task in plan.tasks()], list(plan.subsets), settings
        )
        write_files(found, root / "ablation")
        run.log_artifact(root / "ablation")
        run.log_figure(root / "ablation" / "transfer.png")
    return found


def chosen_subsets(
    labels: Sequence[str], trained: Sequence[str], every: bool = False
) -> dict[str, tuple[str, ...]]:
    """Subsets of the objectives that are trained, by label. Raises UserError for a label that names anything else."""
    if labels:
        return {
            label_of(names, trained): names
            for names in (_parse(label, trained) for label in labels)
        }
    sizes = (
        range(1, len(trained) + 1)
        if every
        else dict.fromkeys((1, len(trained), max(1, len(trained) - 1)))
    )
    combinations = [names for size in sizes for names in itertools.combinations(trained, size)]
    return {label_of(names, trained): names for names in combinations}


def label_of(names: Sequence[str], trained: Sequence[str]) -> str:
    """`all`, `all-ntp` where one of three or more is missing, else the names with plus signs."""
    missing = [name for name in trained if name not in names]
    if not missing:
        return "all"
    return f"all-{missing[0]}" if len(missing) == 1 and len(names) > 1 else "+".join(names)


def _parse(label: str, trained: Sequence[str]) -> tuple[str, ...]:
    wanted, _, without = label.strip().partition("-")
    named = set(trained) if wanted == "all" else set(wanted.split("+"))
    left_out = set(without.split("-")) - {""}
    if unknown := sorted((named | left_out) - set(trained)):
        raise UserError(
            f"--subsets {label}: {unknown[0]!r} is none of the objectives that are trained ({', '.join(trained)}); "
            "write for example mlm+ntp, all or all-ntp"
        )
    if named <= left_out:
        raise UserError(
            f"--subsets {label}: no objective is left; write for example mlm+ntp, all or all-ntp"
        )
    return tuple(name for name in trained if name in named - left_out)


class Finished:
    """Rows of models that have been trained, by label and seed, in a file of JSON lines.

    A line that was cut off by a kill is dropped, and its model trained again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[tuple[str, int], Row] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    row = json.loads(line)
                except ValueError:
                    continue
                self.rows[row["subset"], row["seed"]] = row
            self._write()

    def add(self, row: Row) -> None:
        """Keep one more."""
        self.rows[row["subset"], row["seed"]] = row
        self._write()

    def _write(self) -> None:
        lines = [json.dumps(row) + "\n" for row in self.rows.values()]
        write_atomically(self.path, "".join(lines))


def train_and_judge(task: Task) -> Row:
    """One model: its held-out losses in nats, its downstream results, and the seconds they took."""
    from ssl_lib.evaluation.alone import train_subset
    from ssl_lib.evaluation.examination import examination
    from ssl_lib.tokens.encodings import encoding
    from ssl_lib.tracking import resume_run

    started = time.perf_counter()
    chosen = encoding(task.root / "data" / "tokenized" / "encoding.json")
    parent = resume_run(task.settings, task.root, task.parent_run, "ablate")
    with parent.child(f"{task.label} seed {task.settings.seed}") as run:
        run.log_params(
            {
                "subset": task.label,
                "seed": task.settings.seed,
                "steps": task.settings.training.steps,
            }
        )
        model = train_subset(task.names, task.settings, task.root, chosen, run)
        trained = time.perf_counter()
        judged = examination(task.settings.replaced({"seed": task.item_seed}), task.root).judge(
            model, task.names
        )
        seconds = {"train": trained - started, "evaluate": time.perf_counter() - trained}
        figures = {f"losses/{name}": value for name, value in judged["losses"].items()}
        figures |= {f"downstream/{name}": value for name, value in judged["downstream"].items()}
        run.log(
            figures | {f"seconds/{name}": value for name, value in seconds.items()},
            task.settings.training.steps,
        )
    rounded = {name: round(value, 1) for name, value in seconds.items()}
    return {
        "subset": task.label,
        "seed": task.settings.seed,
        **judged,
        "seconds": rounded,
        "run_id": run.run_id,
    }


def write_files(found: dict[str, Any], folder: Path) -> None:
    """`results.json`, `transfer.csv` and `transfer.png`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["subset", "kind", "name", "mean", "deviation", "relative_to_alone"])
    for kind in ("losses", "downstream"):
        for subset, values in found[kind].items():
            for name, value in values.items():
                relative = found["relative"][subset].get(name, "") if kind == "losses" else ""
                writer.writerow(
                    [subset, kind, name, value, found["deviation"][subset][name], relative]
                )
    write_atomically(folder / "results.json", json.dumps(found, indent=2) + "\n")
    write_atomically(folder / "transfer.csv", text.getvalue())
    draw(found, folder / "transfer.png")


def _shortened(settings: Settings, steps: int | None) -> Settings:
    if steps is None:
        return settings
    warmup = min(settings.training.warmup_steps, steps // 4)
    return settings.replaced({"training.steps": steps, "training.warmup_steps": warmup})


def _key(settings: Settings, root: Path) -> str:
    """Names the file of finished models: all that their figures depend on but the seed."""
    from ssl_lib.tokens.store import TokenStore
    from ssl_lib.training.checkpoint import run_key

    stores = [
        TokenStore.open(root / "data" / "tokenized" / split)
        for split in ("train", "validation", "test")
    ]
    digests = json.dumps([store.meta["sha256"] for store in stores], sort_keys=True)
    return run_key(settings, digests, settings.evaluation.model_dump_json(exclude=NOT_HASHED))


def _task(
    settings: Settings, plan: Plan, label: str, seed: int, threads: int, root: Path, run_id: str
) -> Task:
    own = settings.replaced({"seed": seed, "training.threads": threads})
    return Task(label, plan.subsets[label], own, settings.seed, root, run_id)


def _rows(tasks: Sequence[Task], workers: int, scratch: Path) -> Iterator[Row]:
    """Rows as the processes finish them; after an error no further model is begun."""
    scratch.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _quiet, (scratch,)) as pool:
        futures = [pool.submit(train_and_judge, task) for task in tasks]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _quiet(scratch: Path) -> None:
    """What a process says beside its result, bars and warnings, goes into a file, so that the terminal is one's own."""
    file = os.open(
        scratch / f"process-{os.getpid()}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644
    )
    os.dup2(file, 1)
    os.dup2(file, 2)
