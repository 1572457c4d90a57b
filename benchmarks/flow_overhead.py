"""What a flow costs over bare `dvc repro`, beside a Prefect server that runs already.

    python benchmarks/flow_overhead.py [--rounds 3]

A tiny project of three stages whose commands take no time, so that what is measured is the
starting of processes. Times are of unchanged and of forced runs, whole processes, both ways in
turn, the fastest of each; read the difference. On a busy machine read the processor's seconds, of
a process with all of its children; those of the server are not among them.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from nights import environment, project, wait_for  # noqa: E402  # from the tests' folder


def seconds(command: list[str], root: Path, told: dict[str, str]) -> tuple[float, float]:
    """Wall time of a command in the project, and the processor's time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run(command, cwd=root, env=told, check=True, capture_output=True)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print a table of both ways, unchanged and forced."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        root = project(Path(folder) / "project")
        told = environment(root) | {"DVC_NO_ANALYTICS": "1", "DO_NOT_TRACK": "true"}
        told |= {"PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
        python = [sys.executable, "-m"]
        serve = [*python, "prefect", "server", "start", "--port", str(port)]
        server = subprocess.Popen(
            serve,
            cwd=folder,
            env=told,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

        def listening() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        try:
            wait_for(listening, Path(folder) / "none")
            told["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"
            ways = {"dvc repro": [*python, "dvc", "repro"], "flow": [*python, "flows.pipeline"]}
            print(f"{'':<22}{'dvc repro':>12}{'flow':>12}{'difference':>12}")
            for kind, words in (("first", []), ("unchanged", []), ("forced", ["--force"])):
                measured: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
                for _ in range(1 if kind == "first" else rounds):
                    for name, command in ways.items():
                        measured[name].append(seconds([*command, *words], root, told))
                if kind == "first":
                    continue  # this one has made the database and all outputs
                for clock, what in enumerate(("wall", "processor")):
                    bare, flow = (min(one[clock] for one in measured[name]) for name in ways)
                    row = f"{bare:>10.2f} s{flow:>10.2f} s{flow - bare:>10.2f} s"
                    print(f"{f'{kind}, {what}':<22}{row}", flush=True)
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


if __name__ == "__main__":
    main()
