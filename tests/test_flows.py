"""What flows do without a schedule: stages in DVC's order, their ends, drift of data, fleets."""

from __future__ import annotations

import email
import http.server
import json
import logging
import math
import os
import re
import shlex
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from nights import ROOT, environment, project, wait_for
from test_config import yaml
from test_promotion import trained

from ssl_lib.config import Settings, load_settings
from ssl_lib.corpus.problems import CorpusError
from ssl_lib.experiments.promotion import challenge
from ssl_lib.files import sha256_of


def test_stages_of_the_repository_come_in_dvcs_order() -> None:
    from flows.stages import stage_order

    assert stage_order(ROOT) == ["corpus", "tokenize", "tune", "train", "evaluate"]


def test_rows_of_the_table_are_the_numbers_of_the_file(tmp_path: Path) -> None:
    from flows.reports import metric_rows

    (tmp_path / "evaluation.json").write_text(
        '{"losses": {"mlm": {"before": 8.5}}, "name": "x", "ok": true, "n": 3}'
    )
    assert [(row["metric"], row["value"]) for row in metric_rows(tmp_path / "evaluation.json")] == [
        ("losses.mlm.before", 8.5),
        ("n", 3),
    ]


def test_links_to_a_run_lead_to_pages_that_a_browser_opens() -> None:
    from flows.reports import run_links

    run = {"run_id": "r", "experiment_id": "1", "tracking_uri": "sqlite:////a/mlflow.db"}
    told = run_links(run, "http://host:5000")
    # without it MLflow opens its pages for prompts and traces
    mode = "?workflowType=machine_learning)"
    assert f"(http://host:5000/#/experiments/1/runs/r{mode}" in told
    assert f"(http://host:5000/#/experiments/1/runs/r/artifacts/report/index.html{mode}" in told
    assert told.count("workflowType=machine_learning)") == 3
    assert "(http://host:5000/#/metric?runs=%5B%22r%22%5D&metric=%22train%2Fmlm%22" in told
    assert "file:" not in told
    assert "not recorded" in run_links(dict.fromkeys(run, ""), "http://host:5000")


@pytest.mark.parametrize(
    ("line", "passing"),
    [
        ("ERROR: Unable to acquire lock. Most likely another DVC process is running", True),
        ("requests.exceptions.ConnectTimeout: timed out", True),
        ("ssl-lib train: params.yaml: no such file; run from the project's root", False),
    ],
)
def test_only_what_may_pass_is_tried_again(line: str, passing: bool) -> None:
    from flows.stages import PassingError, StageError, lines_of
    from ssl_lib.processes import begin

    code = f"import sys; sys.exit({line!r})"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with pytest.raises(StageError) as caught:
        list(lines_of(begin([sys.executable, "-c", code], **pipes)))
    assert str(caught.value) == line
    assert isinstance(caught.value, PassingError) == passing


def test_a_stage_that_hangs_is_ended_and_told() -> None:
    from flows.stages import StageError, lines_of
    from ssl_lib.processes import begin

    code = "import time; print('begun', flush=True); time.sleep(600)"
    process = begin([sys.executable, "-c", code], stdout=subprocess.PIPE)
    with pytest.raises(StageError, match=r"longer than operation\.timeout_seconds = 1"):
        list(lines_of(process, 1.0))
    assert process.poll() is not None


def test_the_lines_of_one_process_are_cut_where_another_stage_begins() -> None:
    from flows.pipeline import Segments

    lines = ["copying", "Running stage 'a':", "a1", "Stage 'b' didn't change, skipping"]
    lines += ["Running stage 'd':", "d1", "done"]
    segments = Segments(iter(lines))
    assert [list(segments.of(stage)) for stage in "abcd"] == [
        lines[:3],
        lines[3:4],
        [],
        lines[4:],
    ]


