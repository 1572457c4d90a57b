"""`make serve` as documented: nights, variants, failures and a power cut, on a real server."""

from __future__ import annotations

import http.server
import json
import os
import re
import signal
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from nights import ROOT, artifacts, ask, environment, project, wait_for

pytestmark = pytest.mark.slow
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


def documented() -> list[str]:
    """The blocks of commands under "A laptop" of docs/cluster.md."""
    text = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    section = text.split("## A laptop\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def descendants(pid: int) -> list[int]:
    """The children of a process, and theirs."""
    shown = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True)
    parents = [tuple(map(int, line.split())) for line in shown.stdout.splitlines()]
    found, queue = [], [pid]
    while queue:
        parent = queue.pop()
        children = [child for child, its in parents if its == parent]
        found += children
        queue += children
    return found


class Served:
    """What `make serve` runs, and one's questions to it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log = root.parent / "serve.log"
        self.begin()

    def begin(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["bash", "-c", f"exec {documented()[0].strip()}"],
                cwd=self.root,
                env=environment(self.root),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(self.told, self.log)

    def told(self) -> str:
        """The address of the server, once everything runs."""
        if self.process.poll() is not None:
            raise AssertionError(self.log.read_text()[-5000:])
        file = self.root / ".ssl_lib" / "serve.env"
        if not file.exists():
            return ""
        return re.search(r"PREFECT_API_URL=(\S+)", file.read_text())[1]

    @property
    def api(self) -> str:
        return self.told()

    def terminal(self, commands: str) -> str:
        """What commands print in another terminal."""
        done = subprocess.run(
            ["bash", "-ec", commands],
            cwd=self.root,
            env=environment(self.root),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, **parameters: Any) -> str:
        """Start a night, as its page does; returns the id of the run."""
        deployment = ask(self.api, "deployments/name/nightly/nightly")["id"]
        path = f"deployments/{deployment}/create_flow_run"
        question = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        # a busy server asks to come again
        return wait_for(lambda: ask(self.api, path, question), self.log)["id"]

    def ended(self, run_id: str) -> dict[str, Any]:
        """The run, once it has ended."""

        def final() -> dict[str, Any] | None:
            run = ask(self.api, f"flow_runs/{run_id}")
            return run if run["state_type"] in FINAL else None

        return wait_for(final, self.root / ".ssl_lib" / "serve" / "prefect-worker.log")

    def tasks(self, run_id: str) -> list[dict[str, Any]]:
        """The run's tasks in their order; what happened to them arrives some time after it."""
        question = {"flow_runs": {"id": {"any_": [run_id]}}, "sort": "END_TIME_DESC"}

        def complete() -> list[dict[str, Any]]:
            found = ask(self.api, "task_runs/filter", question)
            final = [task["state_type"] in FINAL for task in found]
            return found if final and all(final) else []

        found: list[dict[str, Any]] = wait_for(complete, self.log)
        return found[::-1]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(project(tmp_path_factory.mktemp("nights") / "project"))
    yield served
    if served.process.poll() is None:
        served.process.terminate()
        served.process.wait(timeout=120)


