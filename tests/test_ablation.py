"""Subsets of the objectives: which are meant, how they are trained, what the matrix says."""

from __future__ import annotations

import csv
import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
from evaluating import pair_of
from hypothesis import given
from hypothesis import strategies as st

from ssl_lib.cli import main
from ssl_lib.config import OBJECTIVES, Settings
from ssl_lib.errors import UserError
from ssl_lib.evaluation.data import EvaluationData
from ssl_lib.evaluation.tasks import downstream_tasks
from ssl_lib.experiments.ablation import Finished, ablate, study_key
from ssl_lib.experiments.subsets import (
    chosen_subsets,
    evaluator,
    label_of,
    subset_settings,
    train_subset,
)
from ssl_lib.experiments.transfer import summarize
from ssl_lib.predictor import Predictor
from ssl_lib.synthetic.generator import generate
from ssl_lib.tokens.encodings import encoding
from ssl_lib.tokens.store import tokenize
from ssl_lib.tracking import NullRun
from ssl_lib.tracking.store import connect

SETTINGS = Settings().replaced(
    {
        "tokens.vocabulary_size": 1400,
        "model.layers": 1,
        "model.width": 32,
        "model.heads": 2,
        "model.context_length": 64,
        "training.device": "cpu",
        "training.precision": "float32",
        "training.steps": 8,
        "training.sequences": 8,
        "training.warmup_steps": 2,
        "training.threads": 1,
        "training.validate_every_steps": 8,
        "training.validation_sequences": 4,
        "evaluation.items": 24,
        "evaluation.probe_items": 40,
        "evaluation.bootstrap_samples": 100,
        "evaluation.loss_sequences": 4,
    }
)
LABELS = ["ntp", "mlm", "mlm+ntp"]
TASKS = {task.name for task in downstream_tasks()}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a small corpus, tokenized."""
    root = tmp_path_factory.mktemp("project")
    (root / "data" / "raw").mkdir(parents=True)
    for split, documents in (("train", 200), ("validation", 30), ("test", 60)):
        rows = (
            {"text": d.text, "source": "built-in", "domain": d.domain}
            for d in generate(0, documents, split)
        )
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (root / "data" / "raw" / f"{split}.jsonl").write_text(text, encoding="utf-8")
    tokenize(SETTINGS, root)
    return root


@pytest.fixture(scope="module")
def found(root: Path) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return ablate(SETTINGS, root, LABELS, seeds=2)


def finished_file(root: Path) -> Path:
    (path,) = (root / ".ssl_lib" / "ablate").glob("*.jsonl")
    return path


def test_without_labels_each_alone_all_and_all_but_one() -> None:
    subsets = chosen_subsets([], OBJECTIVES)
    assert list(subsets) == [*OBJECTIVES, "all", *[f"all-{name}" for name in reversed(OBJECTIVES)]]
    assert subsets["all"] == OBJECTIVES
    assert all(set(subsets[f"all-{name}"]) == set(OBJECTIVES) - {name} for name in OBJECTIVES)


def test_every_combination_is_there_once() -> None:
    subsets = chosen_subsets([], OBJECTIVES, every=True)
    expected = {
        frozenset(names)
        for size in range(1, 6)
        for names in itertools.combinations(OBJECTIVES, size)
    }
    assert len(subsets) == 31
    assert {frozenset(names) for names in subsets.values()} == expected


@given(
    st.sets(st.sampled_from(OBJECTIVES), min_size=1),
    st.sets(st.sampled_from(OBJECTIVES), min_size=1),
)
def test_a_label_names_its_subset(names: set[str], trained: set[str]) -> None:
    order = [name for name in OBJECTIVES if name in trained]
    meant = tuple(name for name in order if name in names)
    if meant:
        assert chosen_subsets([label_of(meant, order)], order) == {label_of(meant, order): meant}
        assert list(chosen_subsets(["+".join(reversed(meant))], order).values()) == [meant]


@pytest.mark.parametrize(
    "label", ["mlm+nothing", "all-nothing", "mlm-mlm", "contrastive", "+", "all+mlm"]
)
def test_a_label_that_means_nothing_is_refused(label: str) -> None:
    with pytest.raises(UserError, match="--subsets"):
        chosen_subsets([label], ["mlm", "ntp"])


@given(
    st.sets(st.sampled_from(OBJECTIVES), min_size=1),
    st.sampled_from(["fixed", "uncertainty", "schedule"]),
)
def test_only_the_subset_is_trained_with_the_weights_it_has(
    names: set[str], weighting: str
) -> None:
    ends = {f"objectives.{name}.weight_end": 0.5 for name in OBJECTIVES}
    settings = Settings().replaced(ends | {"training.weighting": weighting})
    own = subset_settings(sorted(names), settings)
    assert set(own.trained()) == names
    if len(names) > 1:
        for name in names:
            assert getattr(own.objectives, name) == getattr(settings.objectives, name)
    else:
        (alone,) = (getattr(own.objectives, name) for name in names)
        assert alone.weight == 1.0
        assert getattr(alone, "batch_fraction", 1.0) == 1.0
    assert own.training.steps == settings.training.steps


def test_every_model_is_evaluated_on_what_it_was_trained_for(found: dict[str, Any]) -> None:
    assert found["subsets"] == ["ntp", "mlm", "mlm+ntp"]
    assert {name: set(row) for name, row in found["losses"].items()} == {
        "ntp": {"ntp"}, "mlm": {"mlm"}, "mlm+ntp": {"mlm", "ntp"},
    }  # fmt: skip
    assert all(set(row) == TASKS for row in found["downstream"].values())
    assert found["tokens"] == 8 * 8 * 64
    assert [(row["subset"], row["seed"]) for row in found["runs"]] == [
        (s, n) for n in (0, 1) for s in LABELS
    ]
    assert all(row["seconds"]["train"] > 0 for row in found["runs"])


def test_results_are_means_over_seeds_and_relative_to_the_objective_alone(
    found: dict[str, Any],
) -> None:
    runs = {(row["subset"], row["seed"]): row["losses"] for row in found["runs"]}
    for name in ("mlm", "ntp"):
        losses = [runs["mlm+ntp", seed][name] for seed in (0, 1)]
        assert found["losses"]["mlm+ntp"][name] == pytest.approx(sum(losses) / 2)
        assert found["deviation"]["mlm+ntp"][name] == pytest.approx(
            abs(losses[0] - losses[1]) / math.sqrt(2)
        )
        ratios = [loss / runs[name, seed][name] for seed, loss in enumerate(losses)]
        assert found["relative"]["mlm+ntp"][name] == pytest.approx(sum(ratios) / 2)
        assert found["relative"][name] == {name: pytest.approx(1.0)}


def test_a_model_of_the_ablation_is_the_one_that_training_gives(
    found: dict[str, Any], root: Path
) -> None:
    model = train_subset(["mlm", "ntp"], SETTINGS.replaced({"seed": 1}), root, NullRun())
    evaluated = evaluator(SETTINGS, root).evaluate(model, ["mlm", "ntp"])
    (row,) = (row for row in found["runs"] if (row["subset"], row["seed"]) == ("mlm+ntp", 1))
    assert evaluated["losses"] == pytest.approx(row["losses"], rel=1e-6)
    assert evaluated["downstream"] == pytest.approx(row["downstream"], abs=1e-6)


def test_views_of_held_out_rows_do_not_depend_on_what_was_trained(root: Path) -> None:
    chosen = encoding(root / "data" / "tokenized" / "encoding.json")
    untrained = Predictor.untrained(SETTINGS, chosen)
    asked = evaluator(SETTINGS, root)
    alone = asked.evaluate(untrained, ["numerical"])
    all_of_them = asked.evaluate(untrained, OBJECTIVES)
    assert alone["losses"]["numerical"] == all_of_them["losses"]["numerical"]
    assert set(all_of_them["parts"]) == set(OBJECTIVES)


def test_files_hold_the_matrix(found: dict[str, Any], root: Path) -> None:
    assert json.loads((root / "ablation" / "results.json").read_text(encoding="utf-8")) == found
    assert (root / "ablation" / "transfer.png").read_bytes().startswith(b"\x89PNG")
    with (root / "ablation" / "transfer.csv").open(encoding="utf-8", newline="") as file:
        rows = {(row["subset"], row["kind"], row["name"]): row for row in csv.DictReader(file)}
    assert float(rows["mlm+ntp", "losses", "ntp"]["mean"]) == found["losses"]["mlm+ntp"]["ntp"]
    assert (
        float(rows["mlm+ntp", "losses", "ntp"]["relative_to_alone"])
        == found["relative"]["mlm+ntp"]["ntp"]
    )
    assert len(rows) == 4 + 3 * len(TASKS)


def test_models_are_nested_runs_with_their_metrics(found: dict[str, Any], root: Path) -> None:
    client = connect(SETTINGS, root)
    (experiment,) = client.search_experiments(filter_string="name = 'ssl-lib/ablate'")
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = (
        run
        for run in runs
        if run.info.run_name == "ablate" and "mlflow.parentRunId" not in run.data.tags
    )
    children = {
        run.info.run_id: run
        for run in runs
        if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id
    }
    assert set(children) == {row["run_id"] for row in found["runs"]}
    for row in found["runs"]:
        metrics = children[row["run_id"]].data.metrics
        assert metrics["downstream/numerical_reasoning"] == pytest.approx(
            row["downstream"]["numerical_reasoning"]
        )
        assert {f"losses/{name}" for name in row["losses"]} <= set(metrics)


@pytest.mark.slow
def test_what_was_trained_is_not_trained_again_and_a_torn_line_is(
    found: dict[str, Any],
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Through the command line, with two processes."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    path = finished_file(root)
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:-1]) + lines[-1][:40], encoding="utf-8")
    monkeypatch.chdir(root)
    (root / "params.yaml").write_text(
        json.dumps(SETTINGS.model_dump()), encoding="utf-8"
    )  # JSON is YAML
    command = ["ablate", "--subsets", ",".join(LABELS), "--seeds", "2", "--workers", "2", "--json"]
    assert main(command) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["losses"] == found["losses"]
    assert again["downstream"] == found["downstream"]
    kept = [
        row for row in again["runs"] if row["run_id"] in {row["run_id"] for row in found["runs"]}
    ]
    assert len(kept) == len(found["runs"]) - 1
    assert main([*command[:-1], "--set", "evaluation.loss_sequences=4"]) == 0
    table = capsys.readouterr().out
    assert "mlm+ntp" in table
    assert finished_file(root) == path


def test_other_settings_have_a_file_of_their_own(root: Path, found: dict[str, Any]) -> None:
    keys = {
        study_key(SETTINGS.replaced(values), root)
        for values in (
            {},
            {"training.steps": 9},
            {"evaluation.items": 25},
            {"objectives.mlm.weight": 0.2},
        )
    }
    assert len(keys) == 4
    assert f"{study_key(SETTINGS, root)}.jsonl" == finished_file(root).name


def test_a_file_of_finished_models_survives_what_a_kill_leaves(tmp_path: Path) -> None:
    finished = Finished(tmp_path / "rows.jsonl")
    rows = [{"subset": "mlm", "seed": seed, "losses": {}} for seed in range(3)]
    for row in rows:
        finished.add(row)
    content = finished.path.read_text(encoding="utf-8")
    for cut in range(0, len(content) + 1, 5):
        finished.path.write_text(content[:cut], encoding="utf-8")
        whole = Finished(finished.path)
        assert list(whole.results.values()) == rows[: len(whole.results)]
        assert len(whole.results) >= content[:cut].count("\n")
        whole.add({"subset": "ntp", "seed": 0})
        assert ("ntp", 0) in Finished(finished.path).results


def test_a_loss_that_is_not_above_zero_has_no_ratio() -> None:
    rows = [
        {
            "subset": label,
            "seed": 0,
            "losses": {"numerical": loss} | others,
            "downstream": {},
            "seconds": {"train": 1.0},
        }
        for label, loss, others in (("numerical", -0.5, {}), ("all", 0.25, {"mlm": 2.0}))
    ]
    found = summarize(rows, ["numerical", "all"], SETTINGS)
    assert found["relative"] == {"numerical": {}, "all": {}}
    assert found["losses"]["all"] == {"numerical": 0.25, "mlm": 2.0}


def test_a_model_alone_has_the_estimates_that_it_has_in_a_comparison(root: Path) -> None:
    """The same items, the same answers, the same estimate to the bit."""
    asked = evaluator(SETTINGS, root)
    chosen = encoding(root / "data" / "tokenized" / "encoding.json")
    model = Predictor.untrained(SETTINGS, chosen)
    found = asked.evaluate(model, ["mlm"])["downstream"]
    data = EvaluationData.open(SETTINGS, root, chosen).without_baselines()
    for name in ("semantic_similarity", "next_token_prediction"):
        result = asked.tasks[name].run(pair_of(model, model), data, asked.items[name])
        assert result.before == result.after == found[name]
