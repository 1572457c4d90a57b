"""`ssl-lib evaluate --sealed` on a small project: what it asks, writes, says and refuses."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import tiktoken
from evaluating import evaluation_data
from test_evaluation_stage import write_project

from ssl_lib import __version__, cli
from ssl_lib.config import Settings
from ssl_lib.errors import UserError
from ssl_lib.evaluation.tasks import TASKS, downstream_tasks
from ssl_lib.evaluation.token_classification import TokenClassification
from ssl_lib.sealed.stage import NOTICE, evaluate_sealed
from ssl_lib.sealed.tasks import SealedRoles, sealed_tasks

CHANGES = {
    "tokens.vocabulary_size": 1400,
    "model.layers": 1,
    "model.width": 32,
    "model.heads": 2,
    "model.context_length": 64,
    "training.device": "cpu",
    "evaluation.items": 36,
    "evaluation.probe_items": 60,
    "evaluation.bootstrap_samples": 100,
}
WORDS = [word for key, value in CHANGES.items() for word in ("--set", f"{key}={value}")]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with tokens, a model, and metrics of an evaluation that stay as they are."""
    root = tmp_path_factory.mktemp("project")
    write_project(root, Settings().replaced(CHANGES), documents=(200, 20, 20))
    (root / "params.yaml").write_text("seed: 0\n")
    (root / "metrics").mkdir()
    (root / "metrics" / "evaluation.json").write_text("{}\n")
    return root


@pytest.fixture
def project(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    shutil.copytree(finished, root)
    monkeypatch.chdir(root)
    return root


def files_of(root: Path) -> dict[str, str]:
    found = (path for path in root.rglob("*") if path.is_file())
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found
    }


def test_it_is_opened_once_a_version_and_writes_one_file(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files_of(project)
    assert cli.main(["evaluate", "--sealed", *WORDS]) == 0
    shown = capsys.readouterr()
    after = files_of(project)
    lock = ".ssl_lib/locks/sealed"
    assert after.keys() - before.keys() == {"metrics/sealed.json", lock}
    assert before.items() <= after.items()
    record = json.loads((project / "metrics" / "sealed.json").read_text(encoding="utf-8"))
    _check_record(record, project)
    # the sentence each time; the table has every task, and every baseline with its interval
    assert shown.err.count(NOTICE) == 1
    for name, row in record["tasks"].items():
        assert TASKS[name].title.split()[0] in shown.out
        for baseline, value in row["baselines"].items():
            assert re.search(rf"{baseline} .*{value:.3f}", shown.out), baseline

    # the second time it refuses, and leaves everything as it is
    assert cli.main(["evaluate", "--sealed", *WORDS]) == 1
    refused = capsys.readouterr()
    assert f"opened for version {__version__} on {record['openings'][0]['date']}" in refused.err
    assert '--again "WHY"' in refused.err
    assert refused.err.count("\n") == 1
    assert refused.out == ""
    assert files_of(project) == after

    words = ["evaluate", "--sealed", "--json", "--again", "The tokens were old.", *WORDS]
    assert cli.main([*words, "--baselines", "none"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again == json.loads((project / "metrics" / "sealed.json").read_text(encoding="utf-8"))
    first, second = again["openings"]
    assert first == record["openings"][0]
    assert second == first | {"reason": "The tokens were old."}
    for name, row in record["tasks"].items():
        same = ("before", "after", "ci95", "before_ci95", "n")
        assert [again["tasks"][name][key] for key in same] == [row[key] for key in same]


def _check_record(record: dict[str, Any], project: Path) -> None:
    assert set(record) == {"notice", "openings", "tasks", "contamination"}
    (opening,) = record["openings"]
    assert opening["version"] == __version__
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", opening["date"])
    names = ("model.safetensors", "config.json", "encoding.json")
    digests = [hashlib.sha256((project / "model" / name).read_bytes()) for name in names]
    whole = "\n".join(digest.hexdigest() for digest in digests)
    assert opening["model_sha256"] == hashlib.sha256(whole.encode()).hexdigest()
    assert list(record["tasks"]) == [task.name for task in downstream_tasks()]
    for name, row in record["tasks"].items():
        assert row["metric"] == TASKS[name].metric
        assert row["ci95"][0] <= row["after"] <= row["ci95"][1]
        assert row["before_ci95"][0] <= row["before"] <= row["before_ci95"][1]
        assert "details" not in row
        assert record["contamination"][name]["asked"] > 0
    baselines = {name: set(row["baselines"]) for name, row in record["tasks"].items()}
    assert baselines == {
        "token_classification": {"majority", "bag_of_tokens", "char_cnn"},
        "numerical_reasoning": {"majority_position", "chance", "unigram_counts", "ngram_counts"},
        "semantic_similarity": {
            "bag_of_tokens",
            "tfidf_words",
            "tfidf_characters",
            "number_finder_and_units",
            "twin_and_units",
        },
        "next_token_prediction": {"unigram_counts", "ngram_counts"},
    }


def test_a_model_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="model"):
        evaluate_sealed(Settings(), tmp_path)
    assert not (tmp_path / "metrics").exists()


def test_another_version_may_open_it_and_a_broken_record_is_told(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = project / "metrics" / "sealed.json"
    older = {"version": "0.0.1", "date": "2020-01-02", "model_sha256": "0", "reason": ""}
    path.write_text(json.dumps({"openings": [older]}))
    assert cli.main(["evaluate", "--sealed", "--baselines", "none", *WORDS]) == 0
    versions = [one["version"] for one in json.loads(path.read_text())["openings"]]
    assert versions == ["0.0.1", __version__]
    path.write_text("{")
    capsys.readouterr()
    assert cli.main(["evaluate", "--sealed", *WORDS]) == 1
    assert "metrics/sealed.json: cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--json"], ["--again", "Why not."]])
def test_what_belongs_to_sealed_needs_it(
    words: list[str], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["evaluate", *words]) == 1
    assert f"{words[0]} needs --sealed" in capsys.readouterr().err


def test_the_tasks_answer_and_score_as_the_built_in_ones_do() -> None:
    for name, task in sealed_tasks().items():
        built_in = type(TASKS[name].load())
        assert isinstance(task, built_in)
        for method in ("answer", "score", "baselines", "run", "texts", "selected", "wanted"):
            assert getattr(type(task), method) is getattr(built_in, method)


def test_the_probe_learns_from_the_built_in_world_alone(encoding: tiktoken.Encoding) -> None:
    task = TASKS["token_classification"]
    data = evaluation_data(encoding)
    asked = SealedRoles(task).items(data)
    built_in = TokenClassification(task).items(data)
    assert asked.train.texts == built_in.train.texts
    assert asked.validation.texts == built_in.validation.texts
    assert not set(asked.test.texts) & set(built_in.test.texts)
