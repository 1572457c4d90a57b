"""The whole stage: it repeats, balances, separates the splits, and loses nothing when it fails."""

from __future__ import annotations

import hashlib
import json
import random
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from ssl_lib.config import parse_settings
from ssl_lib.corpus import build_corpus
from ssl_lib.corpus.candidates import domain_quotas
from ssl_lib.corpus.cleaning import normalized
from ssl_lib.corpus.duplicates import jaccard, shingle_set
from ssl_lib.corpus.problems import CorpusError
from ssl_lib.corpus.readers import GENERATOR_PACKAGES
from ssl_lib.errors import UserError
from ssl_lib.files import LockedError, output_lock

SPLITS = ("train", "validation", "test")
WORDS = """time market rose fell sharply after rain spring people bought bread milk paper river
    stone glass""".split()


def essays(count: int, seed: int, words: int = 50) -> list[str]:
    """Texts that have nothing to do with one another."""
    source = random.Random(seed)
    return [
        " ".join(
            source.choice(WORDS) if source.random() < 0.5 else str(source.randrange(10**6))
            for _ in range(words)
        )
        for _ in range(count)
    ]


def write(root: Path, name: str, texts: list[str]) -> str:
    """A source of these texts; returns its path relative to the root."""
    path = root / "data" / "sources" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return f"data/sources/{name}"


def build(
    root: Path, *sources: dict[str, Any], executor: Executor | None = None, **corpus: Any
) -> dict[str, Any]:
    """Run the stage with wide splits; returns the manifest."""
    shares = {"validation_share": 0.1, "test_share": 0.1}
    settings = parse_settings({"corpus": {"sources": list(sources), **shares, **corpus}})
    build_corpus(settings, root, executor)
    return json.loads((root / "data" / "raw" / "manifest.json").read_text(encoding="utf-8"))


def documents(root: Path, split: str, folder: str = "") -> list[dict[str, Any]]:
    """Lines of a split."""
    lines = (
        (root / "data" / "raw" / folder / f"{split}.jsonl").read_text(encoding="utf-8").split("\n")
    )
    return [json.loads(line) for line in lines[:-1]]


def contents(root: Path) -> dict[str, bytes]:
    """Every file of `data/raw`."""
    folder = root / "data" / "raw"
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def failure(run: Callable[[], object]) -> str:
    """The one sentence that a run fails with."""
    with pytest.raises(UserError) as caught:
        run()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_files_and_generator_become_three_splits_with_labels_and_a_manifest(tmp_path: Path) -> None:
    path = write(tmp_path, "notes.jsonl", [*essays(200, 1), "short", "  "])
    manifest = build(tmp_path, {"documents": 100}, {"path": path, "domain": "notes"})
    raw = contents(tmp_path)
    names = {f"{folder}{split}.jsonl" for folder in ("", "labels/") for split in SPLITS}
    assert set(raw) == names | {"manifest.json"}
    assert manifest["files"] == {
        name: hashlib.sha256(raw[name]).hexdigest() for name in sorted(names)
    }
    for split in SPLITS:
        found, labels = documents(tmp_path, split), documents(tmp_path, split, "labels")
        assert len(found) == len(labels) == manifest["documents"][split] > 0
        assert manifest["bytes"][split] == sum(len(document["text"].encode()) for document in found)
        assert all(list(document) == ["text", "source", "domain"] for document in found)
        for document, label in zip(found, labels, strict=True):
            assert bool(label) == (document["source"] == "built-in")
            for start, end, _ in label.get("numbers", []):
                assert document["text"][start:end].strip() == document["text"][start:end] != ""
    assert manifest["rejected"] == {"empty": 1, "too_short": 1}
    assert manifest["domains"]["notes"] == manifest["sources"][1]["documents"]
    assert sum(manifest["domains"]["notes"].values()) == 200
    assert (
        manifest["sources"][1]["sha256"]
        == hashlib.sha256((tmp_path / path).read_bytes()).hexdigest()
    )
    assert str(tmp_path) not in json.dumps(manifest)


