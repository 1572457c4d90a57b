"""From the results of all measures to the figures of `metrics/evaluation.json` and the details that the page shows."""

from __future__ import annotations

from typing import Any

from ssl_lib.evaluation.statistics import TaskResult
from ssl_lib.evaluation.tasks import downstream_tasks



def figures(found: dict[str, Any]) -> dict[str, Any]:
    """What `metrics/evaluation.json` says of the measures; `found` are their results by name."""
    number, reasoning = found["number_prediction"], found["numerical_reasoning"].details
    return {
        "losses": found["losses"],
        "downstream": {
            task.name: _beside(found[task.name].summary(), found, task.name)
            for task in downstream_tasks()
        },
        "extrapolation": _chosen(reasoning["extrapolation"]),
        "reserved_wordings": _chosen(reasoning["reserved_wordings"]),
        "exact_match": _chosen(reasoning["exact_match"]),
        "bits_per_byte": found["next_token_prediction"].details["bits_per_byte"],
        "held_out_text": _any_text(found.get("held_out_text")),
        "external": {name: _external(result) for name, result in found.get("external", {}).items()},
        "number_prediction": number.summary() | {"after_details": number.details["all"]["after"]},
        "probes": {name: _short(result) for name, result in found["probes"].items()},
        "contamination": found["contamination"],
    }


def with_details(found: dict[str, Any]) -> dict[str, Any]:
    """All results as plain trees, with their details; of objectives alone the figures are enough."""
    return {name: _whole(result) for name, result in found.items() if name != "objectives_alone"}


def _whole(result: Any) -> Any:
    if isinstance(result, TaskResult):
        return result.summary() | {"details": result.details}
    return (
        {name: _whole(part) for name, part in result.items()}
        if isinstance(result, dict)
        else result
    )


def _beside(row: dict[str, Any], found: dict[str, Any], task: str) -> dict[str, Any]:
    """A task's summary with the objectives alone among its baselines: there `before` is the objective alone."""
    for objective, results in found.get("objectives_alone", {}).items():
        name, result = f"{objective}_alone", results[task]
        row["baselines"][name] = result.before
        row["baselines_ci95"][name] = result.before_ci95
        row["over_baselines_ci95"][name] = result.difference_ci95
    return row


def _short(result: TaskResult) -> dict[str, Any]:
    """A probe's summary, with the paper's rows and how far its seeds lie apart."""
    spread = {who: [min(found), max(found)] for who, found in result.details["seeds"].items()}
    return result.summary() | {"paper": result.details.get("paper", {}), "spread": spread}


def _any_text(result: TaskResult | None) -> dict[str, Any]:
    if result is None:
        return {}
    accuracy = result.details["accuracy"]
    return {
        "documents": result.n,
        "bytes": result.details["bytes"],
        "bits_per_byte": result.summary(),
        "accuracy": accuracy["all"],
        "accuracy_on_numbers": accuracy.get("numbers", {}),
    }


def _external(result: TaskResult) -> dict[str, Any]:
    """Summary of an external task, with the file it comes from and the figures that belong beside its own."""
    beside = {}
    for key in ("exact_match", "four_choice"):
        if key in result.details:
            beside[key] = _chosen(result.details[key])
    if "accuracy" in result.details:
        beside["accuracy"] = result.details["accuracy"]
    return result.summary() | result.details["file"] | beside


def _chosen(row: dict[str, Any]) -> dict[str, Any]:
    names = ("before", "after", "before_ci95", "ci95", "difference_ci95", "n")
    return {name: row[name] for name in names}
