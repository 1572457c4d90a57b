"""The stages of `dvc.yaml` as a Prefect flow: `python -m flows.pipeline` runs them, a task each.

Every task is `dvc repro -s STAGE` in a process of its own, so that `dvc.lock` is true whoever
started the run, and DVC alone decides what has to run again. Prefect adds the schedule, retries,
one run at a time, the log and the artifacts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

RETRIES = int(os.environ.get("SSL_LIB_RETRIES", "1"))
RETRY_SECONDS = 10
ENVIRONMENT = {"DVC_NO_ANALYTICS": "1", "DO_NOT_TRACK": "true", "PYTHONUNBUFFERED": "1"}
UI = "http://127.0.0.1:5000"


class StageError(RuntimeError):
    """`dvc repro` of one stage has failed; its output is in the task's log."""


def stage_order(root: Path) -> list[str]:
    """Names of all stages of the project `root`, each after those that it depends on."""
    import networkx as nx
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        # DVC's arrows go from a stage to those that it needs; data under `dvc add` has no name.
        ordered = reversed(list(nx.topological_sort(repo.index.graph)))
        names = [getattr(stage, "name", None) for stage in ordered]
    return [name for name in names if name]


def reproduce(root: Path, stage: str, force: bool = False) -> None:
    """Run one stage if something that it depends on has changed, its output in the task's log.

    Raises StageError.
    """
    log = get_run_logger()
    command = [sys.executable, "-m", "dvc", "repro", "--single-item", stage]
    if force:
        command.append("--force")
    # The stages call `python`, which must be the one that runs this.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    with subprocess.Popen(
        command,
        cwd=root,
        env=os.environ | ENVIRONMENT | {"PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None  # it is a pipe
        for line in process.stdout:
            if text := line.rstrip():
                log.info(text)
    if process.returncode:
        raise StageError(
            f"stage {stage} ended with status {process.returncode}; the task's log says why"
        )


@task(
    cache_policy=NO_CACHE,
    retries=RETRIES,
    retry_delay_seconds=RETRY_SECONDS,
    task_run_name="{stage}",
)
def run_stage(root: Path, stage: str, force: bool = False) -> None:
    """One stage. DVC is the cache, so Prefect keeps none."""
    reproduce(root, stage, force)


@flow(name="ssl-lib-pipeline", log_prints=True)
def pipeline(root: str | None = None, force: bool = False) -> list[str]:
    """Run every stage, then publish the metrics. `root` is the project (default: this folder).

    Returns the names of the stages in the order in which they ran.
    """
    folder = Path(root or ".").resolve()
    stages = stage_order(folder)
    for stage in stages:
        run_stage(folder, stage, force)
    publish(folder)
    return stages


def publish(root: Path) -> None:
    """Artifacts of this run: a table of the metrics, a link to the report, the MLflow run."""
    rows = [row for path in sorted(root.glob("metrics/*.json")) for row in metric_rows(path)]
    if rows:
        create_table_artifact(rows, key="metrics", description="Metrics of metrics/*.json")
    report = root / "report" / "index.html"
    if report.exists():
        told = f"The page {report}"  # a browser does not follow a file:// link from a server's page
        create_link_artifact(report.as_uri(), key="report", link_text="Report", description=told)
    run_file = root / "model" / "run.json"
    if run_file.exists():
        run = json.loads(run_file.read_text(encoding="utf-8"))
        create_markdown_artifact(run_markdown(run), key="mlflow-run")


def metric_rows(path: Path) -> list[dict[str, Any]]:
    """Numbers of a metrics file, one row for each dotted key.

    `{"losses": {"mlm": 0.5}}` → `[{"file": …, "metric": "losses.mlm", "value": 0.5}]`
    """
    rows: list[dict[str, Any]] = []

    def walk(node: Any, key: str) -> None:
        """Rows of a node and of all below it."""
        if isinstance(node, dict):
            for name, value in node.items():
                walk(value, f"{key}.{name}" if key else name)
        elif isinstance(node, int | float) and not isinstance(node, bool):
            rows.append({"file": path.name, "metric": key, "value": node})

    walk(json.loads(path.read_text(encoding="utf-8")), "")
    return rows


def run_markdown(run: dict[str, str]) -> str:
    """Where the run of the model is: a link on a server, else the command that shows it."""
    run_id, uri = run["run_id"], run["tracking_uri"]
    if not run_id:  # trained without MLflow
        return "The run of this model was not recorded."
    page = f"#/experiments/{run['experiment_id']}/runs/{run_id}"
    if uri.startswith("http"):
        return f"[MLflow run {run_id}]({uri.rstrip('/')}/{page})"
    return f"MLflow run `{run_id}`: start `ssl-lib ui`, then open [its page]({UI}/{page})."


def main() -> None:
    """Command line of `python -m flows.pipeline`."""
    parser = argparse.ArgumentParser(prog="python -m flows.pipeline", description=pipeline.__doc__)
    parser.add_argument("--root", default=".", help="the project (default: the current folder)")
    parser.add_argument("--force", action="store_true", help="run every stage, changed or not")
    options = parser.parse_args()
    pipeline(options.root, options.force)


if __name__ == "__main__":
    main()
