"""Servers end with the process that started them, however that is stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARENT = """
import sys
from ssl_lib.processes import run_until_stopped
sys.exit(run_until_stopped([sys.executable, "-c", {child!r}]))
"""
# A child with a child of its own, which does not listen to SIGTERM; it tells its number.
CHILD = """
import signal, subprocess, sys, time
deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
deaf += "print('up', flush=True); time.sleep(600)"
process = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE)
process.stdout.readline()
print(process.pid, flush=True)
time.sleep(600)
"""


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_command_leaves_no_grandchild(number: signal.Signals) -> None:
    command = [sys.executable, "-c", PARENT.format(child=CHILD)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        # a shell that starts the tests in the background lets them ignore Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as parent:
        assert parent.stdout is not None
        grandchild = int(parent.stdout.readline())
        assert alive(grandchild)
        parent.send_signal(number)
        try:
            assert parent.wait(timeout=60) != 0
        finally:
            parent.kill()
    assert not alive(grandchild)


def test_a_command_that_ends_by_itself_gives_its_status() -> None:
    child = "raise SystemExit(3)"
    command = [sys.executable, "-c", PARENT.format(child=child)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    assert subprocess.run(command, env=environment, timeout=60, check=False).returncode == 3


@pytest.mark.slow
def test_a_terminated_ui_frees_its_port(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "params.yaml").write_text("seed: 0\n")
    command = [sys.executable, "-m", "ssl_lib", "ui", "--port", str(port)]
    kept = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(
            command, cwd=tmp_path, env=kept | {"PYTHONPATH": str(ROOT)}, stdout=log, stderr=log
        ) as parent,
    ):
        deadline = time.monotonic() + 180
        while not answers(port):
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.3)
        parent.terminate()
        parent.wait(timeout=60)
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))


def answers(port: int) -> bool:
    """Whether a server is up."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
            return True
    except OSError:
        return False
