"""Where the members of a fleet run: threads, processes, or the workers of a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.futures import as_completed
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner
from pydantic import Field

from ssl_lib.errors import require_extra

AtLeastOne = Annotated[int, Field(ge=1)]
Runner = Literal["threads", "processes", "dask"]


@task(cache_policy=NO_CACHE, task_run_name="{name}")
def member(name: str, function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
    """One call of a fleet, in a thread, a process, or on another machine."""
    return function(*arguments)


def task_runner(runner: Runner, workers: int, address: str = "") -> TaskRunner[Any]:
    """Prefect's runner of that kind, `workers` members at a time.

    `address` is that of a Dask scheduler, which has its own workers; without one `dask` starts a
    cluster on this machine. Raises MissingExtraError where Dask is not installed.
    """
    if runner == "threads":
        return ThreadPoolTaskRunner(max_workers=workers)
    if runner == "processes":
        return ProcessPoolTaskRunner(max_workers=workers)
    require_extra("dask")
    from prefect_dask.task_runners import DaskTaskRunner

    if address:
        return DaskTaskRunner(address=address)
    return DaskTaskRunner(cluster_kwargs={"n_workers": workers, "threads_per_worker": 1})


def results(
    runner: TaskRunner[Any], function: Callable[..., Any], calls: Mapping[str, Sequence[Any]]
) -> Iterator[Any]:
    """What the calls give, in the order in which they end; `calls` has arguments by name.

    The function and its arguments travel to the workers: all of them see the same files. Raises
    what a call raises.
    """
    with runner as pool:
        futures = []
        for name, arguments in calls.items():
            parameters = {"name": name, "function": function, "arguments": arguments}
            futures.append(pool.submit(member, parameters, wait_for=[]))
        for future in as_completed(futures):
            yield future.result()
