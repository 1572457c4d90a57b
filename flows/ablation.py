"""`ssl-lib ablate` as a fleet: models of some objectives, by threads, processes or Dask."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.fleet import AtLeastOne, Runner, results, task_runner
from flows.project import differing
from flows.runs import carry_out, notify, run_name
from ssl_lib.config import project_settings
from ssl_lib.errors import require_extra
from ssl_lib.experiments.ablation import Model, Result, ablate, train_and_evaluate
from ssl_lib.files import lock_path, output_lock


@flow(name="ablation", flow_run_name=run_name, on_failure=[notify], on_crashed=[notify])
def ablation(
    subsets: list[str] | None = None,
    every: bool = False,
    seeds: AtLeastOne = 1,
    steps: AtLeastOne | None = None,
    workers: AtLeastOne = 2,
    runner: Runner = "processes",
    address: str = "",
    preset: str = "",
    settings: dict[str, Any] | None = None,
) -> State[Any]:
    """Train and evaluate models with subsets of the objectives, and write `ablation/`.

    Args:
        subsets: labels such as ["mlm+ntp", "all-ntp"]; empty: single objectives, all, all but one.
        every: every combination, 31 of five.
        seeds: models of each subset.
        steps: of each model; empty: training.steps.
        workers: models at a time.
        runner: threads, processes or dask.
        address: of a Dask scheduler, such as tcp://10.0.0.5:8786; empty: this machine.
        preset: the settings of params/NAME.yaml, such as gpu; `settings` win.
        settings: dotted keys and values, such as {"training.learning_rate": 0.01}.
    """
    root = Path.cwd()

    def train_all(models: Sequence[Model]) -> Iterator[Result]:
        calls = {f"{one.label} seed {one.settings.seed}": [one] for one in models}
        yield from results(task_runner(runner, workers, address), train_and_evaluate, calls)

    def work() -> State[Any]:
        # models are evaluated after hours of training
        require_extra("report")
        own = project_settings(root).replaced(differing(root, preset, settings))
        with output_lock(lock_path(root, "ablate")):
            size = (seeds, steps, workers)
            ablate(own, root, subsets or (), every, *size, train_all=train_all)
        return Completed(message="ablation/ has the results")

    return carry_out(root, work)
