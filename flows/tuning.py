"""The stage `tune` as a fleet: workers that share one study, by threads, processes or Dask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed
from prefect.task_runners import TaskRunner

from flows.fleet import AtLeastOne, Runner, results, task_runner
from flows.pipeline import as_end, run_chain, run_stages
from flows.project import differing
from flows.runs import carry_out, notify, run_name
from flows.stages import stage_order
from ssl_lib.config import Settings, project_settings
from ssl_lib.errors import require_extra

STAGE = "tune"


@flow(name="tuning", flow_run_name=run_name, on_failure=[notify], on_crashed=[notify])
def tuning(
    workers: AtLeastOne = 2,
    runner: Runner = "processes",
    address: str = "",
    preset: str = "",
    settings: dict[str, Any] | None = None,
    experiment: str = "",
    force: bool = False,
) -> State[Any]:
    """Search with a fleet of workers, then let DVC's stage `tune` write what was found.

    Args:
        workers: trials at a time.
        runner: threads, processes or dask.
        address: of a Dask scheduler, such as tcp://10.0.0.5:8786; empty: this machine.
        preset: the settings of params/NAME.yaml for a variant, such as gpu; `settings` win.
        settings: dotted keys and values of a variant, such as {"tuning.trials": 100}.
        experiment: how DVC calls the variant; empty: DVC chooses a name.
        force: run the stages before even if nothing has changed.
    """
    root = Path.cwd()

    def work() -> State[Any]:
        require_extra("tuning")
        values = differing(root, preset, settings)
        own = project_settings(root).replaced(values)
        if not own.tuning.trials:
            advice = 'give settings such as {"tuning.trials": 100}'
            return Failed(message=f"tuning.trials is 0, so nothing is searched; {advice}")
        order = stage_order(root)
        before = run_chain(root, order[: order.index(STAGE)], force)
        if isinstance(before, State):
            return before
        # the workers share the cores
        shared = own.replaced({"tuning.workers": workers})
        search(root, shared, task_runner(runner, workers, address))
        return as_end(run_stages(root, [STAGE], values, experiment))

    return carry_out(root, work)


def search(root: Path, settings: Settings, runner: TaskRunner[Any]) -> None:
    """Run `tuning.workers` members of the fleet until the study is finished. Raises UserError."""
    # Optuna is imported where something is searched
    from ssl_lib.experiments.tuning import work

    calls = {
        f"worker {number}": (settings, root, number) for number in range(settings.tuning.workers)
    }
    for _ in results(runner, work, calls):
        pass
