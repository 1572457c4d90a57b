"""The files that a run leaves behind.

What is missing or unreadable is told by name, and the rest goes on: no part of the page may fail
because another stage has not run. Start at `read_inputs`.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

from ssl_lib.evaluation.skills import SKILLS
from ssl_lib.evaluation.tasks import TASKS, downstream_tasks
from ssl_lib.files import sha256_of
from ssl_lib.tracking.describe import git

Tree = dict[str, Any]
Table = list[dict[str, str]]
Content = TypeVar("Content", Tree, Table)
Interval = Sequence[float]
# Tasks outside the downstream table that numbers.py and task_details.py show.
OWN_PARTS = ("number_prediction", "probes")


def known(value: Any) -> TypeGuard[float]:
    """Is this a finite number?"""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value)


def is_interval(interval: Any) -> TypeGuard[Interval]:
    """Are these two finite numbers?"""
    return isinstance(interval, Sequence) and len(interval) == 2 and all(map(known, interval))


def at(tree: Any, *keys: str) -> Any:
    """A value deep in a tree of dicts, None where a key is missing."""
    for key in keys:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


@dataclass(frozen=True)
class Result:
    """A measure before and after training; None where the files hold no finite value.

    `before` is the randomly initialised twin. The `..._ci95` are 95% intervals, that of the
    difference on the same resampled items. `tree` is all that the files say of the measure.
    """

    metric: str
    before: float | None
    after: float | None
    before_ci95: Interval | None
    after_ci95: Interval | None
    difference_ci95: Interval | None
    tree: Mapping[str, Any]

    @classmethod
    def of(cls, tree: Mapping[str, Any] | None, metric: str = "accuracy") -> Result:
        """Read `{"metric", "before", "after", "before_ci95", "ci95", "difference_ci95", ...}`."""
        tree = tree or {}
        metric = tree.get("metric") or metric

        def value(key: str) -> float | None:
            found = tree.get(key)
            return found if known(found) else None

        def interval(key: str) -> Interval | None:
            found = tree.get(key)
            return found if is_interval(found) else None

        return cls(
            metric,
            value("before"),
            value("after"),
            interval("before_ci95"),
            interval("ci95"),
            interval("difference_ci95"),
            tree,
        )

    @property
    def n(self) -> Any:
        """How many items were answered."""
        return self.tree.get("n")

    @property
    def higher_is_better(self) -> bool:
        """False for losses and errors."""
        return self.tree.get("higher_is_better") is not False

    @property
    def gain(self) -> float | None:
        """After - before."""
        if self.before is None or self.after is None:
            return None
        return self.after - self.before


@dataclass(frozen=True)
class Inputs:
    """Everything the page is made of; an empty dict or list where a file is missing."""

    train: Tree = field(default_factory=dict)
    evaluation: Tree = field(default_factory=dict)
    details: Tree = field(default_factory=dict)
    run: Tree = field(default_factory=dict)
    manifest: Tree = field(default_factory=dict)
    ablation: Tree = field(default_factory=dict)
    number_line: Tree = field(default_factory=dict)
    best: Tree = field(default_factory=dict)
    trials: Table = field(default_factory=list)
    study: Tree = field(default_factory=dict)
    losses: Table = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    commit: str = ""
    missing: tuple[str, ...] = ()

    def downstream(self) -> dict[str, Result]:
        """Results of the downstream tasks: those of the registry in its order, then any others."""
        trees = self.evaluation.get("downstream") or {}
        # A task that the registry does not know any more, in the file of an earlier run, is shown.
        names = [task.name for task in downstream_tasks()]
        ordered = dict.fromkeys([*names, *trees])
        return {name: Result.of(trees[name]) for name in ordered if trees.get(name)}

    def own_text(self) -> dict[str, Result]:
        """Results about the corpus's own held-out documents, in the order of the registry."""
        trees = self.evaluation.get("own_text") or {}
        return {name: Result.of(tree) for name, tree in trees.items() if tree}

    def skills(self) -> dict[str, Tree]:
        """What is known of the skill of each objective that was measured, in their order."""
        trees = self.evaluation.get("skills") or {}
        return {name: trees[name] for name in SKILLS if trees.get(name)}

    def further(self) -> dict[str, Result]:
        """Results of the registry's other tasks, but those that have a part of the page."""
        found = {}
        for name, task in TASKS.items():
            tree = self.evaluation.get(name) or self.details.get(name)
            result = Result.of(tree, task.metric)
            if task.section == "numbers" and name not in OWN_PARTS and known(result.after):
                found[name] = result
        return found

    def task(self, name: str) -> Result:
        """The result of a downstream task, without values where it was not measured."""
        return Result.of(at(self.evaluation, "downstream", name))

    def detail(self, name: str) -> Tree:
        """The details of a task: confusion matrices, families, examples."""
        return at(self.details, name, "details") or {}