def test_the_same_inputs_give_the_same_bytes_whoever_prepares_them(tmp_path: Path) -> None:
    texts = essays(2500, 2, 30)
    sources = ({"documents": 2500}, {"path": "data/sources/a.jsonl", "weight": 0.5})
    results = []
    spawn = ProcessPoolExecutor(2, mp_context=get_context("spawn"))
    for number, executor in enumerate((None, None, ThreadPoolExecutor(3), spawn)):
        root = tmp_path / str(number)
        write(root, "a.jsonl", texts)
        build(root, *sources, executor=executor)
        results.append(contents(root))
        if executor:
            executor.shutdown()
    assert all(result == results[0] for result in results[1:])


def test_a_large_corpus_starts_two_processes_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ssl_lib.corpus.build.PARALLEL_SECONDS", 0.0)
    build(tmp_path / "two", {"documents": 300})
    monkeypatch.setattr("ssl_lib.corpus.build.PARALLEL_SECONDS", float("inf"))
    build(tmp_path / "one", {"documents": 300})
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_no_near_duplicate_crosses_a_split_and_the_test_document_stays(tmp_path: Path) -> None:
    source = random.Random(4)
    texts = essays(150, 4, 60)
    for text in texts[:100]:
        words = text.split()
        words[source.randrange(len(words))] = str(source.randrange(10))
        texts.append(" ".join(words))
    texts += texts[:20]
    path = write(tmp_path, "a.jsonl", texts)
    manifest = build(tmp_path, {"path": path}, near_duplicates="text")
    kept = {
        split: [shingle_set(normalized(d["text"])) for d in documents(tmp_path, split)]
        for split in SPLITS
    }
    every = [shingles for split in SPLITS for shingles in kept[split]]
    assert all(jaccard(a, b) < 0.85 for place, a in enumerate(every) for b in every[:place])
    assert manifest["duplicates"]["exact"] >= 20
    assert manifest["duplicates"]["near"] > 50
    assert sum(manifest["documents"].values()) + sum(manifest["duplicates"].values()) == len(texts)


NOTICE = " ".join(
    """Results are valid for the sample as it was received, and must be judged together with the
    history and the findings of the patient. Reference ranges are those of adults, and differ in
    children, in pregnancy and at high altitude. Please call the laboratory before you change a
    treatment because of a single result, and send another sample if a value does not agree with
    what you see. The sample is kept in the cold for one week, and may be used for further tests on
    request. Methods and their uncertainty are described in the handbook of the laboratory, which is
    sent to every ward. This report was made by a machine, and is valid without a signature. It may
    be copied only as a whole, and only with the consent of the patient.""".split()
)


def lab_report(source: random.Random) -> str:
    return f"""LABORATORY REPORT. Patient sample received in good condition and analyzed on the same
        day by the central laboratory. Hemoglobin {source.uniform(9, 18):.1f} g/dl (reference 12 to
        16). Leukocytes {source.randrange(2000, 15000):,} per microliter (reference 4,000 to
        10,000). Glucose {source.randrange(60, 300)} mg/dl (reference 70 to 100). Creatinine
        {source.uniform(0.4, 3):.2f} mg/dl (reference 0.5 to 1.1). No interfering substances were
        found. The values were checked by the physician on duty, and the report was released.
        {NOTICE}"""


def invoice(source: random.Random) -> str:
    pieces, price = source.randrange(2, 400), source.randrange(100, 90_000) / 100
    amount = pieces * price
    return f"""Thank you for your order. We have delivered {pieces} pieces at ${price:,.2f} each.
        The amount of ${amount:,.2f} is due within 30 days of delivery without any deduction.
        Please transfer it to our account and name the number of this invoice."""


def score(source: random.Random) -> str:
    home, away, crowd = source.randrange(9), source.randrange(9), source.randrange(100, 60_000)
    return f"The home team won {home} to {away} in front of {crowd:,} people on a cold evening."