def test_the_documented_commands_run_a_night_and_an_unchanged_one(served: Served) -> None:
    told = served.terminal(documented()[1])
    (run_id,) = set(re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", told))
    run = served.ended(run_id)
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert run["state"]["message"].startswith("corpus ran, tokenize ran, train ran; "), told
    # its name has the date and the commit, its tags commit and data
    commit = served.terminal("git rev-parse --short HEAD").strip()
    assert re.match(rf"\d{{4}}-\d\d-\d\d {commit}$", run["name"])
    assert f"commit:{commit}" in run["tags"]

    tasks = served.tasks(run["id"])
    states = {task["name"]: task["state_name"] for task in tasks}
    assert {states[name] for name in ("corpus", "tokenize", "train")} == {"Ran"}
    # each task waits for the one before it: the graph has arrows
    ids = {task["id"]: task["name"] for task in tasks}
    before = {
        task["name"]: [ids[one["id"]] for one in task["task_inputs"].get("wait_for", [])]
        for task in tasks
    }
    assert before["tokenize"] == ["corpus"]
    assert before["data report"] == ["tokenize"]
    assert before["train"] == ["tokenize"]

    (progress,) = artifacts(served.api, "progress-train")
    assert float(progress["data"]) == 100.0
    rows = json.loads(artifacts(served.api, "data")[0]["data"])
    assert {"what": "documents", "champion": 0, "tonight": 2, "change": "+2"} in rows
    assert artifacts(served.api, "data-drift")[0]["data"].startswith("data:image/png;base64,")
    assert "| losses.mlm | – | 0.5 | – |" in artifacts(served.api, "summary")[0]["data"]
    # the night is kept, and on nobody's branch
    assert "night-" in served.terminal("source .venv/bin/activate; dvc exp list")
    assert served.terminal("git rev-parse --short HEAD").strip() == commit

    again = served.ended(served.start())
    assert (again["state_type"], again["state"]["message"]) == ("COMPLETED", "nothing changed")
    assert {task["state_name"] for task in served.tasks(again["id"])} <= {"Unchanged", "Completed"}


def test_the_pages_of_the_server_ask_this_server(served: Served) -> None:
    assert ask(served.api.removesuffix("/api"), "ui-settings")["api_url"] == served.api


def test_a_schedule_fires(served: Served) -> None:
    deployment = ask(served.api, "deployments/name/nightly/nightly")["id"]
    plan = [{"schedule": {"interval": 60}, "active": True}]
    (added,) = ask(served.api, f"deployments/{deployment}/schedules", plan)
    completed = {"state": {"type": {"any_": ["COMPLETED"]}}}

    def fired() -> list[Any]:
        found = ask(served.api, "flow_runs/filter", {"flow_runs": completed})
        return [run for run in found if run["auto_scheduled"]]

    wait_for(fired, served.log)
    place = f"{served.api}/deployments/{deployment}/schedules/{added['id']}"
    urllib.request.urlopen(urllib.request.Request(place, method="DELETE"), timeout=60).close()


def test_settings_of_a_run_make_a_variant_that_changes_nothing_here(served: Served) -> None:
    run_id = served.start(settings={"seed": 7}, experiment="seventh")
    run = served.ended(run_id)
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert run["name"].endswith(" seventh seed=7")
    assert run["state"]["message"].endswith("train ran")
    assert "seed: 0" in (served.root / "params.yaml").read_text()
    assert "seed: 7" not in (served.root / "model.txt").read_text()
    assert "seventh" in served.terminal("source .venv/bin/activate; dvc exp list")


def test_a_mistake_in_the_settings_is_the_state_of_the_run(served: Served) -> None:
    run = served.ended(served.start(settings={"training.stepz": 7}))
    assert run["state_type"] == "FAILED"
    assert (
        "training.stepz is not a setting (did you mean training.steps?)"
        in (run["state"]["message"])
    )


def test_a_failed_stage_tells_its_last_line_at_once_and_whom_it_should(served: Served) -> None:
    heard: list[dict[str, Any]] = []

    class Webhook(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

    params = served.root / "params.yaml"
    usual = params.read_text()
    with http.server.HTTPServer(("127.0.0.1", 0), Webhook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/hook"
        params.write_text(f"{usual.replace('seed: 0', 'seed: 1')}  notify: {address}\n")
        (served.root / "fail").touch()
        run_id = served.start()
        run = served.ended(run_id)
        wait_for(lambda: heard, served.log)
        server.shutdown()
    (served.root / "fail").unlink()
    params.write_text(usual)
    last = "train: objectives.mlm.weight must be at least 0; change that"
    assert (run["state_type"], run["state"]["message"]) == ("FAILED", f"train: {last}")
    (train,) = [task for task in served.tasks(run_id) if task["name"] == "train"]
    assert (train["state"]["message"], train["run_count"]) == (last, 1)
    assert heard[0]["message"] == f"train: {last}"


def test_a_power_cut_leaves_no_run_running_and_the_next_one_works(served: Served) -> None:
    (served.root / "wait").touch()
    run_id = served.start(force=True, stages=["train"])
    wait_for((served.root / "waiting").exists, served.log)
    victims = descendants(served.process.pid)
    for pid in victims:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    served.process.wait(timeout=60)
    (served.root / "wait").unlink()
    (served.root / ".ssl_lib" / "serve.env").unlink(missing_ok=True)
    served.begin()
    assert served.ended(run_id)["state_type"] == "CRASHED"
    assert served.ended(served.start(force=True, stages=["train"]))["state_type"] == "COMPLETED"


def test_sigterm_ends_the_servers_and_the_worker(served: Served) -> None:
    started = descendants(served.process.pid)
    # two servers with children of their own, and the worker
    assert len(started) >= 4
    served.process.terminate()
    served.process.wait(timeout=120)
    wait_for(lambda: not any(alive(pid) for pid in started), served.log)
