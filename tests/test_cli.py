"""The command line: what it accepts, how it fails, what it prints."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas
import pytest
import tiktoken

from ssl_lib import cli
from ssl_lib.config import Settings, load_settings
from ssl_lib.files import output_lock
from ssl_lib.objectives.model_folder import save_model
from ssl_lib.objectives.registry import build_objectives
from ssl_lib.predictor import load
from ssl_lib.serving import answers
from ssl_lib.tokens import fetch

ROOT = Path(__file__).parents[1]
COMMANDS = [
    "corpus", "tokenize", "tune", "train", "evaluate", "predict", "embed", "denoise", "serve",
    "numbers", "encodings", "summary", "preset", "ui", "sync", "compare", "promote", "ablate",
]  # fmt: skip


def run(*words: str, cwd: Path = ROOT, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ssl_lib", *words]
    return subprocess.run(
        command, cwd=cwd, input=stdin, capture_output=True, text=True, timeout=120
    )


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "params.yaml").write_text("seed: 1\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_with_an_example_that_parses(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([command, "--help"])
    assert stop.value.code == 0
    example = capsys.readouterr().out.partition("Example:\n  ")[2]
    # "echo ... | ssl-lib numbers -", "ssl-lib serve & curl ..." → the words of ssl-lib
    words = shlex.split(example.partition("ssl-lib ")[2].partition(" & ")[0])
    assert cli.build_parser().parse_args(words).command == command


def test_help_lists_every_command_with_its_group(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    shown = capsys.readouterr().out
    listed = re.findall(r"^  (\w+) +\S", shown.partition("positional arguments")[0], re.MULTILINE)
    assert listed == COMMANDS
    assert all(f"{title}:\n" in shown for title in cli.GROUPS)


@pytest.mark.parametrize(
    "words",
    [[], ["no-such-command"], ["train", "--no-such-option"], ["ui", "--port", "0"], ["predict"]],
)
def test_wrong_usage_exits_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    assert stop.value.code == 2
    assert "usage: ssl-lib" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["train", "--set", "training.stepz=5"],
            "training.stepz is not a setting (did you mean training.steps?)",
        ),
        (["train", "--set", "objectives.mlm.mask_rate=1.5"], "objectives.mlm.mask_rate"),
        (["train", "--set", "training.steps"], "write it as section.key=value"),
        (
            ["train", "--set", "corpus.sources.5.documents=9"],
            "the list has 1 entries, numbered from 0; '5' is none",
        ),
        (["train", "--params", "absent.yaml"], "absent.yaml"),
        (["summary"], "metrics/evaluation.json does not exist yet"),
        (["numbers", "absent.txt"], "absent.txt cannot be read"),
        (["embed", "latin1.txt"], "latin1.txt, line 2: not UTF-8 text"),
    ],
)
def test_mistakes_are_one_sentence_and_exit_with_1(
    words: list[str], expected: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "latin1.txt").write_bytes(b"one\nna\xefve\n")
    assert cli.main(words) == 1
    shown = capsys.readouterr().err
    assert expected in shown
    assert shown.count("\n") == 1
    assert "Traceback" not in shown


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = run("train", "--debug", "--params", "absent.yaml", cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_stage_gets_the_settings_and_the_root(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "stage_for_test.py").write_text(
        "def build(settings, root):\n"
        "    (root / 'seen').write_text(f'{settings.seed} {settings.training.steps}')\n"
    )
    monkeypatch.syspath_prepend(str(project))
    stage = cli.STAGES["corpus"]._replace(stage="stage_for_test:build")
    monkeypatch.setitem(cli.STAGES, "corpus", stage)
    assert cli.main(["corpus", "--set", "training.steps=7", "--set", "training.sequences=3"]) == 0
    assert (project / "seen").read_text() == "1 7"


def test_an_entry_of_a_list_is_set_by_its_number(project: Path) -> None:
    settings = load_settings(
        project / "params.yaml", ["corpus.sources.0.documents=70", "corpus.sources.0.weight=2.5"]
    )
    (source,) = settings.corpus.sources
    assert (source.path, source.documents, source.weight) == ("built-in", 70, 2.5)


@pytest.mark.parametrize("words", [["--baselines", "none"], ["--set", "evaluation.baselines=none"]])
def test_baselines_of_evaluate_have_a_flag_of_their_own(
    words: list[str], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "judge_for_test.py").write_text(
        "def judge(settings, root):\n"
        "    (root / 'seen').write_text(settings.evaluation.baselines)\n"
    )
    monkeypatch.syspath_prepend(str(project))
    stage = cli.STAGES["evaluate"]._replace(stage="judge_for_test:judge")
    monkeypatch.setitem(cli.STAGES, "evaluate", stage)
    assert cli.main(["evaluate", *words]) == 0
    assert (project / "seen").read_text() == "none"


def test_second_run_of_a_stage_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with output_lock(project / ".ssl_lib" / "locks" / "train"):
        assert cli.main(["train"]) == 1
    assert f"process {os.getpid()}" in capsys.readouterr().err


def test_interrupt_exits_with_130(project: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "ssl_lib", "numbers", "-"],
        cwd=project,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell that starts the tests in the background makes all they start ignore the signal.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    time.sleep(2)  # past the imports, waiting for standard input
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130


@pytest.fixture(scope="module")
def model_folder(
    settings: Settings, encoding: tiktoken.Encoding, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A model at its random initialisation."""
    folder = tmp_path_factory.mktemp("project") / "model"
    save_model(folder, settings, encoding, build_objectives(settings, encoding))
    return folder