def sensor_line(source: random.Random) -> str:
    minute, second, value = source.randrange(60), source.randrange(60), source.uniform(-20, 90)
    return f"12:{minute:02}:{second:02} sensor A{source.randrange(900)} {value:.2f} °C ok"


def inspection(source: random.Random) -> str:
    return f"""Inspection record. The pressure valve was inspected under normal load. Measured
        pressure {source.uniform(1, 9):.3f} bar at {source.uniform(15, 90):.2f} °C. No leaks were
        found, and the unit was released for operation until the next inspection."""


@pytest.mark.parametrize(
    ("template", "count"),
    [(lab_report, 300), (invoice, 300), (score, 300), (sensor_line, 300), (inspection, 1000)],
)
def test_records_that_differ_in_their_numbers_all_stay(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    template: Callable[[random.Random], str],
    count: int,
) -> None:
    source = random.Random(0)
    texts = list({template(source): None for _ in range(2 * count)})[:count]
    assert len(texts) == count
    manifest = build(tmp_path, {"path": write(tmp_path, "a.jsonl", texts)})
    assert sum(manifest["documents"].values()) == count
    assert manifest["duplicates"] == {"exact": 0, "near": 0}
    assert capsys.readouterr().err == ""


REPRINTS: dict[str, Callable[[str], str]] = {
    "a typo": lambda text: text.replace("analyzed", "anaylzed"),
    "another header": lambda text: text.replace("LABORATORY REPORT", "COPY FOR THE WARD"),
    "white space": lambda text: "\r\n  ".join(text.split("\n")) + "\n\n",
    "forms of numbers": lambda text: re.sub(r",(?=\d{3})", "", text),
    "numbers in words": lambda text: text.replace("70 to 100", "seventy to one hundred"),
}


@pytest.mark.parametrize("change", REPRINTS)
def test_reprints_with_the_same_numbers_go(tmp_path: Path, change: str) -> None:
    source = random.Random(1)
    texts = [lab_report(source) for _ in range(100)]
    reprints = [REPRINTS[change](text) for text in texts]
    assert all(reprint != text for reprint, text in zip(reprints, texts, strict=True))
    manifest = build(tmp_path, {"path": write(tmp_path, "a.jsonl", texts + reprints)})
    assert sum(manifest["documents"].values()) == 100
    assert sum(manifest["duplicates"].values()) == 100


def test_much_that_is_left_out_is_told_with_the_setting_and_shown_in_the_manifest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = random.Random(2)
    texts = [lab_report(source) for _ in range(300)]
    texts += [*essays(100, 3), texts[0].replace("\n", " "), "short", ""]
    path = write(tmp_path, "a.jsonl", texts)
    manifest = build(tmp_path, {"path": path}, near_duplicates="text")
    near = manifest["duplicates"]["near"]
    assert near > 150
    warning = capsys.readouterr().err
    assert warning.count("\n") == 1
    for part in (f"{near} of 403", "near duplicates", "corpus.near_duplicates: text_and_numbers"):
        assert part in warning
    assert set(manifest["examples"]) == {"exact", "near", "too_short", "empty"}
    assert manifest["examples"]["too_short"] == {"source": path, "text": "short"}
    for reason in ("exact", "near"):
        pair = manifest["examples"][reason]
        assert pair["kept"]["source"] == pair["removed"]["source"] == path
        beginnings = [pair[which]["text"] for which in ("kept", "removed")]
        assert all(any(text.startswith(start) for text in texts) for start in beginnings)
    kept = build(tmp_path, {"path": path}, near_duplicates="none")
    assert kept["duplicates"] == {"exact": 1, "near": 0}
    assert capsys.readouterr().err == ""


