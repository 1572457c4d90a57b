"""A night: new data, the stages, challenger against champion, and what it all gave.

`python -m flows.nightly` runs one at once; `prefect.yaml` schedules it. A night in which nothing
has changed says so and costs seconds.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import (
    create_image_artifact,
    create_markdown_artifact,
    create_table_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows import data, drift
from flows.pipeline import (
    NOTHING_CHANGED,
    Outcomes,
    as_end,
    reason_of,
    run_chain,
    run_stages,
    told_outcomes,
)
from flows.project import differing, operation
from flows.reports import metric_rows, publish, told
from flows.runs import arguments, carry_out, notify, run_here, run_name
from flows.stages import RAN, attempts, run_tool, stage_order
from ssl_lib.config import parse_overrides, project_settings
from ssl_lib.errors import UserError
from ssl_lib.experiments.promotion import challenge
from ssl_lib.files import write_atomically
from ssl_lib.tracking import find_champion, read_runs, trained_run
from ssl_lib.tracking.describe import git
from ssl_lib.tracking.registry import DECISION_TIME

DATA_STAGES = ("corpus", "tokenize")


@flow(name="nightly", flow_run_name=run_name, on_failure=[notify], on_crashed=[notify])
def nightly(
    stages: list[str] | None = None,
    preset: str = "",
    settings: dict[str, Any] | None = None,
    experiment: str = "",
    force: bool = False,
) -> State[Any]:
    """Update the data, run what has changed, compare with the champion, report.

    Args:
        stages: only these, such as ["train", "evaluate"]; empty: all.
        preset: the settings of params/NAME.yaml for a variant, such as gpu; `settings` win.
        settings: dotted keys and values of a variant, such as {"training.steps": 500}.
        experiment: how DVC calls the variant; empty: DVC chooses a name.
        force: run the stages even if nothing has changed.
    """
    root = Path.cwd()

    def work() -> State[Any]:
        values = differing(root, preset, settings)
        if values or experiment:
            # a variant leaves data, models and champion of the project alone
            return as_end(run_stages(root, stages, values, experiment, force))
        return _night(root, stages, force)

    return carry_out(root, work)


def _night(root: Path, stages: list[str] | None, force: bool) -> State[Any]:
    """Everything of a night; the state tells what it did. Raises StageError, UserError, OSError."""
    order = stage_order(root)
    if unknown := sorted(set(stages or []) - set(order)):
        return Failed(message=f"dvc.yaml has no stage {unknown[0]!r}; it has {', '.join(order)}")
    chosen = [stage for stage in order if not stages or stage in stages]
    settings = operation(root)
    begun = datetime.now(UTC)
    before: list[State[Any]] = []  # the task that the next one waits for
    _keep_profile(root)
    tool = run_tool.with_options(**attempts(settings))
    if found := data.imports(root):
        state = tool(root, "update", ["dvc", "update", *found], return_state=True)
        if not state.is_completed():
            return Failed(message=f"update: {reason_of(state)}")
        before = [state]
    # the state is kept once the corpus has been made: a night that fails before looks again
    looked = look.with_options(**attempts(settings))(root, wait_for=before, return_state=True)
    seen = looked.result()
    before = [looked]
    new_data = data.changed(root, seen)
    outcomes: Outcomes = {}
    tonight: drift.Profile = {}
    for group in _groups(chosen):
        forced = force or bool(new_data and group[0] == DATA_STAGES[0])
        ended = run_chain(root, group, forced, before)
        if isinstance(ended, State):
            return ended
        outcomes |= ended
        if group[-1] == DATA_STAGES[-1] and told_outcomes(ended) != NOTHING_CHANGED:
            # a branch of the graph: nothing waits for a report
            reported = data_report(root, wait_for=[*before], return_state=True)
            if reported.is_completed():
                tonight = reported.result()
    if "corpus" in chosen:
        data.remember(root, seen)
    message = told_outcomes(outcomes)
    if message == NOTHING_CHANGED:
        return Completed(message=message)
    _keep_profile(root, tonight)
    evaluated = outcomes.get("evaluate") == RAN
    decision = decide(root, begun if evaluated else None, wait_for=before)
    summarize(root, outcomes, decision)
    publish(root)
    _save_experiment(root, before)
    if settings.push:
        state = tool(root, "push", ["dvc", "push"], wait_for=before, return_state=True)
        if not state.is_completed():
            # the night's work is done; it waits for the next push
            message += f"; dvc push failed: {reason_of(state)}"
    return Completed(message=f"{message}; {decision}")


def _groups(stages: list[str]) -> list[list[str]]:
    """Cut behind the data: `[["corpus"], ["tokenize"], ["tune", "train", "evaluate"]]`.

    A source that DVC does not watch forces the stage `corpus` alone.
    """
    first = [[stage] for stage in stages if stage in DATA_STAGES]
    rest = [stage for stage in stages if stage not in DATA_STAGES]
    return [*first, rest] if rest else first


@task(cache_policy=NO_CACHE, task_run_name="sources")
def look(root: Path) -> dict[str, Any]:
    """How the sources are that DVC does not watch. Raises PassingError."""
    return data.unwatched(root)


@task(cache_policy=NO_CACHE, task_run_name="data report")
def data_report(root: Path) -> drift.Profile:
    """Publish the corpus of tonight against that of the champion: a table and a picture.

    Returns the profile of tonight's, which takes a while to read; empty without a corpus.
    """
    tonight = drift.profile(root)
    if not tonight:
        return {}
    champion = drift.kept(root, _champion(root) or _trained_run(root))
    rows = drift.rows(champion, tonight)
    log = get_run_logger()
    for row in rows:
        log.info("%s: %s → %s %s", *row.values())
    told_by = "The corpus of the champion, and that of tonight"
    if not champion:
        told_by = "The corpus of the champion is not known here: all is new"
    told(create_table_artifact, rows, "data", told_by)
    address = drift.picture(champion, tonight)
    told(create_image_artifact, address, "data-drift", "Numbers of both corpora")
    return tonight


@task(cache_policy=NO_CACHE, task_run_name="challenger against champion")
def decide(root: Path, evaluated_after: datetime | None) -> str:
    """Whether tonight's model is the champion now, and why.

    Stage `evaluate` decides by itself: where it ran, its decision is the one that is told.
    """
    settings = project_settings(root)
    try:
        if evaluated_after and (run_id := _trained_run(root)):
            (run,) = read_runs(settings, root, [run_id])
            # an older one is of another night
            if run.decision and run.decision.when > evaluated_after.strftime(DECISION_TIME):
                return f"{run.decision.outcome}: {run.decision.reason}"
        decision = challenge(settings, root)
    except UserError as error:
        return f"the champion stays as it is: {error}"
    if decision.challenger == decision.champion:
        return f"the champion stays as it is: {decision.reason}"
    outcome = "promoted" if decision.promoted else "not promoted"
    return f"{outcome}: {decision.reason}"


def _champion(root: Path) -> str:
    """The run of the champion; empty where there is none, or no answer."""
    try:
        found = find_champion(project_settings(root), root)
    except UserError:
        return ""
    return found.run_id if found else ""


def _trained_run(root: Path) -> str:
    """The run that trained `model/`; empty where none is recorded."""
    try:
        return trained_run(root)["run_id"]
    except UserError:
        return ""


def _keep_profile(root: Path, known: drift.Profile | None = None) -> None:
    """Remember what the present model has learned from, before its corpus is replaced.

    `known` is the profile of the present corpus, where it has been read already.
    """
    run_id = _trained_run(root)
    if run_id and not drift.kept(root, run_id) and (found := known or drift.profile(root)):
        drift.keep(root, run_id, found)


def summarize(root: Path, outcomes: Outcomes, decision: str) -> None:
    """Keep what the night gave in a file, and publish it with the deltas to the last one."""
    metrics = headline(root)
    nights = root / ".ssl_lib" / "nights"
    earlier = sorted(nights.glob("*.json"))
    last = json.loads(earlier[-1].read_text(encoding="utf-8")) if earlier else {}
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ")
    commit = git(root, "rev-parse", "--short", "HEAD")
    night = {"date": now, "commit": commit, "stages": outcomes, "decision": decision}
    write_atomically(nights / f"{now}.json", json.dumps(night | {"metrics": metrics}, indent=1))
    lines = [f"* {told_outcomes(outcomes)}", f"* {decision}", ""]
    lines.append(f"| metric | {last.get('date', 'last night')} | tonight | change |")
    lines.append("|---|---|---|---|")
    # a metric that the last night did not have shows no change
    known = last.get("metrics", {})
    for name, value in metrics.items():
        before = known.get(name)
        cells = ["–", f"{value:.4g}", "–"]
        if before is not None:
            cells = [f"{before:.4g}", f"{value:.4g}", f"{value - before:+.4g}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    told(create_markdown_artifact, "\n".join(lines), "summary", "What the night gave")


def headline(root: Path) -> dict[str, float]:
    """The metrics that a person compares, once stage `evaluate` has written them."""
    summary = root / "metrics" / "summary.json"
    if summary.exists():
        return {row["metric"]: row["value"] for row in metric_rows(summary)}
    return {}


def _save_experiment(root: Path, before: list[State[Any]]) -> None:
    """Keep the night as an experiment of DVC, which touches no branch; a repository is needed."""
    if not git(root, "rev-parse", "HEAD"):
        return
    name = datetime.now(UTC).strftime("night-%Y%m%d-%H%M%S")
    words = ["dvc", "exp", "save", "--name", name]
    state = run_tool(root, "save experiment", words, wait_for=before, return_state=True)
    if not state.is_completed():
        get_run_logger().warning("the night is not kept as an experiment: %s", reason_of(state))


def main() -> int:
    """Command line of `python -m flows.nightly`."""
    options = arguments("flows.nightly", "Run one night now.").parse_args()

    def work() -> State[Any]:
        settings = parse_overrides(options.settings)
        given = {"preset": options.preset, "settings": settings, "force": options.force}
        return nightly(**given, return_state=True)

    return run_here(work, "flows.nightly")


if __name__ == "__main__":
    sys.exit(main())