def test_predict_says_what_the_model_says(
    model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", "2 + 3 is [MASK].", "--model", str(model_folder), "-k", "2"]
    assert cli.main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    model = load(model_folder)
    assert found["next"] == [list(pair) for pair in model.predict_next("2 + 3 is", k=2)]
    assert found["number"]["value"] == model.predict_number("2 + 3 is").value
    assert len(found["masks"]) == 1
    assert cli.main(words) == 0
    kinds = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert kinds == ["next", "next", "number", "[MASK]"]


def test_embed_writes_one_vector_per_line(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "texts.txt").write_text("one 1\n\ntwo 2\n")
    words = ["embed", str(tmp_path / "texts.txt"), "--model", str(model_folder)]
    expected = load(model_folder).embed(["one 1", "two 2"])
    assert cli.main(words) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["text"] for line in lines] == ["one 1", "two 2"]
    assert np.allclose([line["embedding"] for line in lines], expected)
    assert cli.main([*words, "--output", str(tmp_path / "vectors.npy")]) == 0
    assert np.allclose(np.load(tmp_path / "vectors.npy"), expected, atol=1e-6)


@pytest.mark.parametrize("command", ["embed", "predict", "denoise"])
def test_files_are_answered_line_by_line_as_the_model_answers(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    texts = ["one 1 is", "two 2 is", "It costs $"]
    (tmp_path / "a.txt").write_text("\n\n".join(texts[:2]))
    (tmp_path / "b.txt").write_text(texts[2])
    files = [str(tmp_path / "a.txt"), str(tmp_path / "b.txt")]
    words = [command, *(["--files"] if command == "predict" else []), *files]
    words += ["--model", str(model_folder)]
    model = load(model_folder)
    task, key = {"embed": ("embed", "embedding"), "predict": ("next", "next"),
                 "denoise": ("denoise", "denoised")}[command]  # fmt: skip
    expected = answers(model, task, texts)
    if command == "denoise":
        expected = [found["text"] for found in expected]
    assert cli.main([*words, "--output", str(tmp_path / "out.jsonl")]) == 0
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["text"] for row in rows] == texts
    if command == "denoise":
        assert [row[key] for row in rows] == expected
        capsys.readouterr()
        assert cli.main(words) == 0
        shown = [line for line in capsys.readouterr().out.splitlines() if line[:2] != "  "]
        assert shown == expected
    elif command == "embed":
        assert np.allclose([row[key] for row in rows], expected, atol=1e-5)
    else:
        for row, found in zip(rows, expected, strict=True):
            assert dict(map(tuple, row[key])) == pytest.approx(dict(found), abs=1e-5)
    assert cli.main([*words, "--output", str(tmp_path / "out.parquet")]) == 0
    assert pandas.read_parquet(tmp_path / "out.parquet")["text"].tolist() == texts