def test_one_long_text_is_cut_at_paragraphs_before_the_split(tmp_path: Path) -> None:
    source = random.Random(6)
    paragraphs = [essays(1, number, source.randrange(20, 90))[0] + "." for number in range(800)]
    text = "\r\n\r\n".join(paragraphs)[:200_000].rstrip()
    path = tmp_path / "data" / "sources" / "book.txt"
    path.parent.mkdir(parents=True)
    path.write_bytes(text.encode())
    settings = parse_settings({"corpus": {"sources": [{"path": "data/sources/book.txt"}]}})
    build_corpus(settings, tmp_path)
    found = [(d, split) for split in SPLITS for d in documents(tmp_path, split)]
    found.sort(key=lambda entry: entry[0]["start"])
    before = 0
    for document, _ in found:
        start, cut = document["start"], document["text"]
        assert document["source"] == "data/sources/book.txt"
        assert not text[before:start].strip()
        end = start + len(cut.replace("\n\n", "\r\n\r\n"))
        assert text[start:end].replace("\r\n", "\n") == cut
        assert 1000 <= len(cut) <= 2000 or end == len(text)
        assert text[end : end + 2] in ("\r\n", "")
        before = end
    assert before == len(text)
    splits = [split for _, split in found]
    assert all(1 <= splits.count(split) <= 0.03 * len(found) + 2 for split in SPLITS[1:])


def test_positions_count_over_the_blocks_of_a_long_file(tmp_path: Path) -> None:
    text = "\n\n".join(essays(300, 8))
    path = tmp_path / "data" / "sources" / "book.txt"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    source = {"path": "data/sources/book.txt"}
    build(tmp_path, source, document_characters=500, maximum_characters=1500)
    found = [document for split in SPLITS for document in documents(tmp_path, split)]
    assert len(found) > 100
    for document in found:
        start = document["start"]
        assert text[start : start + len(document["text"])] == document["text"]


