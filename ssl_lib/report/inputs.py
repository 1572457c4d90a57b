"""The files that a run leaves behind, read with patience: what is missing is told by name, and the rest goes on."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ssl_lib.files import sha256_of

TASKS = (
    "token_classification",
    "numerical_reasoning",
    "semantic_similarity",
    "next_token_prediction",
)


@dataclass(frozen=True)
class Inputs:
    """Everything the page is made of; an empty dict or list where a file is missing."""

    train: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    run: dict[str, Any] = field(default_factory=dict)
    manifest: dict[str, Any] = field(default_factory=dict)
    ablation: dict[str, Any] = field(default_factory=dict)
    number_line: dict[str, Any] = field(default_factory=dict)
    best: dict[str, Any] = field(default_factory=dict)
    trials: list[dict[str, str]] = field(default_factory=list)
    losses: list[dict[str, str]] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    commit: str = ""
    missing: tuple[str, ...] = ()

    def detail(self, task: str) -> dict[str, Any]:
        """The details of a task: confusion matrices, families, examples."""
        return at(self.details, task, "details") or {}

    def task(self, task: str) -> dict[str, Any]:
        """The summary of a downstream task."""
        return at(self.evaluation, "downstream", task) or {}


def at(tree: Any, *keys: str) -> Any:
    """A value deep in a tree of dicts, None where a key is missing."""
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def read_inputs(root: Path) -> Inputs:
    """Read the files under the project root; `missing` names those that are not there or not readable."""
    missing: list[str] = []

    def read(path: str, parse: Callable[[str], Any], empty: Any, optional: bool = False) -> Any:
        """What a file holds, or `empty` where it is not there, not readable or of another type."""
        try:
            content = parse((root / path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            missing.extend([] if optional else [path])
            return empty
        except (OSError, ValueError) as error:
            missing.append(f"{path} (unreadable: {str(error).splitlines()[0]})")
            return empty
        return content if isinstance(content, type(empty)) else empty

    return Inputs(
        train=read("metrics/train.json", json.loads, {}),
        evaluation=read("metrics/evaluation.json", json.loads, {}),
        details=read("report/evaluation.json", json.loads, {}),
        run=read("model/run.json", json.loads, {}),
        manifest=read("data/raw/manifest.json", json.loads, {}),
        ablation=read("ablation/results.json", json.loads, {}, optional=True),
        number_line=read("report/number_line.json", json.loads, {}, optional=True),
        best=read("tuning/best.yaml", _yaml, {}, optional=True),
        trials=read("tuning/trials.csv", _rows, [], optional=True),
        losses=read("plots/losses.csv", _rows, []),
        digests=_digests(root, read("dvc.lock", _yaml, {}, optional=True)),
        commit=_commit(root),
        missing=tuple(missing),
    )


def loss_points(inputs: Inputs) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """`{objective: {split: [(step, loss)]}}` from plots/losses.csv; rows that hold no numbers are skipped."""
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for row in inputs.losses:
        try:
            point = (float(row["step"]), float(row["loss"]))
        except (KeyError, TypeError, ValueError):
            continue
        splits = found.setdefault(row.get("objective") or "", {})
        splits.setdefault(row.get("split") or "", []).append(point)
    return found


def number_lines(inputs: Inputs) -> list[tuple[dict[str, Any], str]]:
    """The number lines that can be drawn, with the model each belongs to: as many points as values, at least one."""
    both = (
        (inputs.number_line, "Trained"),
        (inputs.number_line.get("untrained") or {}, "Untrained twin"),
    )
    return [
        (one, who)
        for one, who in both
        if one.get("points") and len(one["points"]) == len(one.get("values") or ())
    ]


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.splitlines()))


def _yaml(text: str) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text) or {}
    except YAMLError as error:
        raise ValueError(str(error)) from None


def _digests(root: Path, lock: dict[str, Any]) -> dict[str, str]:
    """SHA-256 of the corpus manifest, which holds that of every file, and DVC's digests of the data folders."""
    found = {}
    manifest = root / "data" / "raw" / "manifest.json"
    if manifest.is_file():
        found["data/raw/manifest.json, SHA-256"] = sha256_of(manifest)
    for stage in ("corpus", "tokenize"):
        for out in at(lock, "stages", stage, "outs") or []:
            if out.get("md5"):
                found[f"{out.get('path')}, DVC"] = str(out["md5"])
    return found


def _commit(root: Path) -> str:
    """The commit of the working tree, `(changed)` after it if tracked files differ; empty without git."""
    try:
        commit, status = (
            subprocess.run(
                ["git", "-C", str(root), *words], capture_output=True, text=True, check=True
            ).stdout.strip()
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{commit} (changed)" if status else commit
