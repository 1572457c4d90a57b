"""The stages of `dvc.yaml` as a Prefect flow: `python -m flows.pipeline` runs them, a task each.

A run with settings of its own is a variant: `dvc exp run --temp`, in a copy of the project, so that
neither `params.yaml` nor the results here change. DVC keeps it as an experiment.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.project import differing, operation
from flows.reports import publish
from flows.runs import (
    arguments,
    carry_out,
    notify,
    run_here,
    run_name,
)
from flows.stages import (
    UNCHANGED,
    StageError,
    Watch,
    as_state,
    attempts,
    begin_command,
    lines_of,
    marked,
    run_stage,
    stage_order,
)
from ssl_lib.config import parse_overrides, project_settings, words_of
from ssl_lib.tracking.describe import git

NOTHING_CHANGED = "nothing changed"
Outcomes = dict[str, str]  # of each stage: ran, restored or unchanged


class Variant(NamedTuple):
    """Settings that differ from those of the project, and how DVC calls the experiment."""

    settings: Mapping[str, Any]
    name: str
    force: bool


@flow(name="pipeline", flow_run_name=run_name, on_failure=[notify], on_crashed=[notify])
def pipeline(
    stages: list[str] | None = None,
    preset: str = "",
    settings: dict[str, Any] | None = None,
    experiment: str = "",
    force: bool = False,
) -> State[Any]:
    """Run the stages whose inputs have changed, in DVC's order, then publish the metrics.

    Args:
        stages: only these, such as ["evaluate"]; empty: all.
        preset: the settings of params/NAME.yaml for a variant, such as gpu; `settings` win.
        settings: dotted keys and values of a variant, such as {"training.steps": 500}.
        experiment: how DVC calls the variant; empty: DVC chooses a name.
        force: run the stages even if nothing has changed.
    """
    root = Path.cwd()

    def work() -> State[Any]:
        values = differing(root, preset, settings)
        state = as_end(run_stages(root, stages, values, experiment, force))
        if state.is_completed():
            publish(root)
        return state

    return carry_out(root, work)


def run_stages(
    root: Path,
    stages: Sequence[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    experiment: str = "",
    force: bool = False,
) -> Outcomes | State[Any]:
    """What happened to each stage, or the state of the one that failed.

    Each stage is a task that waits for the one before it. Raises SettingsError, StageError.
    """
    order = stage_order(root)
    if unknown := sorted(set(stages or []) - set(order)):
        return Failed(message=f"dvc.yaml has no stage {unknown[0]!r}; it has {', '.join(order)}")
    chosen = [stage for stage in order if not stages or stage in stages]
    if settings or experiment:
        variant = Variant(settings or {}, experiment, force)
        return _run_variant(root, order, chosen, variant)
    return run_chain(root, chosen, force)


def run_chain(
    root: Path,
    stages: Sequence[str],
    force: bool = False,
    before: list[State[Any]] | None = None,
) -> Outcomes | State[Any]:
    """The stages one after the other; see `run_stages`.

    The first one waits for the task in `before`, which is the last one afterwards.
    """
    one = run_stage.with_options(**attempts(operation(root)))
    outcomes: Outcomes = {}
    before = [] if before is None else before
    for stage in stages:
        state = one(root, stage, force, wait_for=[*before], return_state=True)
        if not state.is_completed():
            return Failed(message=f"{stage}: {reason_of(state)}")
        outcomes[stage] = state.message or UNCHANGED
        before[:] = [state]
    return outcomes


def reason_of(state: State[Any]) -> str:
    """Why a task has failed, without the words that Prefect puts before it."""
    error = state.result(raise_on_failure=False)
    return str(error) if isinstance(error, StageError) else state.message or str(state.name)


def told_outcomes(outcomes: Outcomes) -> str:
    """`nothing changed`, or `corpus unchanged, train ran`."""
    if set(outcomes.values()) <= {UNCHANGED}:
        return NOTHING_CHANGED
    return ", ".join(f"{stage} {outcome}" for stage, outcome in outcomes.items())


def as_end(ended: Outcomes | State[Any]) -> State[Any]:
    """The state of a flow whose stages have ended so."""
    return ended if isinstance(ended, State) else Completed(message=told_outcomes(ended))


def _run_variant(
    root: Path, order: Sequence[str], stages: Sequence[str], variant: Variant
) -> Outcomes | State[Any]:
    """One `dvc exp run` in a copy of the project; each task has the lines of its stage.

    DVC runs `stages` and what they depend on. Raises SettingsError.
    """
    if not git(root, "rev-parse", "HEAD"):
        told = "a variant is an experiment of DVC, which needs a commit: run `git init` and commit"
        return Failed(message=told)
    # a mistake is told before anything is copied
    project_settings(root).replaced(dict(variant.settings))
    # dvc exp run --temp --name short --set-param training.steps=500 corpus tokenize train
    words = ["dvc", "exp", "run", "--temp"]
    if variant.name:
        words += ["--name", variant.name]
    for word in words_of(variant.settings):
        words += ["--set-param", word]
    if variant.force:
        words.append("--force")
    # one process for all stages: its limit is that of all of them together
    limit = operation(root).timeout_seconds * len(stages)
    lines = Segments(lines_of(begin_command(root, [*words, *stages]), limit))
    outcomes: Outcomes = {}
    before: list[State[Any]] = []
    for stage in order:
        state = variant_stage(stage, lines, wait_for=before, return_state=True)
        if not state.is_completed():
            return Failed(message=f"{stage}: {reason_of(state)}")
        outcomes[stage] = state.message or UNCHANGED
        before = [state]
    return outcomes


class Segments:
    """The lines of one process of DVC, cut where it begins with another stage."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.lines = lines
        self.kept = ""  # the line that ended the segment before

    def of(self, stage: str) -> Iterator[str]:
        """Lines up to the next stage; a stage that DVC passes over has none."""
        started = False
        while line := self.kept or next(self.lines, ""):
            self.kept = line
            mark = marked(line)
            if mark and mark[0] != stage:
                # lines before the first stage belong to it
                return
            started = started or mark is not None
            self.kept = ""
            yield line


@task(cache_policy=NO_CACHE, task_run_name="{stage}")
def variant_stage(stage: str, lines: Segments) -> State[str]:
    """The lines of one stage of a variant."""
    log = get_run_logger()
    watch = Watch(stage)

    def work() -> str:
        for line in lines.of(stage):
            log.info(line)
            watch.line(line)
        return watch.outcome

    return as_state(work)


def main() -> int:
    """Command line of `python -m flows.pipeline`."""
    parser = arguments("flows.pipeline", "Run the stages of dvc.yaml as a Prefect flow.")
    parser.add_argument("stages", nargs="*", help="only these (default: all)")
    parser.add_argument("--experiment", default="", help="the name of a variant")
    options = parser.parse_args()

    def work() -> State[Any]:
        settings = parse_overrides(options.settings)
        given = (options.stages, options.preset, settings, options.experiment, options.force)
        return pipeline(*given, return_state=True)

    return run_here(work, "flows.pipeline")


if __name__ == "__main__":
    sys.exit(main())