def test_the_projects_own_readme_is_no_document(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", essays(100, 9))
    readme = tmp_path / "data" / "sources" / "README.md"
    readme.write_text("Put your own text here, it says.", encoding="utf-8")
    (tmp_path / "data" / "sources" / "more").mkdir()
    (readme.parent / "more" / "README.md").write_text("This one is text.", encoding="utf-8")
    for pattern in ("data/sources", "data/sources/*", "data/sources/**/*.*"):
        manifest = build(tmp_path, {"path": pattern}, minimum_characters=0)
        assert manifest["sources"][0]["documents_read"] == (100 if pattern[-2:] == "/*" else 101)
    manifest = build(
        tmp_path, {"path": path}, {"path": "data/sources/README.md"}, minimum_characters=0
    )
    assert manifest["sources"][1]["documents_read"] == 1


def test_a_corpus_is_called_by_its_name_or_by_its_sources(tmp_path: Path) -> None:
    path = write(tmp_path, "reports.jsonl", essays(100, 9))
    sources: list[dict[str, Any]] = [{"path": path, "domain": "law"}, {"documents": 50}]
    assert build(tmp_path, sources[0])["name"] == "reports"
    assert build(tmp_path, sources[1])["name"] == "built-in"
    assert build(tmp_path, *sources)["name"] == "reports + built-in"
    assert build(tmp_path, *sources, name="mine")["name"] == "mine"
    many = [{"path": f"data/{letter}/*.txt"} for letter in "abcd"]
    assert parse_settings({"corpus": {"sources": many}}).corpus.display_name == "a + b + 2 more"


def test_pieces_of_a_long_document_stay_in_its_split(tmp_path: Path) -> None:
    texts = [
        f"Chapter {number}. " + ". ".join(essays(1, number, 200)) + "." for number in range(60)
    ]
    build(tmp_path, {"path": write(tmp_path, "a.jsonl", texts)}, maximum_characters=300)
    where = {text: set() for text in texts}
    for split in SPLITS:
        for document in documents(tmp_path, split):
            (whole,) = (text for text in texts if document["text"] in text)
            where[whole].add(split)
            assert len(document["text"]) <= 300
    assert all(len(splits) == 1 for splits in where.values())


@pytest.mark.parametrize("setting", ["maximum_characters", "document_characters"])
def test_labels_of_a_cut_document_fit_its_pieces(tmp_path: Path, setting: str) -> None:
    build(tmp_path / "whole", {"documents": 60})
    numbers = {
        document["text"][start:end]
        for document, label in zip(
            documents(tmp_path / "whole", "train"),
            documents(tmp_path / "whole", "train", "labels"),
            strict=True,
        )
        for start, end, _ in label["numbers"]
    }
    build(tmp_path, {"documents": 60}, **{setting: 80})
    found = 0
    for document, label in zip(
        documents(tmp_path, "train"), documents(tmp_path, "train", "labels"), strict=True
    ):
        assert all(document["text"][start:end] in numbers for start, end, _ in label["numbers"])
        assert all(0 <= start < end <= len(document["text"]) for start, end in label["determined"])
        found += len(label["numbers"])
    assert found > 60


def test_weights_thin_out_a_source_by_its_texts(tmp_path: Path) -> None:
    first, second = (
        write(tmp_path, "a.jsonl", essays(1000, 5, 10)),
        write(tmp_path, "b.jsonl", essays(1000, 6, 10)),
    )
    manifest = build(tmp_path, {"path": first, "weight": 2.0}, {"path": second, "weight": 0.5})
    kept = [sum(source["documents"].values()) for source in manifest["sources"]]
    assert kept[0] == 1000
    assert kept[1] == pytest.approx(250, abs=50)
    assert manifest["left_out"]["weight"] == 1000 - kept[1]


def test_no_domain_has_more_than_its_share(tmp_path: Path) -> None:
    sizes = {"a": 900, "b": 300, "c": 100}
    sources = [
        {"path": write(tmp_path, f"{name}.jsonl", essays(n, n, 20))} for name, n in sizes.items()
    ]
    manifest = build(tmp_path, *sources, maximum_domain_share=0.5)
    texts = [document for split in SPLITS for document in documents(tmp_path, split)]
    total = sum(len(document["text"]) for document in texts)
    share = sum(len(document["text"]) for document in texts if document["domain"] == "a") / total
    assert 0.48 < share <= 0.505
    assert sum(manifest["domains"]["b"].values()) == 300
    assert sum(manifest["domains"]["c"].values()) == 100
    text = failure(lambda: build(tmp_path, *sources, maximum_domain_share=0.2))
    assert "corpus.maximum_domain_share" in text
    assert "0.333" in text


@pytest.mark.parametrize("share", [0.34, 0.4, 0.5, 0.8, 1.0])
def test_quotas_reach_the_share_and_cut_no_more_than_needed(share: float) -> None:
    sizes = {"a": 1000, "b": 400, "c": 390, "d": 0}
    kept = {
        name: size * quota
        for (name, size), quota in zip(
            sizes.items(), domain_quotas(sizes, share).values(), strict=True
        )
    }
    assert max(kept.values()) <= share * sum(kept.values()) * (1 + 1e-9)
    assert kept["a"] == 1000 or max(kept.values()) == pytest.approx(share * sum(kept.values()))
    assert kept["b"] >= kept["c"] - 1e-9


def test_a_source_may_be_limited_to_its_first_documents(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path, f"{name}.jsonl", essays(100, ord(name)))
    manifest = build(tmp_path, {"path": "data/sources", "documents": 130})
    assert sum(manifest["documents"].values()) == manifest["sources"][0]["documents_read"] == 130


@pytest.mark.parametrize(
    ("texts", "parts"),
    [
        ([], ["a.jsonl", "is empty", "corpus.sources.0"]),
        (
            ["one single document of text"],
            ["corpus.sources", "1 documents", "too few", "would be empty"],
        ),
        (["x"] * 50, ["corpus.sources", "50 too short", "too few", "corpus.minimum_characters"]),
        (["one single document of text"] * 50, ["corpus.sources", "49 exact duplicates", "copies"]),
    ],
)
def test_too_little_text_is_named(tmp_path: Path, texts: list[str], parts: list[str]) -> None:
    text = failure(lambda: build(tmp_path, {"path": write(tmp_path, "a.jsonl", texts)}))
    assert all(part in text for part in parts), text


def test_built_in_documents_need_a_number(tmp_path: Path) -> None:
    assert "corpus.sources.0.documents" in failure(lambda: build(tmp_path, {"path": "built-in"}))


@pytest.mark.parametrize("fault", ["bad line", "no file", "interrupted"])
def test_a_failed_run_leaves_the_old_corpus_and_nothing_else(tmp_path: Path, fault: str) -> None:
    build(tmp_path, {"documents": 50})
    before = contents(tmp_path)
    path = write(tmp_path, "a.jsonl", essays(300, 7))
    with (tmp_path / path).open("a") as file:
        file.write("{broken\n" if fault == "bad line" else "")

    class Interrupted(ThreadPoolExecutor):
        def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
            raise KeyboardInterrupt

    if fault == "interrupted":
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path, {"path": path}, executor=Interrupted(1))
    else:
        text = failure(
            lambda: build(tmp_path, {"path": path if fault == "bad line" else "none.txt"})
        )
        assert ("a.jsonl, line 301" if fault == "bad line" else "none.txt") in text
    assert contents(tmp_path) == before
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) in (
        [".raw.lock", "raw", "sources"],
        [".raw.lock", "raw"],
    )


