"""External files: every format is read and asked, what training has seen is left out."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiktoken
from evaluating import evaluation_data, pair_of
from hypothesis import given
from hypothesis import strategies as st

from ssl_lib.config import Settings, SettingsError, parse_settings
from ssl_lib.evaluation.base import ModelPair
from ssl_lib.evaluation.comparison import TaskResult
from ssl_lib.evaluation.external import (
    Unusable,
    evaluate_external,
    evenly,
    external_metrics,
    read_external,
)
from ssl_lib.evaluation.lines import EvaluationFileError
from ssl_lib.evaluation.number_sets import read_numeracy
from ssl_lib.evaluation.readers import read_texts
from ssl_lib.predictor import Predictor
from ssl_lib.tokens.encodings import encode

PLACES = ("Oslo", "Rome", "Paris", "Lima", "Cairo", "Delhi")


def _conll(count: int, first: int = 0) -> str:
    sentences = [
        f"In\tO\n{1900 + n}\tyear\n{PLACES[n % 6]}\tO\nhad\tO\n{n % 7 + 2}\tcount\nmills\tO\n"
        for n in range(first, first + count)
    ]
    return "\n".join(sentences)


def write_files(folder: Path) -> list[dict[str, Any]]:
    """One small file of each format, and the settings that name them."""
    lists = [
        {"numbers": [n, n + 3, n + 1], "max_ans": str(n + 3), "min_ans": str(n),
         "max_text": f"Max of {n} {n + 3} {n + 1} ?", "min_text": f"Min of {n} {n + 3} {n + 1} ?"}
        for n in range(30, 50)
    ]  # fmt: skip
    words = [
        {"text": f"What is number {n} ?", "label": str(n), "magnitude": 2} for n in range(40, 60)
    ]
    questions = [
        {"question": f"On day {n} some {n * 7 + 100} men in {n * 3 + 900} boats ate {n + 50}. "
                     "How many?",
         "answer": f"Worked out.\n#### {n + 2}"} for n in range(20)
    ]  # fmt: skip
    sts = "".join(f"{n % 6}.0\tThere are {n} men.\tThere are {n + n % 5} men.\n" for n in range(30))
    files = {
        "a.conll": _conll(60), "lists.jsonl": _lines(lists), "words.jsonl": _lines(words),
        "gsm.jsonl": _lines(questions), "sts.tsv": sts,
        "text.txt": "One of 5 men left.\n\nIt was 1999.\n\n\nThe end.\n",
        "pairs.txt": "a 1\ta 2\n" * 9 + "b\tc\n", "gold.txt": "4.0\n" * 9 + "1.0\n",
    }  # fmt: skip
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    reasoning, similarity = {"task": "numerical_reasoning"}, {"task": "semantic_similarity"}
    return [
        {"name": "roles", "task": "token_classification", "path": "a.conll", "outside": "O"},
        {"name": "lists", "path": "lists.jsonl", "cue": " It is", **reasoning},
        {"name": "words", "path": "words.jsonl", **reasoning},
        {"name": "gsm", "path": "gsm.jsonl", "cue": " The answer is", **reasoning},
        {"name": "sts", "path": "sts.tsv", **similarity},
        {"name": "semeval", "path": "pairs.txt", "gold": "gold.txt", **similarity},
        {"name": "text", "task": "next_token_prediction", "path": "text.txt"},
    ]


def _lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def _settings(external: list[dict[str, Any]], items: int = 24) -> Settings:
    return parse_settings({"evaluation": {"items": items, "external": external}})


@pytest.fixture(scope="module")
def pair(encoding: tiktoken.Encoding, settings: Settings) -> ModelPair:
    models = [Predictor.untrained(settings.replaced({"seed": seed}), encoding) for seed in (0, 1)]
    return pair_of(*models)


def _evaluated(
    pair: ModelPair, chosen: Settings, root: Path, training: list[str]
) -> dict[str, TaskResult]:
    data = evaluation_data(pair.after.encoding, training, settings=chosen.evaluation)
    return evaluate_external(pair, read_external(chosen.evaluation, root, 0), data)


def test_every_format_is_asked_with_intervals_and_baselines(
    pair: ModelPair, tmp_path: Path
) -> None:
    results = _evaluated(pair, _settings(write_files(tmp_path)), tmp_path, ["Nothing of the kind."])
    metrics = {name: result.metric for name, result in results.items()}
    assert metrics == {
        "roles": "accuracy", "lists": "accuracy", "words": "exact_match", "gsm": "exact_match",
        "sts": "spearman", "semeval": "spearman", "text": "bits_per_byte",
    }  # fmt: skip
    for name, result in results.items():
        assert result.ci95[0] <= result.after <= result.ci95[1], name
        assert result.before_ci95[0] <= result.before <= result.before_ci95[1], name
        assert (
            set(result.baselines) - {"chance", "xz"}  # known without asking item by item
            == set(result.baselines_ci95)
            == set(result.over_baselines_ci95)
        )
        assert result.baselines, name
        assert result.details["file"]["asked"] <= min(24, result.details["file"]["of"])
    assert results["lists"].details["file"]["of"] == 40
    assert results["lists"].baselines["chance"] == pytest.approx(1 / 3)
    assert results["lists"].details["exact_match"]["n"] == 24
    assert results["words"].details["four_choice"]["n"] == 20
    assert results["text"].n == 3
    found = external_metrics(results["words"])
    assert {"four_choice", "path", "of", "contamination", "before", "baselines"} <= set(found)
    assert "accuracy" in external_metrics(results["text"])


def test_what_training_has_seen_is_counted_and_left_out(pair: ModelPair, tmp_path: Path) -> None:
    chosen = _settings([one for one in write_files(tmp_path) if one["name"] in ("gsm", "roles")])
    asked = read_external(chosen.evaluation, tmp_path, 0)
    planted = [asked[1].texts[3], f"So it is. {asked[1].texts[7]} Yes.", asked[0].texts[2]]
    results = _evaluated(pair, chosen, tmp_path, planted)
    gsm, roles = (results[name].details["file"] for name in ("gsm", "roles"))
    assert gsm["contamination"]["contaminated"] == 2
    assert gsm["asked"] == results["gsm"].n == 18
    long_enough = len(encode(pair.after.encoding, planted[2])) >= 13
    assert roles["contamination"]["contaminated"] == int(long_enough)


def test_sentences_that_are_asked_are_no_sentences_that_are_learned(tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text(_conll(50) + "\n" + _conll(20), encoding="utf-8")
    (tmp_path / "learn.conll").write_text(_conll(30, first=40), encoding="utf-8")
    alone = {"name": "alone", "task": "token_classification", "path": "a.conll"}
    beside = alone | {"name": "beside", "train": "learn.conll"}
    first, second = (
        read_external(_settings([alone, beside]).evaluation, tmp_path, seed=3) for _ in range(2)
    )
    assert first == second
    for one in first:
        learned = {sentence.text for sentence in (*one.learn, *one.choose)}
        assert one.items
        assert not learned & set(one.texts)
    assert len(first[0].learn) == 42
    assert len(first[1].learn) == 24
    assert first[1].repeated == 10
    assert first != read_external(_settings([alone, beside]).evaluation, tmp_path, seed=4)


@given(st.lists(st.integers(), min_size=1, max_size=60), st.integers(1, 80))
def test_evenly_keeps_the_order_and_as_many_as_wanted(items: list[int], most: int) -> None:
    numbered = list(enumerate(items))
    chosen = evenly(numbered, most)
    assert len(chosen) == min(most, len(items))
    assert chosen == sorted(set(chosen))
    assert chosen[0] == numbered[0]
    gaps = np.diff([place for place, _ in chosen])
    assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1


def test_paragraphs_lines_and_fields_of_texts(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("One\ntwo.\n \n\nThree.\n", encoding="utf-8")
    (tmp_path / "b.jsonl").write_text('{"body": "x y"}\n{"body": " "}\n', encoding="utf-8")
    assert read_texts(tmp_path / "a.md") == ["One\ntwo.", "Three."]
    assert read_texts(tmp_path / "b.jsonl", "body") == ["x y"]
    with pytest.raises(EvaluationFileError, match=r"b\.jsonl, line 1: has no field 'text'"):
        read_texts(tmp_path / "b.jsonl")
    # nested fields, tables and compressed files, as of the corpus
    (tmp_path / "c.csv").write_text("id;body\n1;x y\n2;z\n", encoding="utf-8")
    assert read_texts(tmp_path / "c.csv", "body") == ["x y", "z"]
    with gzip.open(tmp_path / "d.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write('{"answer": {"text": "x y"}}\n')
    assert read_texts(tmp_path / "d.jsonl.gz", "answer.text") == ["x y"]
    (tmp_path / "e.md").write_text("---\ntitle: t\n---\nOne.\n\nTwo.\n", encoding="utf-8")
    assert read_texts(tmp_path / "e.md") == ["One.", "Two."]
    # the last ending counts, however it is written
    (tmp_path / "g.JSONL").write_text('{"text": "x y"}\n', encoding="utf-8")
    assert read_texts(tmp_path / "g.JSONL") == ["x y"]
    (tmp_path / "p.html.bak").write_text("<p>x</p>\n\ny\n", encoding="utf-8")
    assert read_texts(tmp_path / "p.html.bak") == ["<p>x</p>", "y"]
    (tmp_path / "f.notes").write_bytes("One: 5 £.\n\nTwo.\n".encode("utf-16"))
    assert read_texts(tmp_path / "f.notes") == ["One: 5 £.", "Two."]


def test_kinds_of_json_lines_are_told_by_their_keys(tmp_path: Path) -> None:
    write_files(tmp_path)
    families = [
        read_numeracy(tmp_path / f"{name}.jsonl").items[0] for name in ("lists", "words", "gsm")
    ]
    assert [type(one).__name__ for one in families] == ["ListQuestion", "Question", "Question"]
    assert families[2].answer == "2"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"task": "spelling"},
            "evaluation.external.0.task: input should be 'token_classification'",
        ),
        (
            {"gold": "g.txt"},
            "gold means nothing to token_classification, which has label_column, outside",
        ),
        (
            {"task": "semantic_similarity", "columns": [4, 5]},
            "columns must be 3 numbers without gold, got [4, 5]",
        ),
        (
            {"task": "semantic_similarity", "columns": [4, 5, 6], "gold": "g.txt"},
            "columns must be 2 numbers with gold, got [4, 5, 6]",
        ),
        ({"validation": "v.conll"}, "validation needs train beside it"),
        ({"name": "two words"}, "evaluation.external.0.name"),
        ({"task": "next_token_prediction", "field": "."}, "evaluation.external.0.field"),
        ({"task": "next_token_prediction", "field": ""}, "evaluation.external.0.field"),
        (
            {"pth": "x"},
            "evaluation.external.0.pth is not a setting (did you mean evaluation.external.0.path?)",
        ),
    ],
)
def test_wrong_settings_are_one_sentence(change: dict[str, Any], message: str) -> None:
    right = {"name": "a", "task": "token_classification", "path": "a.conll"}
    with pytest.raises(SettingsError) as caught:
        _settings([right | change])
    assert message in str(caught.value)
    with pytest.raises(SettingsError, match="got a twice"):
        _settings([right, right])


def test_a_file_that_cannot_be_used_is_a_row_that_says_why(pair: ModelPair, tmp_path: Path) -> None:
    good = write_files(tmp_path)
    (tmp_path / "short.conll").write_text("one\tO\n", encoding="utf-8")
    alike = "\n".join(f"w{n}\tO\n" for n in range(20))
    (tmp_path / "alike.conll").write_text(alike, encoding="utf-8")
    (tmp_path / "one.tsv").write_text("1.0\ta\tb\n", encoding="utf-8")
    (tmp_path / "bad.tsv").write_text("1.0\ta\tb\nhigh\ta\tb\n", encoding="utf-8")
    (tmp_path / "empty.tsv").write_text("1.0\ta\tb\n2.0\t\tb\n3.0\ta\ta\n", encoding="utf-8")
    words, similar = {"task": "token_classification"}, {"task": "semantic_similarity"}
    bad = [
        {"name": "missing", "path": "missing.conll", **words},
        {"name": "short", "path": "short.conll", **words},
        {"name": "alike", "path": "alike.conll", **words},
        {"name": "outside", "path": "alike.conll", "outside": "O", **words},
        {"name": "one", "path": "one.tsv", **similar},
        {"name": "bad", "path": "bad.tsv", **similar},
        {"name": "empty", "path": "empty.tsv", **similar},
    ]
    results = _evaluated(
        pair, _settings([bad[0], *good, *bad[1:]]), tmp_path, ["Nothing of the kind."]
    )
    rows = {name: external_metrics(result) for name, result in results.items()}
    assert {name for name, row in rows.items() if "error" in row} == {one["name"] for one in bad}
    assert all(row["ci95"] for name, row in rows.items() if "error" not in row)
    for name, message in {
        "missing": "missing.conll: no such file",
        "short": "too few different sentences",
        "alike": "at least two classes",
        "outside": "label is not the one outside",
        "one": "at least two items",
        "bad": "bad.tsv, line 2: 'high' is no similarity score",
        "empty": "empty.tsv: cannot be evaluated as semantic_similarity: an empty text",
    }.items():
        assert message in rows[name]["error"], name
        assert set(rows[name]) == {"task", "path", "error"}


def _sts_folder(folder: Path) -> None:
    """Three files as the shared tasks distribute them; every third pair is unscored."""
    folder.mkdir()
    for name, size in (("answers", 60), ("news", 30), ("images", 12)):
        pairs = [f"There are {n} men.\tThere are {n + n % 7} men in {name}." for n in range(size)]
        scores = ["" if n % 3 == 2 else f"{5 - n % 7 / 2}" for n in range(size)]
        (folder / f"STS.input.{name}.txt").write_text("\n".join(pairs) + "\n", encoding="utf-8")
        (folder / f"STS.gs.{name}.txt").write_text("\n".join(scores) + "\n", encoding="utf-8")


def test_files_of_one_name_are_averaged_by_their_pairs(pair: ModelPair, tmp_path: Path) -> None:
    _sts_folder(tmp_path / "sts")
    several = {"name": "all", "path": "sts/STS.input.*.txt", "gold": "sts/STS.gs.*.txt"}
    apart = [{"name": name, "path": f"sts/STS.input.{name}.txt", "gold": f"sts/STS.gs.{name}.txt"}
             for name in ("answers", "news", "images")]  # fmt: skip
    chosen = [one | {"task": "semantic_similarity"} for one in (several, *apart)]
    results = _evaluated(pair, _settings(chosen, items=1000), tmp_path, ["Nothing of the kind."])
    found = results["all"]
    sizes = {"answers": 40, "news": 20, "images": 8}
    assert {name: results[name].n for name in sizes} == sizes
    assert found.n == 68
    assert found.details["file"]["left_out"] == {"without_a_score": 34}
    for who in ("before", "after"):
        mean = sum(getattr(results[name], who) * sizes[name] for name in sizes) / 68
        assert getattr(found, who) == pytest.approx(mean)
        linear = sum(results[name].details["pearson"][who] * sizes[name] for name in sizes) / 68
        assert found.details["pearson"][who] == pytest.approx(linear)
    metrics = external_metrics(found)
    assert {name: row["n"] for name, row in metrics["files"].items()} == {
        f"STS.input.{name}.txt": size for name, size in sizes.items()
    }
    assert found.ci95[0] <= found.after <= found.ci95[1]
    # the interval of one file alone is the same as before there were several
    assert "files" not in results["news"].details


def test_every_file_of_pairs_needs_its_scores(tmp_path: Path) -> None:
    _sts_folder(tmp_path / "sts")
    (tmp_path / "sts" / "STS.gs.news.txt").unlink()
    task = {"name": "a", "task": "semantic_similarity", "path": "sts/STS.input.*",
            "gold": "sts/STS.gs.*"}  # fmt: skip
    (found,) = read_external(_settings([task]).evaluation, tmp_path, 0)
    assert isinstance(found, Unusable)
    assert "has no file of scores in sts/STS.gs.*" in found.why


def test_a_folder_is_asked_as_one(pair: ModelPair, tmp_path: Path) -> None:
    write_files(tmp_path)
    for name, files in {"words": ("a.conll",), "notes": ("text.txt",)}.items():
        (tmp_path / name).mkdir()
        for file in files:
            for copy in ("one", "two"):
                text = (tmp_path / file).read_text(encoding="utf-8")
                (tmp_path / name / f"{copy}-{file}").write_text(text, encoding="utf-8")
    tasks = [{"name": "words", "task": "token_classification", "path": "words", "outside": "O"},
             {"name": "notes", "task": "next_token_prediction", "path": "notes"}]  # fmt: skip
    results = _evaluated(pair, _settings(tasks), tmp_path, ["Nothing of the kind."])
    assert results["notes"].details["file"]["of"] == 6
    # twins in the second file are no new sentences to ask
    assert results["words"].details["file"]["repeated"] > 0


def test_blanks_are_asked_as_whole_continuations(pair: ModelPair, tmp_path: Path) -> None:
    numbers = ("two", "three", "four")
    masked = "".join(f"Item {n} of the <mask> is here.\t{numbers[n % 3]}\n" for n in range(9))
    rows = [{"sentence1": f"Ann has {n} pens and buys {m}.", "sentence2": f"She has {n + m + off}.",
             "gold_label": label} for n in range(3) for m in range(4)
            for off, label in ((0, "entailment"), (1, "contradiction"))]  # fmt: skip
    (tmp_path / "masked.tsv").write_text(masked, encoding="utf-8")
    (tmp_path / "awpnli.jsonl").write_text(_lines(rows), encoding="utf-8")
    tasks = [{"name": name, "task": "numerical_reasoning", "path": path, "cue": " The answer is"}
             for name, path in (("masked", "masked.tsv"), ("nli", "awpnli.jsonl"))]  # fmt: skip
    results = _evaluated(pair, _settings(tasks), tmp_path, ["Nothing of the kind."])
    assert results["masked"].baselines["chance"] == pytest.approx(1 / 12)
    assert results["nli"].baselines["chance"] == pytest.approx(1 / 2)
    assert (results["masked"].n, results["nli"].n) == (9, 12)
    # a cue belongs after a question, and nothing is generated in the middle of a sentence
    example = results["masked"].details["examples"][0]
    assert example["prompt"].endswith("of the")
    assert "exact_match" not in results["masked"].details


def test_files_of_different_kinds_need_different_names(tmp_path: Path) -> None:
    write_files(tmp_path)
    task = {"name": "a", "task": "numerical_reasoning", "path": "[lw]*.jsonl"}
    (found,) = read_external(_settings([task]).evaluation, tmp_path, 0)
    assert isinstance(found, Unusable)
    assert "give each kind its own name" in found.why
