"""`ssl-lib corpus --sample` shows what the stage would keep, and writes nothing."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_corpus import build, documents, essays, write

from ssl_lib import cli
from ssl_lib.config import parse_settings
from ssl_lib.corpus.problems import CorpusError
from ssl_lib.corpus.sample import sample_corpus

BUILT_IN = {"path": "built-in", "documents": 1000}


def settings_of(*sources: dict[str, Any], **corpus: Any) -> Any:
    return parse_settings({"corpus": {"sources": list(sources), **corpus}})


def everything(root: Path) -> dict[str, bytes]:
    """Every file under a folder."""
    paths = [path for path in root.rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def test_a_sample_shows_what_the_stage_keeps(tmp_path: Path) -> None:
    texts = essays(40, seed=3)
    source = {"path": write(tmp_path, "a.jsonl", texts), "domain": "reports"}
    before = everything(tmp_path)
    sample = sample_corpus(settings_of(source, BUILT_IN), tmp_path, 5)
    assert everything(tmp_path) == before, "a sample writes nothing"
    assert [row["text"] for row in sample.documents[:5]] == [text[:300] for text in texts[:5]]
    assert [row["source"] for row in sample.documents[5:]] == ["built-in"] * 5
    assert sample.read == 10
    assert sample.domains["reports"] == 5
    assert sum(sample.domains.values()) == 10

    build(tmp_path, source, BUILT_IN)
    kept = {row["text"][:300]: (split, row["domain"]) for split in ("train", "validation", "test")
            for row in documents(tmp_path, split)}  # fmt: skip
    for row in sample.documents[:5]:
        assert kept[row["text"]][1] == row["domain"]
    assert all(row["text"] in kept for row in sample.documents[5:])


def test_numbers_have_value_and_form(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", ["Sales of item A4 rose 12% to $3.4 million in May."])
    (row,) = sample_corpus(settings_of({"path": path}), tmp_path, 3).documents
    numbers = {number["text"]: (number["value"], number["form"]) for number in row["numbers"]}
    assert numbers["12%"] == (12.0, "percent")
    assert numbers["$3.4 million"] == (3.4e6, "currency")
    json.dumps(row, allow_nan=False)


def test_what_is_rejected_has_its_reason_and_an_example(tmp_path: Path) -> None:
    long = "The mill on the river ground 1,250 sacks of grain in the year 1887, it is said."
    path = write(tmp_path, "a.jsonl", [long, "short", " ", long.upper(), "brief", long + "."])
    sample = sample_corpus(settings_of({"path": path}), tmp_path, 10)
    counts = {reason: row["documents"] for reason, row in sample.rejected.items()}
    assert counts == {"too_short": 2, "empty": 1, "exact": 1, "near": 1}
    assert sample.rejected["too_short"]["example"] == {"source": path, "text": "short"}
    assert sample.rejected["exact"]["example"]["removed"]["text"] == long.upper()
    assert [row["text"] for row in sample.documents] == [long]


def test_a_large_source_is_read_no_further_than_needed(tmp_path: Path) -> None:
    # whoever reads to the end meets the damage
    folder = tmp_path / "data" / "sources"
    folder.mkdir(parents=True)
    lines = [json.dumps({"text": text}) for text in essays(9000, seed=5)]
    (folder / "a.jsonl").write_text("\n".join([*lines, "{"]), encoding="utf-8")
    with gzip.open(folder / "b.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join([*lines, "{"]))
    for name in ("a.jsonl", "b.jsonl.gz"):
        settings = settings_of({"path": f"data/sources/{name}"})
        assert sample_corpus(settings, tmp_path, 20).read == 20
        with pytest.raises(CorpusError, match="line 9001"):
            sample_corpus(settings, tmp_path, 9100)


def test_pieces_of_a_long_text_are_documents_of_the_sample(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text("\n\n".join(essays(100, seed=7)), encoding="utf-8")
    sample = sample_corpus(settings_of({"path": "book.txt"}), tmp_path, 4)
    assert len(sample.documents) == 4
    assert sample.documents[0]["start"] == 0
    assert sample.read == 1


def test_a_source_that_cannot_be_read_is_told_as_by_the_stage(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"corpus\.sources\.0\.path: no file matches"):
        sample_corpus(settings_of({"path": "nowhere/*.txt"}), tmp_path, 3)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(tmp_path, "a.jsonl", [f"Item {n}: [bold]{text}" for n, text in
                                enumerate(essays(30, seed=9))])  # fmt: skip
    (tmp_path / "params.yaml").write_text("corpus:\n  sources:\n  - path: built-in\n"
                                          "    documents: 100\n", encoding="utf-8")  # fmt: skip
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_shows_tables_and_json(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = everything(project)
    own = ["--set", "corpus.sources.0.path=data/sources/a.jsonl"]
    assert cli.main(["corpus", "--sample", "2", "--json", *own]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["source"] for row in found["documents"]] == ["data/sources/a.jsonl"] * 2
    assert set(found) == {"documents", "read", "domains", "rejected"}
    assert cli.main(["corpus", "--sample", "2", *own]) == 0
    shown = capsys.readouterr().out
    assert "[bold]" in shown
    assert "Item 1" in shown
    assert "Item 2" not in shown
    assert "2 texts read, nothing written." in shown
    assert cli.main(["corpus", "--json"]) == 1
    assert "give --sample N" in capsys.readouterr().err
    assert everything(project) == before


def test_an_installed_command_samples_without_locks_or_folders(project: Path) -> None:
    environment = os.environ | {"COLUMNS": "100"}
    command = [sys.executable, "-m", "ssl_lib", "corpus", "--sample", "1"]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "built-in" in done.stdout
    assert not (project / ".ssl_lib").exists()