def test_what_a_killed_run_left_is_swept_away(tmp_path: Path) -> None:
    (tmp_path / "data" / ".raw.tmp" / "work").mkdir(parents=True)
    (tmp_path / "data" / ".raw.tmp" / "train.jsonl").write_text("half")
    build(tmp_path, {"documents": 50})
    assert not (tmp_path / "data" / ".raw.tmp").exists()


def test_a_source_outside_data_sources_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "../../loose.jsonl", essays(100, 8))
    build(tmp_path, {"path": "loose.jsonl"})
    assert "loose.jsonl: dvc does not watch it" in capsys.readouterr().err
    build(tmp_path, {"path": write(tmp_path, "kept.jsonl", essays(100, 8))})
    assert capsys.readouterr().err == ""


def test_a_second_run_is_told_who_holds_the_output(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from ssl_lib.files import output_lock\n"
        "with output_lock(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    lock = tmp_path / "data" / ".raw.lock"
    with subprocess.Popen(
        [sys.executable, "-c", code, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert f"process {holder.pid} " in failure(lambda: build(tmp_path, {"documents": 50}))
        holder.kill()
    build(tmp_path, {"documents": 50})


def test_a_lock_is_free_again_after_its_block(tmp_path: Path) -> None:
    with (
        output_lock(tmp_path / "x.lock"),
        pytest.raises(LockedError),
        output_lock(tmp_path / "x.lock"),
    ):
        pass
    with output_lock(tmp_path / "x.lock"):
        pass


def test_memory_does_not_grow_with_the_corpus(tmp_path: Path) -> None:
    peaks = []
    for megabytes in (3, 10):
        root = tmp_path / str(megabytes)
        path = write(root, "a.jsonl", essays(megabytes * 2_500, megabytes, 70))
        code = (
            "import sys; from pathlib import Path; from ssl_lib.config import parse_settings\n"
            "from ssl_lib.corpus import build_corpus\n"
            "settings = parse_settings({'corpus': {'sources': [{'path': sys.argv[2]}]}})\n"
            "build_corpus(settings, Path(sys.argv[1]))\n"
            "lines = open('/proc/self/status')\n"
            "print(next(line.split()[1] for line in lines if line.startswith('VmHWM')))"
        )
        run = subprocess.run(
            [sys.executable, "-c", code, root, path], capture_output=True, text=True, check=True
        )
        peaks.append(int(run.stdout))
    assert peaks[1] < 1.1 * peaks[0]


def test_the_generators_version_covers_all_code_that_it_runs() -> None:
    code = (
        "import sys; from ssl_lib.synthetic.generator import generate; list(generate(0, 20))\n"
        "print(*(name for name in sys.modules if name.startswith('ssl_lib.')))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    packages = {name.split(".")[1] for name in run.stdout.split()}
    assert packages - {"errors"} == set(GENERATOR_PACKAGES)


def test_errors_are_user_errors() -> None:
    assert issubclass(CorpusError, UserError)
    assert issubclass(LockedError, UserError)
