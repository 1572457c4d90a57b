"""Runs of flows: how they are named, which are alive, what their end tells, and whom."""

from __future__ import annotations

import argparse
import json
import logging
import smtplib
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from email.message import EmailMessage
from http.client import HTTPException
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import Flow, get_client, runtime
from prefect.client.schemas.filters import (
    FlowRunFilter,
    WorkPoolFilter,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Crashed, Failed

from flows.project import operation
from flows.reports import AWAY, told
from flows.stages import StageError
from ssl_lib.config import words_of
from ssl_lib.errors import UserError
from ssl_lib.files import is_alive, sha256_of, sign_of_life
from ssl_lib.processes import sigterm_as_exit
from ssl_lib.tracking.describe import git

LONGEST_ABSENCE = 24 * 3600.0  # seconds that a run of a deployment waits for its server at its end
UNFINISHED = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
_log = logging.getLogger("prefect.flows")
_ended: list[State[Any]] = []  # how the flow of this process ended, known before its server knows


def run_name() -> str:
    """Date, commit and what differs: `2026-11-27 7caa062 training.steps=500`."""
    parameters = runtime.flow_run.parameters
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    parts = [today, git(Path.cwd(), "rev-parse", "--short", "HEAD")]
    parts += [str(parameters.get(name) or "") for name in ("experiment", "preset")]
    parts += words_of(parameters.get("settings") or {})
    if parameters.get("force"):
        parts.append("forced")
    return " ".join(part for part in parts if part)


def tags_of(root: Path) -> list[str]:
    """The commit, and the versions of data and model: the digest of `dvc.lock`."""
    tags = []
    if commit := git(root, "rev-parse", "--short", "HEAD"):
        tags.append(f"commit:{commit}")
    # it names the digest of every output of every stage
    lock = root / "dvc.lock"
    if lock.exists():
        tags.append(f"dvc:{sha256_of(lock)[:8]}")
    return tags


def carry_out(root: Path, work: Callable[[], State[Any]]) -> State[Any]:
    """The end of a flow: its work, with all that every flow does around it.

    A user's mistake, a stage that failed and a file that cannot be used are told in one sentence.
    """
    with under_way(root):
        try:
            state = work()
        except (UserError, StageError, OSError) as error:
            state = Failed(message=str(error))
    return finish(state)


@contextmanager
def under_way(root: Path) -> Iterator[None]:
    """Inside, this run is marked as alive, and tagged.

    Runs that a power cut has left "Running" are ended. No report to a server that is away holds the
    work up.
    """
    # Inside a flow the engine's own client is not concerned.
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}), ExitStack() as stack:
        told(bury, root)
        run_id = runtime.flow_run.id
        if run_id:
            stack.enter_context(sign_of_life(_folder(root) / str(run_id)))
            told(_tag, UUID(str(run_id)), tags_of(root))
        yield


def finish(state: State[Any]) -> State[Any]:
    """The end of a flow: the work is done, whether or not its server can be told now.

    A run of a deployment waits for its server, so that the run is "Completed" once that is back.
    """
    _ended[:] = [state]
    # a run in a terminal ends at once: whoever started it reads what it prints
    patience = LONGEST_ABSENCE if runtime.deployment.id else 0.0
    deadline = time.monotonic() + patience
    while not answers() and time.monotonic() < deadline:
        time.sleep(2.0)
    return state


def answers() -> bool:
    """Whether Prefect's server does."""
    with (
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}),
        get_client(sync_client=True) as client,
    ):
        return client.api_healthcheck() is None


def bury(root: Path) -> None:
    """End those runs of this checkout as "Crashed" whose process died without a word."""
    for path in sorted(_folder(root).glob("*")):
        if not is_alive(path):
            _crash(UUID(path.name))
            path.unlink(missing_ok=True)