def read_inputs(root: Path) -> Inputs:
    """Read the files under the project root; `missing` names those that could not be read."""
    missing: list[str] = []

    def read(
        path: str, parse: Callable[[str], Any], empty: Content, optional: bool = False
    ) -> Content:
        """What a file holds, or `empty` where it is not there, not readable or of another type."""
        try:
            content = parse((root / path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            # Tuning and ablation may be left out of a run; their parts of the page say so.
            if not optional:
                missing.append(path)
            return empty
        except (OSError, ValueError) as error:
            # Errors of YAML have several lines: where it is, what stands there, a pointer.
            reason = str(error).splitlines()[0]
            missing.append(f"{path} (unreadable: {reason})")
            return empty
        if isinstance(content, type(empty)):
            return content
        return empty

    return Inputs(
        train=read("metrics/train.json", json.loads, {}),
        evaluation=read("metrics/evaluation.json", json.loads, {}),
        details=read("report/evaluation.json", json.loads, {}),
        run=read("model/run.json", json.loads, {}),
        manifest=read("data/raw/manifest.json", json.loads, {}),
        ablation=read("ablation/results.json", json.loads, {}, optional=True),
        number_line=read("report/number_line.json", json.loads, {}, optional=True),
        best=read("tuning/best.yaml", _parse_yaml, {}, optional=True),
        trials=read("tuning/trials.csv", _parse_csv, [], optional=True),
        study=read("tuning/study.json", json.loads, {}, optional=True),
        losses=read("plots/losses.csv", _parse_csv, []),
        digests=_digests(root, read("dvc.lock", _parse_yaml, {}, optional=True)),
        commit=_commit(root),
        missing=tuple(missing),
    )


def loss_points(inputs: Inputs) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """`{objective: {split: [(step, loss)]}}` of plots/losses.csv; unreadable rows are left out."""
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    # A row is {"step": "20", "objective": "mlm", "split": "train", "loss": "7.31"}.
    for row in inputs.losses:
        try:
            point = (float(row["step"]), float(row["loss"]))
        except (KeyError, TypeError, ValueError):
            continue
        splits = found.setdefault(row.get("objective") or "", {})
        points = splits.setdefault(row.get("split") or "", [])
        points.append(point)
    return found


def number_lines(inputs: Inputs) -> list[tuple[Tree, str]]:
    """The number lines that can be drawn, each with its model: a point for each value."""
    trained = inputs.number_line
    untrained = trained.get("untrained") or {}
    both = [(trained, "Trained"), (untrained, "Randomly initialised twin")]
    drawable = []
    for line, model in both:
        points = line.get("points") or ()
        values = line.get("values") or ()
        if points and len(points) == len(values):
            drawable.append((line, model))
    return drawable


def _parse_csv(text: str) -> Table:
    return list(csv.DictReader(text.splitlines()))


def _parse_yaml(text: str) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text) or {}
    except YAMLError as error:
        raise ValueError(str(error)) from None


def _digests(root: Path, lock: Tree) -> dict[str, str]:
    """SHA-256 of the corpus manifest, which holds those of all its files, and DVC's digests."""
    found = {}
    manifest = root / "data" / "raw" / "manifest.json"
    if manifest.is_file():
        found["data/raw/manifest.json, SHA-256"] = sha256_of(manifest)
    # dvc.lock: {"stages": {"corpus": {"outs": [{"path": "data/raw", "md5": "00ff….dir"}]}}}
    for stage in ("corpus", "tokenize"):
        for out in at(lock, "stages", stage, "outs") or []:
            if out.get("md5"):
                found[f"{out.get('path')}, DVC"] = str(out["md5"])
    return found


def _commit(root: Path) -> str:
    """The commit of the working tree, `(changed)` after it if tracked files differ; or nothing."""
    commit = git(root, "rev-parse", "HEAD")
    changed = git(root, "status", "--porcelain", "--untracked-files=no")
    return f"{commit} (changed)" if commit and changed else commit