def test_numbers_are_json_lines_with_null_for_no_value() -> None:
    done = run("numbers", "-", "--json", stdin="Revenue rose 12% to $3.4 million in 2024.")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["form"], row["value"]) for row in rows[:2]] == [
        ("percent", 12.0),
        ("currency", 3.4e6),
    ]
    assert "NaN" not in done.stdout


def test_rows_of_numbers_have_unit_and_uncertainty() -> None:
    text = "It was 5.0 ± 0.2 mg/dL, $3 or Rs 4, 12% and 7 widgets."
    done = run("numbers", "-", "--json", stdin=text)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    keys = ("value", "unit", "canonical_unit", "uncertainty")
    assert [tuple(row[key] for key in keys) for row in rows] == [
        (5.0, "mg/dL", "milligram / deciliter", 0.2),
        (3.0, "$", "", None),
        (4.0, "Rs", "", None),
        (12.0, "%", "", None),
        (7.0, "", "", None),
    ]
    table = run("numbers", "-", stdin=text).stdout
    assert all(shown in table for shown in ("0.2", "mg/dL", "milligram"))


def test_numbers_are_a_table_for_people() -> None:
    done = run("numbers", "-", stdin="There are 1,234 of them.")
    assert "1,234" in done.stdout
    assert "thousands" in done.stdout


def test_a_fetched_vocabulary_is_named_by_its_folder(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fetch, "VOCABULARY_FILES", {"nothing_to_fetch": []})
    assert cli.main(["encodings", "fetch", "nothing_to_fetch", "--to", "vocabularies"]) == 0
    assert capsys.readouterr().out == "vocabularies\n"


def test_a_reader_that_stops_early_is_no_error() -> None:
    text = "1 2 3 4 5 6 7 8 9\n" * 20_000
    command = f"{sys.executable} -m ssl_lib numbers - --json | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, input=text, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_summary_shows_losses_tasks_and_files(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "metrics").mkdir()
    loss = {"before": 8.3, "after": 2.0, "reduction": 0.76}
    task = {"metric": "accuracy", "before": 0.85, "after": 0.93}
    gone = {"task": "semantic_similarity", "error": "gone.tsv: no such file"}
    files = {"sts": {"metric": "spearman", "before": 0.1, "after": 0.625}, "gone": gone}
    skills = {"mlm": {"metric": "exact_match", "before": 0.01, "after": 0.81}}
    right = {"asked": "2 + 3 is …", "expected": "5", "answered": "5", "right": True}
    examples = [right, right | {"answered": "6", "right": False}]
    evaluation = {"losses": {"mlm": loss}, "downstream": {"token_classification": task},
                  "external": files, "skills": skills, "guide_examples": examples}  # fmt: skip
    (project / "metrics" / "evaluation.json").write_text(json.dumps(evaluation))
    assert cli.main(["summary"]) == 0
    shown = capsys.readouterr().out
    assert "76%" in shown
    assert "0.930   accuracy" in shown
    assert "0.625   spearman" in shown
    assert "0.810   masked words and numbers restored" in shown
    assert "examples of the guide: 1 of 2 right" in shown
    assert "ok    2 + 3 is …  5\n" in shown
    assert "wrong 2 + 3 is …  6   (expected: 5)\n" in shown
    assert "not evaluated: gone.tsv: no such file" in shown
    assert "report/index.html" in shown
    assert cli.main(["summary", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == evaluation
