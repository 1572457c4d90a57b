"""The whole stage on a small corpus and a model that has learned nothing: files and keys."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from test_evaluation_external import write_files

from ssl_lib.config import OBJECTIVES, Settings, SettingsError
from ssl_lib.errors import UserError
from ssl_lib.evaluation.comparison import estimate, load_scores
from ssl_lib.evaluation.data import RawDocuments
from ssl_lib.evaluation.tasks import TASKS, downstream_tasks
from ssl_lib.predictor import Predictor
from ssl_lib.report import evaluate
from ssl_lib.synthetic.generator import generate
from ssl_lib.tokens.encodings import encoding
from ssl_lib.tokens.store import tokenize
from ssl_lib.tracking.store import connect

SETTINGS = Settings().replaced(
    {
        "tokens.vocabulary_size": 1400,
        "model.layers": 1,
        "model.width": 32,
        "model.heads": 2,
        "model.context_length": 64,
        "training.device": "cpu",
        "evaluation.items": 36,
        "evaluation.probe_items": 60,
        "evaluation.bootstrap_samples": 100,
        "evaluation.loss_sequences": 8,
        "evaluation.seeds": 1,
        "evaluation.external": [
            {
                "name": "roles",
                "task": "token_classification",
                "path": "files/a.conll",
                "outside": "O",
            },
            {"name": "sts", "task": "semantic_similarity", "path": "files/sts.tsv"},
            {"name": "text", "task": "next_token_prediction", "path": "files/text.txt"},
            {"name": "gone", "task": "semantic_similarity", "path": "files/gone.tsv"},
        ],
    }
)
DOWNSTREAM = {task.name for task in downstream_tasks()}


def write_project(root: Path, settings: Settings, documents: tuple[int, int, int]) -> None:
    """A project whose model is the random initialization of another seed."""
    (root / "data" / "raw").mkdir(parents=True)
    for split, count in zip(("train", "validation", "test"), documents, strict=True):
        rows = (
            {"text": d.text, "source": "built-in", "domain": d.domain}
            for d in generate(0, count, split)
        )
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (root / "data" / "raw" / f"{split}.jsonl").write_text(text, encoding="utf-8")
    tokenize(settings, root)
    chosen = encoding(root / "data" / "tokenized" / "encoding.json")
    Predictor.untrained(settings.replaced({"seed": 5}), chosen).save(root / "model")
    identity = {"run_id": "none", "experiment_id": "0", "tracking_uri": ""}
    (root / "model" / "run.json").write_text(json.dumps(identity), encoding="utf-8")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    write_project(root, SETTINGS, documents=(300, 30, 60))
    (root / "files").mkdir()
    write_files(root / "files")
    return root


@pytest.fixture(scope="module")
def metrics(root: Path) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return evaluate(SETTINGS, root)


def test_external_files_are_asked_with_the_rest(root: Path, metrics: dict[str, Any]) -> None:
    found = dict(metrics["external"])
    gone = found.pop("gone")
    assert {name: row["metric"] for name, row in found.items()} == {
        "roles": "accuracy", "sts": "spearman", "text": "bits_per_byte",
    }  # fmt: skip
    assert all(row["ci95"][0] <= row["after"] <= row["ci95"][1] for row in found.values())
    assert {"before", "baselines", "path", "of", "asked", "contamination"} <= set(found["sts"])
    page = (root / "report" / "index.html").read_text(encoding="utf-8")
    assert all(f"files/{name}" in page for name in ("a.conll", "sts.tsv", "text.txt"))
    # what cannot be read has a row that says why, in the files and on the page
    details = json.loads((root / "report" / "evaluation.json").read_text(encoding="utf-8"))
    assert details["external"]["gone"] == gone
    assert gone["path"] == "files/gone.tsv"
    assert "gone.tsv: no such file" in gone["error"]
    assert f"Not evaluated: {gone['error']}" in page


def test_losses_are_taken_on_documents_that_share_no_13_gram(
    root: Path, metrics: dict[str, Any]
) -> None:
    row = metrics["contamination"]["held_out_documents"]
    assert row["for_losses"] == row["texts"] - row["contaminated"] > 0


def test_the_run_holds_the_page_and_every_picture(root: Path, metrics: dict[str, Any]) -> None:
    client = connect(SETTINGS, root)
    (experiment,) = client.search_experiments(filter_string="name = 'ssl-lib/train'")
    (run,) = client.search_runs([experiment.experiment_id])
    stored = {Path(file.path).name for file in client.list_artifacts(run.info.run_id, "report")}
    drawn = {path.name for path in (root / "report").iterdir()}
    assert (
        stored
        == drawn
        >= {f"{name}.png" for name in ("number_line", "calibration", "confusion", "downstream")}
    )


def test_the_metrics_have_every_key_of_the_contract(root: Path, metrics: dict[str, Any]) -> None:
    written = json.loads((root / "metrics" / "evaluation.json").read_text(encoding="utf-8"))
    assert set(written["losses"]) == {"mlm", "ntp", "contrastive", "denoising", "numerical"}
    assert all({"before", "after", "reduction"} <= set(row) for row in written["losses"].values())
    assert set(written["downstream"]) == DOWNSTREAM
    # both parts of masked text and of language; neighbours too, where there are several domains
    own = {task.name for task in TASKS.values() if task.section == "own_text"}
    assert set(written["own_text"]) == own | {"masked_word", "all_documents"}
    # the way from counts to the best known is that of the bits per byte of the same documents
    way, language = written["losses"]["ntp"]["toward_best"], written["own_text"]["held_out_text"]
    known = {**language["baselines"], "trained": language["after"]}
    assert way["best"] == min(known.values()) == known[way["best_method"]]
    assert way["ngram_counts"] == language["baselines"]["ngram_counts"]
    for row in written["downstream"].values():
        assert {
            "metric",
            "before",
            "after",
            "ci95",
            "before_ci95",
            "difference_ci95",
            "n",
            "baselines",
        } <= set(row)
        assert row["ci95"][0] <= row["after"] <= row["ci95"][1]
        assert row["before_ci95"][0] <= row["before"] <= row["before_ci95"][1]
        assert row["n"] > 0
    assert set(written["skills"]) == set(OBJECTIVES)
    for row in written["skills"].values():
        assert {"metric", "before", "after", "ci95", "n", "parts", "baselines"} <= set(row)
        assert row["baselines"]
    assert {"name", "split", "documents", "tokens"} == set(written["corpus"])
    assert {"train", "evaluate"} <= set(written["seconds"])


def test_baselines_stand_beside_every_task(metrics: dict[str, Any]) -> None:
    rows = {name: set(row["baselines"]) for name, row in metrics["downstream"].items()}
    assert rows["token_classification"] == {"majority", "bag_of_tokens", "char_cnn"}
    assert rows["numerical_reasoning"] == {
        "chance",
        "majority_position",
        "unigram_counts",
        "ngram_counts",
    }
    counted = {"bag_of_tokens", "tfidf_words", "tfidf_characters"}
    known = {"number_finder_and_units", "twin_and_units"}
    assert rows["semantic_similarity"] == counted | known
    assert rows["next_token_prediction"] == {"unigram_counts", "ngram_counts"}


def test_nothing_asked_is_stated_in_training(metrics: dict[str, Any]) -> None:
    contamination = metrics["contamination"]
    assert contamination["numerical_reasoning"]["stated_in_training"] == 0
    assert contamination["held_out_documents"]["texts"] == 60
    assert set(contamination) == DOWNSTREAM | {"held_out_documents"}


def test_an_untrained_model_is_told_from_its_twin_by_no_task(metrics: dict[str, Any]) -> None:
    reasoning = metrics["downstream"]["numerical_reasoning"]
    assert reasoning["ci95"][0] < 0.3
    assert reasoning["before_ci95"][0] < 0.3
    assert metrics["downstream"]["next_token_prediction"]["after"] < 0.2


def test_plot_and_report_are_written(root: Path, metrics: dict[str, Any]) -> None:
    with (root / "plots" / "downstream.csv").open(encoding="utf-8", newline="") as file:
        rows = {(row["item"].replace(" ", "_"), row["who"]): row for row in csv.DictReader(file)}
    assert {task for task, _ in rows} == DOWNSTREAM
    for task, expected in metrics["downstream"].items():
        trained = rows[task, "trained"]
        found = [float(trained[key]) for key in ("value", "low", "high")]
        assert found == pytest.approx([expected["after"], *expected["ci95"]], abs=1e-6)
    details = json.loads((root / "report" / "evaluation.json").read_text(encoding="utf-8"))
    assert set(TASKS) | {"contamination", "losses"} <= set(details)
    assert len(details["token_classification"]["details"]["confusion"]) == 9
    assert len(details["probes"]) == 9
    assert "<html" in (root / "report" / "index.html").read_text(encoding="utf-8")


def test_the_summary_is_a_handful_of_what_the_details_hold(
    root: Path, metrics: dict[str, Any]
) -> None:
    written = json.loads((root / "metrics" / "summary.json").read_text(encoding="utf-8"))
    assert len(written) <= 15
    for name, row in metrics["downstream"].items():
        assert written[name] == pytest.approx(row["after"], abs=5e-5)
    skills = {name: row["after"] for name, row in metrics["skills"].items()}
    for name, after in skills.items():
        assert written[f"{name}_skill"] == pytest.approx(after, abs=5e-5)
    assert written["skills"] == pytest.approx(sum(skills.values()) / 5, abs=5e-5)
    right = [row["right"] for row in metrics["guide_examples"]]
    assert written["guide_examples"] == pytest.approx(sum(right) / len(right), abs=5e-5)
    assert written["bits_per_byte"] == pytest.approx(metrics["bits_per_byte"]["after"], abs=5e-5)
    assert all(isinstance(value, float) for value in written.values())


def test_scores_of_every_task_make_its_estimate_again(root: Path, metrics: dict[str, Any]) -> None:
    scores = load_scores((root / "report" / "scores.npz").read_bytes())
    assert set(scores) >= DOWNSTREAM
    for name, row in metrics["downstream"].items():
        assert estimate(scores[name]) == pytest.approx(row["after"])
    for name, row in metrics["skills"].items():
        assert estimate(scores[f"{name}_skill"]) == pytest.approx(row["after"])


def test_a_run_in_the_store_holds_the_summary_and_nothing_else(
    root: Path, metrics: dict[str, Any]
) -> None:
    import sqlite3

    with sqlite3.connect(root / "mlflow.db") as store:
        query = "select key, value from metrics where key not like 'system/%'"
        stored = dict(store.execute(query).fetchall())
    written = json.loads((root / "metrics" / "summary.json").read_text(encoding="utf-8"))
    assert stored == {f"evaluation/{name}": value for name, value in written.items()}


def test_an_objective_alone_is_a_study_of_its_own() -> None:
    with pytest.raises(SettingsError, match=r"evaluation\.baselines: .*`ssl-lib ablate`"):
        Settings().replaced({"evaluation.baselines": "full"})


def test_missing_texts_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run `ssl-lib corpus` again"):
        list(RawDocuments(tmp_path / "train.jsonl"))
    (tmp_path / "bad.jsonl").write_text('{"tixt": 1}\n', encoding="utf-8")
    with pytest.raises(UserError, match=r"bad\.jsonl"):
        list(RawDocuments(tmp_path / "bad.jsonl"))
