"""`make serve`: Prefect's server, MLflow's pages and the worker of this checkout, on this machine.

All of them listen on 127.0.0.1 only, at the usual ports or, where these are taken, at free ones;
Ctrl-C and SIGTERM end all of them with their children. `.ssl_lib/serve.env` tells other terminals
where they are. With PREFECT_API_URL set, the worker serves that server and none is started.
"""

from __future__ import annotations

import argparse
import os
import shlex
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from flows.project import MLFLOW_PAGES, mlflow_server, pool_name
from ssl_lib import cli
from ssl_lib.errors import UserError
from ssl_lib.files import LockedError, lock_path, output_lock, write_atomically
from ssl_lib.processes import begin, end, sigterm_as_exit

HOST = "127.0.0.1"
PREFECT_PORT, MLFLOW_PORT = 4200, 5000
READY_SECONDS = 300.0  # longest wait for a server or the worker on a busy machine
LOOK_AGAIN = 0.5


class ServeError(UserError):
    """A server or the worker does not run."""


class Service:
    """A process that runs until `make serve` ends, its output in a file."""

    def __init__(
        self, name: str, words: list[str], root: Path, environment: dict[str, str]
    ) -> None:
        self.name = name
        self.log = root / ".ssl_lib" / "serve" / f"{name}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            command = [sys.executable, "-m", *words]
            self.process = begin(command, root, environment, stdout=log, stderr=log)

    def check(self) -> None:
        """Raise ServeError if it has ended."""
        if self.process.poll() is not None:
            raise ServeError(f"{self.name} has ended; {self.log} says why")


def free_port(wanted: int) -> int:
    """The port if nobody listens there, else one that is free."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            # as servers do: a port whose last connections are just closing is free
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ServeError("no port is free on 127.0.0.1")


def answers(url: str) -> bool:
    """Whether a server does."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


def wait_until(ready: Callable[[], Any], services: list[Service], what: str) -> None:
    """Return once it is ready. Raises ServeError if a service ends before, or it takes too long."""
    deadline = time.monotonic() + READY_SECONDS
    while not ready():
        for service in services:
            service.check()
        if time.monotonic() > deadline:
            raise ServeError(f"{what} did not answer within {READY_SECONDS:.0f} s")
        time.sleep(LOOK_AGAIN)


def serve(root: Path, prefect_port: int, mlflow_port: int) -> None:
    """Start everything, tell where it is, and wait. Raises ServeError if something ends."""
    services: list[Service] = []
    with ExitStack() as stack:
        try:
            stack.enter_context(output_lock(lock_path(root, "make-serve")))
        except LockedError as error:
            raise ServeError(f"make serve runs already for this checkout: {error}") from None

        def start(name: str, words: list[str], **environment: str) -> None:
            service = Service(name, words, root, environment)
            services.append(service)
            stack.callback(end, service.process)

        api = os.environ.get("PREFECT_API_URL", "")
        if not api:
            port = free_port(prefect_port)
            api = f"http://{HOST}:{port}/api"
            # a database of its own: two servers on one would lock each other out
            home = os.environ.get("PREFECT_HOME", str(root / ".ssl_lib" / "prefect"))
            words = ["prefect", "server", "start", "--host", HOST, "--port", str(port)]
            # its pages ask port 4200 otherwise, wherever the server listens
            start("prefect-server", words, PREFECT_HOME=home, PREFECT_SERVER_UI_API_URL=api)
        pages = mlflow_server(root)
        if not pages:
            port = free_port(mlflow_port)
            pages = f"http://{HOST}:{port}"
            start("mlflow-server", ["ssl_lib", "ui", "--port", str(port)])
        wait_until(lambda: answers(f"{api}/health"), services, f"Prefect's server at {api}")
        pool = pool_name(root)
        known = {
            "PREFECT_API_URL": api,
            "SSL_LIB_ROOT": str(root),
            "SSL_LIB_POOL": pool,
            MLFLOW_PAGES: pages,
        }
        prepare(root, pool, known)
        # workers of earlier starts stay in the database
        worker = f"{pool}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        # one run at a time: DVC lets one process at a time change the project
        words = ["prefect", "worker", "start", "--pool", pool, "--name", worker, "--limit", "1"]
        # the default of Prefect: a worker may wait longer for its server than a run does
        start("prefect-worker", words, PREFECT_CLIENT_MAX_RETRIES="5", **known)
        wait_until(lambda: has_worker(pool, worker), services, "the worker")
        wait_until(lambda: answers(pages), services, f"MLflow's server at {pages}")
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in known.items()]
        write_atomically(root / ".ssl_lib" / "serve.env", "".join(lines))
        stack.callback((root / ".ssl_lib" / "serve.env").unlink, missing_ok=True)
        print(f"Prefect   {api.removesuffix('/api')}\nMLflow    {pages}", flush=True)
        print(f"Worker    {pool}  (Ctrl-C ends all of them)", flush=True)
        while True:
            for service in services:
                service.check()
            time.sleep(LOOK_AGAIN)


def prepare(root: Path, pool: str, known: dict[str, str]) -> None:
    """Make the work pool, deploy what prefect.yaml names, end runs that died with their machine."""
    # Prefect reads these when it is imported, which is here.
    os.environ.update(known)
    from prefect import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists

    from flows.runs import bury_all

    with get_client(sync_client=True) as client:
        try:
            client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
        except ObjectAlreadyExists:
            bury_all(root, pool)
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1]
        raise ServeError(f"prefect.yaml cannot be deployed: {last}")


def has_worker(pool: str, name: str) -> bool:
    """Whether this worker of the pool has reported to the server."""
    from prefect import get_client

    with get_client(sync_client=True) as client:
        # the server gives a part of them, those that have reported last
        return name in {one.name for one in client.read_workers_for_work_pool(pool)}


def main() -> int:
    """Command line of `python -m flows.serve`."""
    parser = argparse.ArgumentParser(prog="python -m flows.serve", description=__doc__)
    told = "default: %(default)s, or a free one"
    parser.add_argument("--prefect-port", type=cli.port, default=PREFECT_PORT, help=told)
    parser.add_argument("--mlflow-port", type=cli.port, default=MLFLOW_PORT, help=told)
    options = parser.parse_args()
    try:
        with sigterm_as_exit():
            serve(Path.cwd(), options.prefect_port, options.mlflow_port)
    except KeyboardInterrupt:
        return 130
    except UserError as error:
        print(f"make serve: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
