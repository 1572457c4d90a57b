"""The flow runs DVC's stages in DVC's order, and a scheduled deployment really fires."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
PIPELINE = """
stages:
  second:
    cmd: python second.py
    deps: [a.txt, second.py]
    outs: [b.txt]
  first:
    cmd: python first.py
    outs: [a.txt]
    metrics: [metrics/train.json]
"""
FIRST = """
from pathlib import Path
print("hello from first")
Path("a.txt").write_text("a")
Path("metrics/train.json").write_text('{"losses": {"mlm": 0.5}}')
"""
SECOND = """
from pathlib import Path
Path("b.txt").write_text(Path("a.txt").read_text() * 2)
"""


def project(folder: Path) -> Path:
    """Two stages, the later one first, with this repository's flows and prefect.yaml."""
    folder.mkdir()
    shutil.copytree(ROOT / "flows", folder / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "prefect.yaml", folder)
    (folder / "metrics").mkdir()
    for name, text in (("dvc.yaml", PIPELINE), ("first.py", FIRST), ("second.py", SECOND)):
        (folder / name).write_text(text)
    command = [sys.executable, "-m", "dvc", "init", "--no-scm", "-q"]
    subprocess.run(command, cwd=folder, check=True, env=os.environ | {"DVC_NO_ANALYTICS": "1"})
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition: Callable[[], Any], seconds: float, log: Path) -> Any:
    """The first true answer of `condition`; shows `log` if there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if found := condition():
                return found
        except OSError:
            pass  # not listening yet
        time.sleep(0.3)
    raise AssertionError(log.read_text()[-5000:])


class Prefect:
    """A real Prefect server with its own home, and the processes that talk to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.api = f"http://127.0.0.1:{free_port()}/api"
        self.log = folder / "prefect.log"
        self.processes: list[subprocess.Popen[bytes]] = []
        plain = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("PREFECT_", "DVC_"))
        }
        self.environment = plain | {
            "PREFECT_HOME": str(folder / "home"),
            "PREFECT_API_URL": self.api,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "DO_NOT_TRACK": "true",
            "DVC_NO_ANALYTICS": "1",
        }

    def start(self, *words: str, cwd: Path | None = None, **environment: str) -> None:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [BIN / "prefect", *words],
                cwd=cwd or self.folder,
                env=self.environment | environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes.append(process)

    def run(self, *words: str, cwd: Path, **environment: str) -> None:
        with self.log.open("ab") as log:
            command = [BIN / "prefect", "--no-prompt", *words]
            subprocess.run(
                command,
                cwd=cwd,
                env=self.environment | environment,
                stdout=log,
                stderr=log,
                check=True,
                timeout=180,
            )

    def ask(self, path: str, question: dict[str, Any] | None = None) -> Any:
        data = None if question is None else json.dumps(question).encode()
        request = urllib.request.Request(
            f"{self.api}/{path}", data, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    def stop(self) -> None:
        for process in reversed(self.processes):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def prefect(tmp_path: Path) -> Iterator[Prefect]:
    prefect = Prefect(tmp_path)
    prefect.start(
        "server", "start", "--host", "127.0.0.1", "--port", prefect.api.split(":")[2].split("/")[0]
    )
    try:
        wait_for(lambda: prefect.ask("health"), 180, prefect.log)
        yield prefect
    finally:
        prefect.stop()


def soon(prefect_yaml: Path) -> None:
    """The deployment as it is, but every few seconds instead of every night."""
    yaml = YAML()
    tree = yaml.load(prefect_yaml)
    tree["deployments"][0]["schedules"] = [{"interval": 15}]
    yaml.dump(tree, prefect_yaml)


@pytest.mark.slow
def test_scheduled_deployment_fires_and_finishes(tmp_path: Path, prefect: Prefect) -> None:
    root = project(tmp_path / "project")
    soon(root / "prefect.yaml")
    prefect.run("work-pool", "create", "ssl-lib", "--type", "process", cwd=root)
    prefect.run("deploy", "--all", cwd=root)
    prefect.start("worker", "start", "--pool", "ssl-lib", SSL_LIB_ROOT=str(root))
    completed = {"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
    runs = wait_for(lambda: prefect.ask("flow_runs/filter", completed), 240, prefect.log)
    assert runs[0]["auto_scheduled"]
    assert (root / "b.txt").read_text() == "aa"
    tasks = prefect.ask(
        "task_runs/filter",
        {"flow_runs": {"id": {"any_": [runs[0]["id"]]}}, "sort": "END_TIME_DESC"},
    )
    assert [found["name"] for found in reversed(tasks)] == ["first", "second"]
    of_run = {
        "logs": {"flow_run_id": {"any_": [runs[0]["id"]]}}
    }  # lines arrive in batches, some after the end
    wait_for(
        lambda: [
            line
            for line in prefect.ask("logs/filter", of_run)
            if "hello from first" in line["message"]
        ],
        30,
        prefect.log,
    )
    tables = prefect.ask("artifacts/filter", {"artifacts": {"key": {"any_": ["metrics"]}}})
    assert json.loads(tables[0]["data"]) == [
        {"file": "train.json", "metric": "losses.mlm", "value": 0.5}
    ]
    deployment = prefect.ask("deployments/filter", {})[0]
    assert deployment["global_concurrency_limit"]["limit"] == 1
    assert deployment["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"


@pytest.mark.slow
def test_pipeline_runs_without_a_server_and_fails_with_the_stage(tmp_path: Path) -> None:
    root = project(tmp_path / "project")
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "DVC_"))
    }
    environment |= {
        "PREFECT_HOME": str(tmp_path / "home"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    environment |= {"SSL_LIB_RETRIES": "0", "DO_NOT_TRACK": "true"}
    command = [sys.executable, "-m", "flows.pipeline", "--root", str(root)]

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240
        )

    done = run()
    assert done.returncode == 0, done.stderr
    assert (root / "b.txt").read_text() == "aa"
    (root / "second.py").write_text(SECOND.replace("* 2", "* None"))
    broken = run()
    assert broken.returncode != 0
    assert "stage second ended with status" in broken.stderr
    assert "TypeError" in broken.stderr


def test_stages_of_the_repository_come_in_dvcs_order() -> None:
    from flows.pipeline import stage_order

    assert stage_order(ROOT) == ["corpus", "tokenize", "tune", "train", "evaluate"]


def test_rows_of_the_table_are_the_numbers_of_the_file(tmp_path: Path) -> None:
    from flows.pipeline import metric_rows

    (tmp_path / "evaluation.json").write_text(
        '{"losses": {"mlm": {"before": 8.5}}, "name": "x", "ok": true, "n": 3}'
    )
    assert [(row["metric"], row["value"]) for row in metric_rows(tmp_path / "evaluation.json")] == [
        ("losses.mlm.before", 8.5),
        ("n", 3),
    ]


def test_link_to_a_run_leads_to_the_server_or_names_the_command() -> None:
    from flows.pipeline import run_markdown

    run = {"run_id": "r", "experiment_id": "1", "tracking_uri": "http://host:5000/"}
    assert "(http://host:5000/#/experiments/1/runs/r)" in run_markdown(run)
    assert "ssl-lib ui" in run_markdown(run | {"tracking_uri": "sqlite:////a/mlflow.db"})
    assert "not recorded" in run_markdown(dict.fromkeys(run, ""))