def test_divergence_equals_its_definition() -> None:
    from flows.drift import divergence

    first, other = {"a": 3, "b": 1}, {"a": 1, "c": 1}
    p, q = {"a": 0.75, "b": 0.25, "c": 0.0}, {"a": 0.5, "b": 0.0, "c": 0.5}
    middle = {name: (p[name] + q[name]) / 2 for name in p}
    apart = [
        sum(one[name] * math.log2(one[name] / middle[name]) for name in p if one[name])
        for one in (p, q)
    ]
    assert divergence(first, other) == pytest.approx(sum(apart) / 2)
    assert divergence(first, {"a": 6, "b": 2}) == pytest.approx(0)
    assert divergence({"a": 1}, {"b": 5}) == pytest.approx(1)


def corpus(root: Path, texts: list[str], values: list[float]) -> None:
    """What stages corpus and tokenize leave, as far as a profile reads it."""
    raw, train = root / "data" / "raw", root / "data" / "tokenized" / "train"
    for folder in (raw, train):
        folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"text": text}) + "\n" for text in texts]
    (raw / "train.jsonl").write_text("".join(lines))
    sizes = {"train": len(texts)}
    told = {"documents": sizes, "domains": {"reports": sizes}}
    (raw / "manifest.json").write_text(json.dumps(told))
    numbers = np.zeros(len(values), dtype=[("value", "f8"), ("form", "u1")])
    numbers["value"] = values
    np.save(train / "numbers.npy", numbers)


def test_the_report_tells_what_is_new_in_the_data(tmp_path: Path) -> None:
    from flows import drift

    corpus(tmp_path, ["It rose 12"], [12.0])
    before = drift.profile(tmp_path)
    assert before["magnitudes"] == {"1e1": 1}
    assert before["words"] == {"it": 1, "rose": 1}
    corpus(tmp_path, ["It rose 12", "Sales fell by 4,000"], [12.0, -4000.0, 0.0, math.nan])
    now = drift.profile(tmp_path)
    assert now["magnitudes"] == {"0": 1, "not a value": 1, "1e1": 1, "1e3": 1}
    rows = {row["what"]: row for row in drift.rows(before, now)}
    assert rows["documents"]["change"] == "+1"
    assert rows["numbers"]["change"] == "+3"
    assert rows["domain reports"]["change"] == "+1"
    assert not rows["drift of magnitudes"]["change"].startswith("0.0000")
    assert rows["drift of forms"]["change"].startswith("0.0000")
    assert drift.picture(before, now).startswith("data:image/png;base64,")


def test_a_source_that_dvc_does_not_watch_is_seen_when_it_changes(tmp_path: Path) -> None:
    from flows import data

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "a.txt").write_text("It rose 12")
    root = tmp_path / "project"
    root.mkdir()
    source = f"{elsewhere}/*.txt"
    (root / "params.yaml").write_text(f"corpus:\n  sources:\n  - path: {source}\n")
    seen = data.unwatched(root)
    assert data.changed(root, seen) == [source]
    data.remember(root, seen)
    assert data.changed(root, data.unwatched(root)) == []
    (elsewhere / "b.txt").write_text("It fell by 7")
    assert data.changed(root, data.unwatched(root)) == [source]


