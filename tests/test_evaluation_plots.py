"""Tables of DVC's plots: they repeat the results, and the templates ask for nothing else."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report_inputs import details, evaluation
from ruamel.yaml import YAML

from ssl_lib.evaluation.plots import plot_tables

ROOT = Path(__file__).parents[1]
LOSSES = ("step", "objective", "split", "loss")  # what stage train writes
TABLES = {
    name: list(csv.DictReader(text.splitlines()))
    for name, text in plot_tables(evaluation(), details()).items()
}
PLOTS = {
    Path(path).stem: look
    for stage in YAML(typ="safe", pure=True)
    .load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    .values()
    for plot in stage.get("plots", [])
    for path, look in plot.items()
}


def columns(name: str) -> set[str]:
    return set(LOSSES) if name == "losses" else set(TABLES[name][0])


def asked(tree: Any) -> Iterator[str]:
    """Every field that a template draws."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        if key == "field":
            yield value
        elif isinstance(value, dict | list):
            yield from asked(value)


def test_every_table_is_a_plot_of_dvc() -> None:
    assert set(PLOTS) == {*TABLES, "losses"}


@pytest.mark.parametrize("name", PLOTS)
def test_templates_draw_what_the_tables_hold(name: str) -> None:
    look = PLOTS[name]
    assert {look["x"], look["y"]} <= columns(name)
    path = ROOT / ".dvc" / "plots" / f"{look['template']}.json"
    if look["template"] == "confusion":  # one of DVC's own
        return
    template = json.loads(path.read_text(encoding="utf-8"))
    assert template["data"] == {"values": "<DVC_METRIC_DATA>"}
    assert set(asked(template)) <= columns(name) | {"rev"}


def test_tables_repeat_the_results() -> None:
    tasks = evaluation()["downstream"]
    rows = {(row["item"].replace(" ", "_"), row["who"]): row for row in TABLES["downstream"]}
    for task, expected in tasks.items():
        for who, value, ends in (
            ("trained", "after", "ci95"),
            ("random initialization", "before", "before_ci95"),
        ):
            row = rows[task, who]
            found = [float(row[key]) for key in ("value", "low", "high")]
            assert found == pytest.approx([expected[value], *expected[ends]], abs=1e-6)
        for name, value in expected["baselines"].items():
            assert float(rows[task, name.replace("_", " ")]["value"]) == pytest.approx(
                value, abs=1e-6
            )
    assert rows["numerical_reasoning", "chance"]["low"] == ""


def test_confusion_has_a_row_for_every_number() -> None:
    detail = details()["token_classification"]["details"]
    counted = Counter((row["actual"], row["predicted"]) for row in TABLES["confusion"])
    for i, true in enumerate(detail["classes"]):
        for j, named in enumerate(detail["classes"]):
            assert counted[true, named] == detail["confusion"][i][j]