def bury_all(root: Path, pool: str) -> None:
    """The same before a worker starts: then no run of its pool is alive without its lock."""
    bury(root)
    unfinished = FlowRunFilter.model_validate({"state": {"type": {"any_": UNFINISHED}}})
    own = WorkPoolFilter.model_validate({"name": {"any_": [pool]}})
    # a run that had no time to take its lock is among these too
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(flow_run_filter=unfinished, work_pool_filter=own)
    for run in found:
        if not is_alive(_folder(root) / str(run.id)):
            _crash(run.id)


def _folder(root: Path) -> Path:
    return root / ".ssl_lib" / "flow_runs"


def _crash(run_id: UUID) -> None:
    with get_client(sync_client=True) as client:
        try:
            run = client.read_flow_run(run_id)
        except ObjectNotFound:
            return  # of another server
        if run.state is None or not run.state.is_final():
            state: State[Any] = Crashed(message="its process, or the machine, has stopped")
            client.set_flow_run_state(run_id, state, force=True)


def _tag(run_id: UUID, tags: list[str]) -> None:
    with get_client(sync_client=True) as client:
        known = client.read_flow_run(run_id).tags
        client.update_flow_run(run_id, tags=sorted({*known, *tags}))


def notify(flow: Flow[Any, Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Tell of a failed run whom `operation.notify` names; a line in the log if that fails."""
    message = state.message or state.name
    text = f"{flow.name}, run {flow_run.name}: {state.name}: {message}"
    try:
        settings = operation(Path.cwd())
        if settings.notify.startswith("http"):
            body = {"text": text, "flow": flow.name, "run": flow_run.name, "state": state.name}
            content = json.dumps(body | {"message": message}).encode()
            kind = {"Content-Type": "application/json"}
            _send(urllib.request.Request(settings.notify, content, kind))
        elif settings.notify:
            _mail(settings.notify.removeprefix("mailto:"), settings.mail_server, text)
    # errors of mail are OSErrors, too; a ValueError is an address or a port that is none
    except (UserError, OSError, HTTPException, ValueError) as error:
        told_by = str(error) or type(error).__name__
        _log.warning("operation.notify: nobody was told of the failed run (%s)", told_by)


def _send(request: urllib.request.Request) -> None:
    with urllib.request.urlopen(request, timeout=30):
        pass


def _mail(address: str, server: str, text: str) -> None:
    mail = EmailMessage()
    mail["From"] = mail["To"] = address
    mail["Subject"] = text.splitlines()[0][:200]
    mail.set_content(text)
    host, _, port = server.partition(":")
    with smtplib.SMTP(host, int(port or 25), timeout=30) as smtp:
        smtp.send_message(mail)


def arguments(program: str, description: str) -> argparse.ArgumentParser:
    """The options that all flows have on the command line."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=description)
    parser.add_argument(
        "--preset",
        metavar="NAME",
        default="",
        help="a variant: change the settings as params/NAME.yaml does, such as gpu",
    )
    parser.add_argument(
        "--set",
        metavar="SECTION.KEY=VALUE",
        action="append",
        default=[],
        dest="settings",
        help="a variant: change one setting for this run; may be repeated",
    )
    parser.add_argument("--force", action="store_true", help="run every stage, changed or not")
    return parser


def run_here(work: Callable[[], State[Any]], name: str) -> int:
    """Exit status of a flow that runs in this process: 0, or 1 with one sentence.

    What has been finished stays finished where the server was lost meanwhile.
    """
    _ended.clear()
    try:
        with sigterm_as_exit():
            state = work()
    except UserError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except AWAY as error:
        if not _ended and answers():
            raise
        if not _ended:
            address = PREFECT_API_URL.value()
            missing = f"Prefect's server at {address} does not answer"
            advice = "start it with `make serve`, or unset PREFECT_API_URL"
            print(f"{name}: {missing}; {advice}", file=sys.stderr)
            return 1
        state = _ended[0]
        told_by = str(error) or type(error).__name__
        print(f"{name}: done, but Prefect's server was not told ({told_by})", file=sys.stderr)
    if state.is_completed():
        print(f"{name}: {state.message}")
        return 0
    print(f"{name}: {state.message or state.name}", file=sys.stderr)
    return 1