def test_passwords_queries_and_standard_input_do_not_stop_a_night(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows import data

    (tmp_path / "a.txt").write_text("It rose 12")
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://me:$OWN_SECRET@127.0.0.1:{server.server_address[1]}/a.txt"
        databases = ["postgresql://me:$OWN_SECRET@nowhere/notes", "sqlite:///elsewhere.db"]
        watched = "sqlite:///data/sources/notes.db"
        queries = [{"path": path, "query": "SELECT text"} for path in (*databases, watched)]
        sources = [{"path": url}, {"path": "-"}, *queries]
        params = {"corpus": {"sources": sources}}
        (tmp_path / "params.yaml").write_text(json.dumps(params))
        with pytest.raises(CorpusError, match=r"sources\.0\.path: .* OWN_SECRET is not set"):
            data.unwatched(tmp_path)
        monkeypatch.setenv("OWN_SECRET", "hunter2")
        seen = data.unwatched(tmp_path)
        server.shutdown()
    assert list(seen) == [url, *databases]
    data.remember(tmp_path, seen)
    assert data.changed(tmp_path, seen) == databases
    assert "hunter2" not in (tmp_path / data.SEEN).read_text()


def test_a_source_that_cannot_be_reached_may_be_there_later(tmp_path: Path) -> None:
    from flows import data
    from flows.stages import PassingError

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    source = f"http://127.0.0.1:{port}/facts.jsonl"
    (tmp_path / "params.yaml").write_text(f"corpus:\n  sources:\n  - path: {source}\n")
    with pytest.raises(PassingError, match=source):
        data.unwatched(tmp_path)


def test_dvc_updates_imports_and_nothing_else(tmp_path: Path) -> None:
    from flows import data

    (tmp_path / "own.txt.dvc").write_text("outs:\n- path: own.txt\n")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "got.txt.dvc").write_text("frozen: true\ndeps:\n- path: /a\nouts:\n- path: got.txt\n")
    assert data.imports(tmp_path) == ["data/got.txt.dvc"]


