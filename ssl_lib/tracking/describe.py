"""What a run is called, and what its page says first: names and links that a person can read."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ssl_lib.config import Settings, SettingsError, parse_settings
from ssl_lib.files import sha256_of

MOST_CHANGES = 4  # that a run's name tells
MODEL_MODE = "workflowType=machine_learning"  # MLflow begins with the mode for prompts and traces
REPORT = "artifacts/report/index.html"


def run_name(settings: Settings, root: Path, stage: str) -> str:
    """DVC's name of the experiment, else what differs from the committed settings.

    Else the corpus and the commit: "brave-otter", "mlm.weight=0.5 steps=500", "built-in 3f2a91b".
    """
    if name := os.environ.get("DVC_EXP_NAME"):
        return name
    commit = git(root, "rev-parse", "--short", "HEAD")
    if not commit:
        return stage
    changes = changed_settings(settings, root)
    shown = changes[:MOST_CHANGES]
    if len(changes) > MOST_CHANGES:
        shown.append(f"and {len(changes) - MOST_CHANGES} more")
    return " ".join(shown) or f"{settings.corpus.display_name} {commit}"


def changed_settings(settings: Settings, root: Path) -> list[str]:
    """Settings that differ from the committed params.yaml, as "mlm.weight=0.5"."""
    text = git(root, "show", "HEAD:./params.yaml")
    try:
        tree = YAML(typ="safe", pure=True).load(io.StringIO(text)) or {}
        committed = dict(flatten(parse_settings(tree).model_dump(exclude={"tracking"})))
    except (YAMLError, SettingsError):
        # of another version
        return []
    changes = []
    for key, value in flatten(settings.model_dump(exclude={"tracking"})):
        if committed.get(key) != value:
            # "objectives.mlm.weight" → "mlm.weight", but "seed"
            changes.append(f"{key.partition('.')[2] or key}={value}")
    return changes


def description(run: str, experiment: str, stage: str, settings: Settings, parent: str = "") -> str:
    """What stands on top of a run's page, as Markdown, with links into the same server's pages."""
    if parent:
        return f"Part of [the run above]({run_page(parent, experiment)})."
    lines = [f"Stage **{stage}** on the corpus *{settings.corpus.display_name}*."]
    if stage == "train":
        report = run_page(run, experiment, REPORT)
        losses = losses_page(run, experiment, settings.trained())
        lines.append(f"* [All losses on one chart]({losses})")
        lines.append(f"* [The report]({report}), once it has been evaluated")
    return "\n".join(lines)


def run_page(run: str, experiment: str, below: str = "") -> str:
    """The address of a run, behind that of its server, or of what lies `below` it, as REPORT."""
    place = "/".join(part for part in (experiment, "runs", run, below) if part)
    return f"#/experiments/{place}?{MODEL_MODE}"


def losses_page(run: str, experiment: str, objectives: list[str]) -> str:
    """The address of one chart with the training losses of all objectives."""
    keys = [f"train/{name}" for name in objectives]
    query = {
        "runs": json.dumps([run]),
        "metric": json.dumps(keys[0]),
        "experiments": json.dumps([experiment]),
        "plot_metric_keys": json.dumps(keys),
        "plot_layout": '{"autosize":true,"xaxis":{},"yaxis":{}}',
        "x_axis": "step",
        "y_axis_scale": "linear",
        "line_smoothness": "1",
        "show_point": "false",
        "deselected_curves": "[]",
        "last_linear_y_axis_range": "[]",
    }
    words = [f"{key}={quote(value, safe='')}" for key, value in query.items()]
    return "#/metric?" + "&".join([*words, MODEL_MODE])


def run_tags(settings: Settings, root: Path, stage: str) -> dict[str, str]:
    """Stage, corpus, git commit and DVC's revision."""
    tags = {"stage": stage, "corpus": settings.corpus.display_name}
    if commit := git(root, "rev-parse", "HEAD"):
        changes = git(root, "status", "--porcelain", "--untracked-files=no")
        tags["mlflow.source.git.commit"] = commit
        tags["git.changed"] = str(bool(changes)).lower()
        tags["dvc.revision"] = os.environ.get("DVC_EXP_BASELINE_REV", commit)
    if name := os.environ.get("DVC_EXP_NAME"):
        tags["dvc.experiment"] = name
    return tags


def folder_digest(folder: Path) -> str:
    """SHA-256 over the names and the content of the files of a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    content = [f"{path.relative_to(folder)} {sha256_of(path)}" for path in files]
    return hashlib.sha256("\n".join(content).encode()).hexdigest()


def data_digests(root: Path) -> dict[str, str]:
    """DVC's digests of `data/raw` and `data/tokenized`, as far as `dvc.lock` has them."""
    lock = root / "dvc.lock"
    if not lock.exists():
        return {}
    tree = YAML(typ="safe", pure=True).load(lock.read_text(encoding="utf-8")) or {}
    digests = {}
    for stage in ("corpus", "tokenize"):
        for output in tree.get("stages", {}).get(stage, {}).get("outs", []):
            if output.get("md5"):
                digests[output["path"]] = output["md5"]
    return digests


def flatten(tree: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Leaves as text, with dotted keys: {"a": {"b": [1, 2]}} → ("a.b.0", "1"), ("a.b.1", "2")."""
    if not isinstance(tree, dict | list) or not tree:
        return [(prefix, str(tree))]
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
    leaves = []
    for key, value in pairs:
        leaves += flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return leaves


def git(root: Path, *words: str) -> str:
    """What git says about a folder; nothing where there is no git, or no commit yet."""
    command = ["git", "-C", str(root), *words]
    try:
        said = subprocess.check_output(command, stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return said.decode("utf-8", "replace").strip()