def test_a_worker_without_its_variable_says_so_in_one_sentence() -> None:
    first = yaml(ROOT / "prefect.yaml")["pull"][0]
    script = first["prefect.deployments.steps.run_shell_script"]["script"]
    kept = {name: value for name, value in os.environ.items() if name != "SSL_LIB_ROOT"}
    done = subprocess.run(
        shlex.split(script), env=kept, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("SSL_LIB_ROOT is not set - start the worker with make serve")
    known = kept | {"SSL_LIB_ROOT": "/somewhere"}
    assert subprocess.run(shlex.split(script), env=known, check=False).returncode == 0


def test_every_deployment_is_a_flow_with_documented_parameters() -> None:
    import importlib

    told = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+/\w+)` .*\| (.+) \|$", told, re.MULTILINE))
    for deployment in yaml(ROOT / "prefect.yaml")["deployments"]:
        file, _, name = deployment["entrypoint"].partition(":")
        flow = getattr(importlib.import_module(file.removesuffix(".py").replace("/", ".")), name)
        parameters = re.findall(r"`(\w+)`", rows[f"{flow.name}/{deployment['name']}"])
        assert parameters == list(flow.parameters.properties)


def test_a_night_tells_what_its_evaluation_has_decided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.nightly import decide

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    settings = Settings()
    run_id = trained(settings, tmp_path, "first", 0.6)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "run.json").write_text(json.dumps({"run_id": run_id}))
    begun = datetime.now(UTC)
    # what the command `evaluate` does behind its stage
    assert challenge(settings, tmp_path).promoted
    assert decide.fn(tmp_path, begun) == "promoted: there was no champion"
    # one that evaluates the champion once more, and one without an evaluation
    for evaluated_after in (datetime.now(UTC), None):
        told = "the champion stays as it is: it is the champion already"
        assert decide.fn(tmp_path, evaluated_after) == told


class Mailbox(socketserver.StreamRequestHandler):
    """As much of an SMTP server (RFC 5321) as delivers a mail; the letters stay in its server."""

    def handle(self) -> None:
        self.wfile.write(b"220 mailbox\r\n")
        while line := self.rfile.readline():
            command = line.split(b" ")[0].strip().upper()
            if command == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = iter(self.rfile.readline, b".\r\n")
                self.server.letters.append(b"".join(lines))  # type: ignore[attr-defined]
            self.wfile.write(b"221 bye\r\n" if command == b"QUIT" else b"250 fine\r\n")
            if command == b"QUIT":
                return


def test_a_failed_run_is_told_by_mail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.client.schemas.objects import FlowRun
    from prefect.states import Failed

    from flows.pipeline import pipeline
    from flows.runs import notify

    monkeypatch.chdir(tmp_path)
    letters: list[bytes] = []
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mailbox) as server:
        server.letters = letters  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (tmp_path / "params.yaml").write_text(
            "operation:\n  notify: mailto:me@example.org\n"
            f"  mail_server: 127.0.0.1:{server.server_address[1]}\n"
        )
        notify(pipeline, FlowRun(flow_id=uuid4(), name="night"), Failed(message="train: no room"))
        server.shutdown()
    (letter,) = (email.message_from_bytes(one) for one in letters)
    assert (letter["To"], letter["Subject"]) == (
        "me@example.org",
        "pipeline, run night: Failed: train: no room",
    )
    assert "train: no room" in letter.get_payload()


def test_a_failed_run_is_told_though_no_report_was_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from prefect.client.schemas.objects import FlowRun
    from prefect.states import Failed

    from flows import reports
    from flows.pipeline import pipeline
    from flows.runs import notify

    def lost() -> None:
        raise OSError

    heard = []

    class Webhook(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

    def tell(notified: str) -> None:
        (tmp_path / "params.yaml").write_text(f"operation:\n  notify: {notified}\n")
        notify(pipeline, FlowRun(flow_id=uuid4(), name="night"), Failed(message="it failed"))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reports, "_silent_until", [0.0])
    logging.getLogger("prefect.flows").addHandler(caplog.handler)
    reports.told(lost)
    with http.server.HTTPServer(("127.0.0.1", 0), Webhook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tell(f"http://127.0.0.1:{server.server_address[1]}/hook")
        server.shutdown()
    assert [one["message"] for one in heard] == ["it failed"]
    # a hook that raises would be a traceback
    for wrong in ("me@example.org\n  mail_server: localhost:smtp", "http://host:x", "[1"):
        caplog.clear()
        tell(wrong)
        assert "nobody was told of the failed run" in caplog.text
    logging.getLogger("prefect.flows").removeHandler(caplog.handler)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny project that no server knows."""
    return project(tmp_path_factory.mktemp("flows") / "project")


@pytest.fixture(scope="module")
def api(tiny: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A real Prefect server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["server", "start", "--host", "127.0.0.1", "--port", str(port)]
    quiet = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "true"}
    log = tiny.parent / "server.log"
    with log.open("wb") as file:
        server = subprocess.Popen(
            [sys.executable, "-m", "prefect", *words],
            cwd=tiny.parent,
            env=environment(tiny) | quiet,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        wait_for(lambda: answers(port), log)
        yield f"http://127.0.0.1:{port}/api", server
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def begin_pipeline(
    tiny: Path, api: str, *words: str, program: str = "pipeline"
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", f"flows.{program}", *words],
        cwd=tiny,
        env=environment(tiny) | {"PREFECT_API_URL": api},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Status and output of a process."""
    output, _ = process.communicate(timeout=300)
    return process.returncode, output


@pytest.mark.slow
def test_a_failed_stage_and_a_mistake_are_one_sentence(tiny: Path, api: Any) -> None:
    (tiny / "fail").touch()
    status, output = ended(begin_pipeline(tiny, api[0]))
    (tiny / "fail").unlink()
    last = "train: objectives.mlm.weight must be at least 0; change that"
    assert (status, output.splitlines()[-1]) == (1, f"flows.pipeline: train: {last}")
    assert "Traceback" not in output
    status, output = ended(begin_pipeline(tiny, api[0], "trane"))
    told = "flows.pipeline: dvc.yaml has no stage 'trane'; it has corpus, tokenize, train"
    assert (status, output.splitlines()[-1]) == (1, told)


@pytest.mark.slow
@pytest.mark.parametrize("program", ["pipeline", "nightly"])
def test_a_broken_file_is_one_sentence(tiny: Path, api: Any, program: str) -> None:
    for name in ("params.yaml", "dvc.yaml"):
        usual = (tiny / name).read_text()
        (tiny / name).write_text(f"{usual}\n- [")
        status, output = ended(begin_pipeline(tiny, api[0], program=program))
        (tiny / name).write_text(usual)
        assert status == 1
        assert output.splitlines()[-1].startswith(f"flows.{program}: ")
        assert name in output.splitlines()[-1]
        assert "Traceback" not in output


def test_fleets_and_ports_that_cannot_be_are_refused_at_once(tmp_path: Path) -> None:
    from prefect.exceptions import ParameterTypeError

    from flows.ablation import ablation
    from flows.tuning import tuning

    for flow, name in ((tuning, "workers"), (ablation, "workers"), (ablation, "seeds")):
        with pytest.raises(ParameterTypeError, match="greater than or equal to 1"):
            flow.validate_parameters({name: 0})
    command = [sys.executable, "-m", "flows.serve", "--prefect-port", "99999"]
    told = environment(tmp_path)
    done = subprocess.run(
        command, cwd=tmp_path, env=told, capture_output=True, text=True, check=False
    )
    last = "argument --prefect-port: must be between 1 and 65535, got 99999"
    assert (done.returncode, done.stderr.splitlines()[-1].endswith(last)) == (2, True), done.stderr


@pytest.mark.slow
def test_a_worker_of_yesterday_is_not_the_one_that_starts(api: Any) -> None:
    from prefect import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.serve import has_worker

    with temporary_settings({PREFECT_API_URL: api[0]}), get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name="checkout", type="process"))
        heartbeat = "/work_pools/checkout/workers/heartbeat"
        client.request("POST", heartbeat, json={"name": "yesterday"}).raise_for_status()
        assert not has_worker("checkout", "today")
        client.request("POST", heartbeat, json={"name": "today"}).raise_for_status()
        assert has_worker("checkout", "today")


@pytest.mark.slow
def test_settings_of_the_command_line_are_read_as_the_library_reads_them(
    tiny: Path, api: Any
) -> None:
    status, output = ended(begin_pipeline(tiny, api[0], "--set", "seed=7"))
    assert (status, output.splitlines()[-1].endswith("train ran")) == (0, True), output
    status, output = ended(begin_pipeline(tiny, api[0], "--set", "seed"))
    told = "flows.pipeline: --set seed: write it as section.key=value"
    assert (status, output.splitlines()[-1]) == (1, told)
    assert "Traceback" not in output


@pytest.mark.slow
def test_a_night_without_the_corpus_does_not_say_that_its_sources_were_read(
    tiny: Path, api: Any
) -> None:
    assert ended(begin_pipeline(tiny, api[0]))[0] == 0
    seen = tiny / ".ssl_lib" / "sources.json"
    for stage in ("tokenize", "corpus"):
        assert not seen.exists()
        code = f"from flows.nightly import nightly; nightly(stages=[{stage!r}])"
        told = environment(tiny) | {"PREFECT_API_URL": api[0]}
        subprocess.run([sys.executable, "-c", code], cwd=tiny, env=told, check=True, timeout=300)
    assert seen.exists()


def last_of_a_night(root: Path, api: str, *words: str) -> str:
    """What a night that succeeds says at its end."""
    status, output = ended(begin_pipeline(root, api, *words, program="nightly"))
    assert status == 0, output
    return output.splitlines()[-1]


def stored(root: Path) -> dict[str, list[str]]:
    """Paths of all that the project's `.dvc` files and lock name, and what is not in the remote."""
    status = [sys.executable, "-m", "dvc", "status", "--cloud", "--json"]
    done = subprocess.run(
        status, cwd=root, env=environment(root), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout or "{}")


@pytest.mark.slow
def test_a_night_fetches_what_has_changed_and_sends_what_it_has_made(
    tmp_path: Path, api: Any
) -> None:
    root, remote = project(tmp_path / "project"), tmp_path / "remote"
    text = tmp_path / "elsewhere.txt"
    text.write_text("It rose 12 to 340\n")
    (root / "params.yaml").write_text("seed: 0\noperation:\n  push: true\n")
    commands = f"""
    git rm -q data/sources/text.txt
    mkdir -p data/sources
    dvc import-url {shlex.quote(str(text))} data/sources/text.txt
    dvc remote add --default store {shlex.quote(str(remote))}
    git add . && git commit -qm import
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    told = environment(root) | {"PATH": path}
    subprocess.run(["bash", "-euc", commands], cwd=root, env=told, check=True, timeout=300)

    message = last_of_a_night(root, api[0])
    assert "corpus ran, tokenize ran, train ran" in message
    assert "failed" not in message
    raw = root / "data" / "raw" / "train.jsonl"
    for words in ("It rose 12 to 340", "It fell by 7 to 5"):
        if words not in text.read_text():
            assert last_of_a_night(root, api[0]) == "flows.nightly: nothing changed"
            text.write_text(f"{words}\n")
            assert "corpus ran, tokenize ran" in last_of_a_night(root, api[0])
        assert [json.loads(line)["text"] for line in raw.read_text().splitlines()] == [words]
        # all that the lock and the import name is in the remote, byte for byte
        objects = {sha256_of(path) for path in remote.rglob("*") if path.is_file()}
        assert {sha256_of(raw), sha256_of(text), sha256_of(root / "model.txt")} <= objects
        assert stored(root) == {}
    assert last_of_a_night(root, api[0]) == "flows.nightly: nothing changed"


@pytest.mark.slow
def test_a_preset_makes_a_variant_and_settings_win(tiny: Path, api: Any) -> None:
    (tiny / "params").mkdir(exist_ok=True)
    # seeds that no other test here has: what it has trained would be restored
    (tiny / "params" / "seventh.yaml").write_text("seed: 4711\n")
    dvc = [sys.executable, "-m", "dvc"]
    for words, seed in ((), "4711"), (("--set", "seed=4712"), "4712"):
        last = last_of_a_night(tiny, api[0], "--preset", "seventh", *words)
        assert last.endswith("train ran"), last
        shown = subprocess.run(
            [*dvc, "exp", "show", "--json"],
            cwd=tiny, env=environment(tiny), capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert f'"seed": {seed}' in shown.stdout
        assert "seed: 0" in (tiny / "params.yaml").read_text()
    code = """
from flows.ablation import ablation
from flows.nightly import nightly
from flows.tuning import tuning
for flow in (ablation, nightly, tuning):
    print(flow(preset="eighth", return_state=True).message)
"""
    told = environment(tiny) | {"PREFECT_API_URL": api[0]}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tiny,
        env=told,
        capture_output=True,
        text=True,
        timeout=300,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("--preset eighth: ")]
    assert len(lines) == 3, done.stdout + done.stderr
    assert lines[0].endswith("has seventh; name one that is there")


def test_a_preset_means_to_a_flow_what_it_means_to_a_command() -> None:
    from flows.project import differing

    names = [path.stem for path in (ROOT / "params").glob("*.yaml")]
    for name in names:
        changed = load_settings(ROOT / "params.yaml").replaced(differing(ROOT, name, None))
        assert changed == load_settings(ROOT / "params.yaml", preset=name)
    steps = {"training.steps": 9}
    assert differing(ROOT, "gpu", steps) == differing(ROOT, "gpu", None) | steps
    assert differing(ROOT, "", None) == {}


@pytest.mark.slow
def test_a_run_tells_what_was_restored(tiny: Path, api: Any) -> None:
    assert ended(begin_pipeline(tiny, api[0]))[0] == 0
    (tiny / "model.txt").unlink()
    status, output = ended(begin_pipeline(tiny, api[0]))
    last = "flows.pipeline: corpus unchanged, tokenize unchanged, train restored"
    assert (status, output.splitlines()[-1]) == (0, last)


@pytest.mark.slow
def test_a_run_waits_for_dvcs_lock_and_sigterm_ends_its_stage(tiny: Path, api: Any) -> None:
    (tiny / "wait").touch()
    (tiny / "waiting").unlink(missing_ok=True)
    first = begin_pipeline(tiny, api[0], "--force")
    wait_for((tiny / "waiting").exists, tiny / "none")
    second = begin_pipeline(tiny, api[0])
    assert second.stdout is not None
    for line in second.stdout:
        if "waiting for the process that holds the lock" in line:
            break
    else:
        raise AssertionError("the second run did not wait")
    first.terminate()
    status, _ = ended(first)
    assert status != 0
    (tiny / "wait").unlink()
    status, output = ended(second)
    # the cache of an earlier run may hold what it makes
    assert status == 0, output
    assert output.splitlines()[-1].split(", ")[-1] in ("train ran", "train restored"), output


FLEET = """
import math
from distributed import LocalCluster
from prefect import flow
from flows.fleet import results, task_runner

@flow
def fleet(runner, address):
    calls = {f"member {number}": [number] for number in range(5)}
    return sorted(results(task_runner(runner, 2, address), math.factorial, calls))

if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1) as cluster:
        for runner, place in (
            ("threads", ""), ("processes", ""), ("dask", cluster.scheduler_address)
        ):
            print(runner, fleet(runner, place), flush=True)
"""


@pytest.mark.slow
def test_a_fleet_gives_what_every_member_gives(tiny: Path, api: Any) -> None:
    pytest.importorskip("prefect_dask")
    (tiny / "fleet_of_five.py").write_text(FLEET)
    told = environment(tiny) | {"PREFECT_API_URL": api[0]}
    command = [sys.executable, "fleet_of_five.py"]
    done = subprocess.run(
        command, cwd=tiny, env=told, capture_output=True, text=True, timeout=300, check=False
    )
    found = [f"{runner} [1, 1, 2, 6, 24]" for runner in ("threads", "processes", "dask")]
    assert [line for line in done.stdout.splitlines() if " [" in line] == found, done.stderr


@pytest.mark.slow
def test_a_server_that_dies_does_not_undo_finished_work(tiny: Path, api: Any) -> None:
    address, server = api
    (tiny / "wait").touch()
    (tiny / "waiting").unlink(missing_ok=True)
    run = begin_pipeline(tiny, address, "--force")
    wait_for((tiny / "waiting").exists, tiny / "none")
    os.killpg(server.pid, signal.SIGKILL)
    server.wait()
    (tiny / "wait").unlink()
    status, output = ended(run)
    assert status == 0, output
    assert "flows.pipeline: done, but Prefect's server was not told" in output
    status, output = ended(begin_pipeline(tiny, address))
    assert status == 1
    assert output.splitlines()[-1].endswith("start it with `make serve`, or unset PREFECT_API_URL")


@pytest.mark.slow
def test_a_dask_cluster_makes_the_same_corpus(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    texts = [f"In {year} sales rose by {year % 97} percent." for year in range(1900, 2020)]
    digests = []
    for name, address in (("alone", ""), ("cluster", "local")):
        root = tmp_path / name
        root.mkdir()
        (root / "text.txt").write_text("\n\n".join(texts))
        (root / "params.yaml").write_text(
            "corpus:\n  validation_share: 0.2\n  test_share: 0.2\n  near_duplicates: none\n"
            "  document_characters: 40\n  sources:\n  - path: text.txt\n"
            f"tokens:\n  vocabulary_size: 1400\noperation:\n  dask: '{address}'\n"
        )
        for stage in ("corpus", "tokenize"):
            command = [sys.executable, "-m", "ssl_lib", stage]
            done = subprocess.run(
                command,
                cwd=root,
                env=environment(root),
                capture_output=True,
                text=True,
                timeout=300,
            )
            assert done.returncode == 0, done.stderr
        files = [*(root / "data").rglob("*.jsonl"), *(root / "data").rglob("*.npy")]
        digests.append({path.relative_to(root): sha256_of(path) for path in files})
    assert digests[0] == digests[1]
    assert len(digests[0]) >= 15
