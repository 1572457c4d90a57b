"""The report page: every value comes from the files, every part says when it has none."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_inputs import NASTY, summary, write_inputs

from ssl_lib.config import Settings
from ssl_lib.evaluation.tasks import TASKS, Task
from ssl_lib.report import guide, write_report
from ssl_lib.report.inputs import Inputs, Result, at, read_inputs
from ssl_lib.report.markup import interval_text, score
from ssl_lib.report.number_line import (
    candidates,
    nearest_numbers,
    number_line,
    write_number_line,
    written_numbers,
)
from ssl_lib.report.page import render_page, sections
from ssl_lib.report.pictures import write_pictures
from ssl_lib.report.svg import ticks
from ssl_lib.report.tasks import marked

VOID = {"meta", "br", "line", "circle", "path", "rect", "polyline"}
PICTURES = {"losses", "downstream", "reasoning", "calibration", "confusion", "number_line"}
CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)


class Reader(HTMLParser):
    """Elements must close in their order; collects ids, addresses, and the words of the page."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.unnamed: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids += [given["id"]] if given.get("id") else []
        loading = ("src", "href", "xlink:href", "data", "action")
        self.addresses += [value or "" for key, value in attrs if key in loading]
        if tag in ("svg", "img") and not (given.get("aria-label") or given.get("alt")):
            self.unnamed.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID, tag

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += [data] if self.open and self.open[-1] not in ("style", "script") else []

    @property
    def text(self) -> str:
        return " ".join(self.words)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("full")
    write_inputs(root)
    write_report(Settings(), root)
    return root


@pytest.fixture(scope="module")
def page(full: Path) -> str:
    return (full / "report" / "index.html").read_text(encoding="utf-8")


def test_the_page_loads_nothing(page: str) -> None:
    reader = Reader(page)
    assert all(address.startswith("#") for address in reader.addresses)
    assert not re.search(r"url\(|@import|<script|<link|https?://", page)


def test_elements_balance_and_ids_are_unique_and_every_link_has_its_target(page: str) -> None:
    reader = Reader(page)
    assert len(reader.ids) == len(set(reader.ids))
    assert {address[1:] for address in reader.addresses} <= set(reader.ids)
    assert not reader.unnamed


def test_every_section_is_there_and_has_content(page: str, full: Path) -> None:
    parts = sections(Settings(), read_inputs(full), "now")
    for part in parts:
        assert f'id="{part.id}"' in page
        assert 'class="absent"' not in part.content, part.id
    assert len(parts) == 22


def test_sentences_with_multiplied_amounts_are_shown_where_they_were_measured(full: Path) -> None:
    inputs = read_inputs(full)
    shown = render_page(Settings(), inputs, "now")
    assert "× 10" in shown
    assert "99.7% of these sentences (randomly initialised twin 1.6%)" in shown
    detail = {k: v for k, v in inputs.detail("semantic_similarity").items() if k != "multiplied"}
    without = replace(inputs, details=inputs.details | {"semantic_similarity": detail})
    assert "× 10" not in render_page(Settings(), without, "now")


def test_cosines_of_gradients_are_shown_where_they_were_measured(full: Path) -> None:
    inputs = read_inputs(full)
    assert "−0.125" in render_page(Settings(), inputs, "now")
    without = replace(
        inputs, train={k: v for k, v in inputs.train.items() if k != "gradient_cosines"}
    )
    assert "Cosine of the objectives" not in render_page(Settings(), without, "now")


@pytest.mark.parametrize(
    "kept", [(), ("metrics/train.json",), ("metrics/evaluation.json",), ("report/evaluation.json",)]
)
def test_what_is_missing_costs_its_part_alone(tmp_path: Path, kept: tuple[str, ...]) -> None:
    write_inputs(tmp_path)
    for path in [path for path in tmp_path.rglob("*") if path.is_file()]:
        if str(path.relative_to(tmp_path)) not in kept:
            path.unlink()
    text = write_report(Settings(), tmp_path).read_text(encoding="utf-8")
    reader = Reader(text)
    assert 'class="absent"' in text
    for part in sections(Settings(), Inputs(), ""):
        assert part.id in reader.ids
    for name in {"metrics/train.json", "metrics/evaluation.json", "data/raw/manifest.json"} - set(
        kept
    ):
        assert name in reader.text


def test_any_key_may_be_missing_or_null(full: Path) -> None:
    inputs = read_inputs(full)
    for field in ("evaluation", "details", "train", "manifest", "number_line", "ablation"):
        whole = getattr(inputs, field)
        for number, key in enumerate(whole):
            rest = {k: v for k, v in whole.items() if k != key}
            render_page(
                Settings(),
                replace(inputs, **{field: rest if number % 2 else rest | {key: None}}),
                "now",
            )
    for key in inputs.task("token_classification").tree:
        rows = {task: row | {key: None} for task, row in inputs.evaluation["downstream"].items()}
        render_page(
            Settings(), replace(inputs, evaluation=inputs.evaluation | {"downstream": rows}), "now"
        )


def test_broken_files_are_named_and_cost_their_part_alone(tmp_path: Path) -> None:
    write_inputs(tmp_path)
    (tmp_path / "metrics" / "train.json").write_text("{", encoding="utf-8")
    (tmp_path / "tuning" / "best.yaml").write_text("a: [", encoding="utf-8")
    (tmp_path / "plots" / "losses.csv").write_text(
        "step,objective,split,loss\nx,mlm,train,1\n", encoding="utf-8"
    )
    text = Reader(write_report(Settings(), tmp_path).read_text(encoding="utf-8")).text
    assert "metrics/train.json (unreadable" in text
    assert "tuning/best.yaml (unreadable" in text
    assert "there are no loss curves" in text


def test_values_of_the_page_are_those_of_the_files(page: str, full: Path) -> None:
    text = Reader(page).text
    tree = json.loads((full / "metrics" / "evaluation.json").read_text(encoding="utf-8"))
    for row in tree["downstream"].values():
        for value, interval in ((row["after"], row["ci95"]), (row["before"], row["before_ci95"])):
            assert score(value, row["metric"]) in text
            assert interval_text(interval, row["metric"]) in text
        assert f"n = {row['n']:,}" in text
        for value in row["baselines"].values():
            assert score(value, row["metric"]) in text
        for interval in (*row["baselines_ci95"].values(), *row["over_baselines_ci95"].values()):
            assert interval_text(interval, row["metric"]) in text
    for row in tree["external"].values():
        assert score(row["after"], row["metric"]) in text
        assert interval_text(row["ci95"], row["metric"]) in text
        assert row["path"] in text
    for row in tree["losses"].values():
        assert f"{row['before']:.3f}" in text
        assert f"{row['after']:.3f}".replace("-", "−") in text
    for row in tree["probes"].values():
        assert score(row["after"], row["metric"]) in text
    assert "8,192,000" in text
    assert "00ff00ff.dir" in text


def test_every_objective_has_its_skill_and_the_guides_examples_stand_first(
    page: str, full: Path
) -> None:
    text = Reader(page).text
    tree = json.loads((full / "metrics" / "evaluation.json").read_text(encoding="utf-8"))
    shown = sections(Settings(), read_inputs(full), "now")
    skills = next(part.content for part in shown if part.id == "skills")
    for row in tree["skills"].values():
        for one in (row, *row["parts"].values()):
            assert score(one["after"], one["metric"]) in skills
            assert all(score(value, one["metric"]) in skills for value in one["baselines"].values())
    # a plain method is better: the row says so
    assert "worse than TF-IDF, characters" in skills
    assert "Examples that the guide promises: 1 of 2 right" in text
    assert text.index("1 of 2 right") < text.index("Five objectives, five skills")


def test_the_headline_gives_intervals_and_counts_what_the_guide_asks(page: str) -> None:
    text = Reader(page).text
    assert "numerical reasoning from 25.1% [23.1–27.1] to 89.1% [87.1–91.1]" in text
    assert (
        "2 of 4 tasks and 3 of 4 losses reach the guide's results; 4 of 4 tasks lie clearly above"
        in text
    )


def test_rows_below_the_guide_are_marked(full: Path) -> None:
    results = read_inputs(full).downstream()
    kinds = {task: guide.verdict_of_task(task, one).kind for task, one in results.items()}
    assert kinds == {
        "token_classification": "met",
        "numerical_reasoning": "near",
        "semantic_similarity": "missed",
        "next_token_prediction": "missed",
    }
    assert guide.verdict_of_task("numerical_reasoning", Result.of({"after": None})).kind == "missed"
    apart = {"ci95": [0.42, 0.6], "before_ci95": [0.3, 0.41]}
    touching = {"ci95": [0.4, 0.6], "before_ci95": [0.3, 0.41]}
    assert guide.verdict_of_twin(Result.of(apart)).words == "above"
    assert guide.verdict_of_twin(Result.of(touching)).words == "not above"
    better_below = {"ci95": [1.1, 1.2], "before_ci95": [3.8, 4.0], "higher_is_better": False}
    assert guide.verdict_of_twin(Result.of(better_below)).words == "below"
    assert guide.verdict_of_loss("mlm", {"reduction": 0.58}).kind == "met"
    assert guide.verdict_of_loss("mlm", {"reduction": 0.5799}).kind == "missed"


def with_fifth_task(inputs: Inputs, monkeypatch: pytest.MonkeyPatch, known: bool) -> Inputs:
    """Inputs in which a fifth task was measured, which the registry knows or not."""
    result = summary("f1", 0.31, 0.72, 77, bag_of_tokens=0.5)
    if known:
        task = Task("tense", "Tense of verbs", "f1", "%")
        monkeypatch.setitem(TASKS, "tense", task)
    tasks = inputs.evaluation["downstream"] | {"tense": result}
    return replace(inputs, evaluation=inputs.evaluation | {"downstream": tasks})


def test_a_fifth_task_of_the_registry_is_on_the_page_and_the_picture(
    full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = with_fifth_task(read_inputs(full), monkeypatch, known=True)
    text = Reader(render_page(Settings(), inputs, "now")).text
    assert "tense of verbs from 31.0% [29.0–33.0] to 72.0% [70.0–74.0]" in text
    assert "2 of 4 tasks and 3 of 4 losses reach the guide's results; 5 of 5 tasks lie" in text
    assert "Tense of verbs: methods on the same items" in text
    assert "+22.0 pt" in text
    assert write_pictures(inputs, tmp_path)


def test_a_task_outside_the_downstream_table_is_among_before_and_after(
    full: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = Task(
        "tense", "Tense of verbs", "nats", "nats", higher_is_better=False, section="numbers"
    )
    monkeypatch.setitem(TASKS, "tense", task)
    result = summary("nats", 2.5, 1.25, 77) | {"higher_is_better": False}
    inputs = read_inputs(full)
    shown = replace(inputs, evaluation=inputs.evaluation | {"tense": result})
    text = Reader(render_page(Settings(), shown, "now")).text
    assert "Tense of verbs: nats, n = 77" in text
    assert "Tense of verbs: nats" not in Reader(render_page(Settings(), inputs, "now")).text


def test_a_task_that_the_registry_does_not_know_is_shown_by_its_key(
    full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = with_fifth_task(read_inputs(full), monkeypatch, known=False)
    text = Reader(render_page(Settings(), inputs, "now")).text
    assert "tense from 0.310 [0.290–0.330] to 0.720 [0.700–0.740]" in text
    assert write_pictures(inputs, tmp_path)


def test_texts_of_examples_are_escaped(page: str) -> None:
    assert NASTY not in page
    assert html.escape(NASTY) in page
    assert "alert(1)" in Reader(page).text


def test_marked_joins_spans_that_touch_and_keeps_the_text() -> None:
    assert marked("a<b>cd", [(3, 4), (2, 3)]) == "a&lt;<mark>b&gt;</mark>cd"
    assert marked("plain", []) == "plain"


def test_pictures_are_written_and_stale_ones_removed(full: Path, tmp_path: Path) -> None:
    drawn = {path.stem: path.read_bytes() for path in (full / "report").glob("*.png")}
    assert set(drawn) == PICTURES
    assert all(content.startswith(b"\x89PNG") for content in drawn.values())
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "losses.png").write_bytes(b"old")
    write_report(Settings(), tmp_path)
    assert not list((tmp_path / "report").glob("*.png"))


def test_a_page_is_written_whole_or_not_at_all(full: Path) -> None:
    assert not [path.name for path in (full / "report").iterdir() if path.name.startswith(".")]


def test_ticks_are_round_and_inside() -> None:
    assert ticks(0.0, 1.0) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    for low, high in ((0.0, 1e-9), (-3.3, 7.1), (1e5, 1e5 + 1), (2.0, 2.0)):
        found = ticks(low, high)
        assert all(low - 1e-9 * abs(low) <= value <= high + 1e-9 * abs(high) for value in found)
        assert len(found) <= 6


class Ordered:
    """States that hold the logarithm of a number and some noise: a trunk that knows magnitudes."""

    def token_states(self, texts: list[str], every_layer: bool = False) -> list[Any]:
        noise = np.random.default_rng(0).normal(size=(len(texts), 8)) * 0.01
        rows = [np.r_[np.log10(float(text)), np.zeros(7)] for text in texts]
        return [
            type("States", (), {"states": np.stack([row, row]) + wiggle})
            for row, wiggle in zip(rows, noise, strict=True)
        ]

    def embed(self, texts: list[str]) -> np.ndarray:
        rows = np.array(
            [[len(text), sum(map(ord, text)) % 7, 1.0] for text in texts], dtype=np.float32
        )
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_the_number_line_finds_the_order_that_is_there(tmp_path: Path) -> None:
    texts = written_numbers()
    assert texts[0] == "0.001"
    assert texts[-1] == "1000000000"
    assert [float(text) for text in texts] == sorted(float(text) for text in texts)
    found = number_line(Ordered())
    assert found["rank_correlation"] > 0.999
    assert found["explained"][0] > 0.99
    assert len(found["points"]) == len(found["values"]) == len(texts)
    written = write_number_line(Ordered(), Ordered(), tmp_path)
    assert json.loads((tmp_path / "number_line.json").read_text(encoding="utf-8")) == written
    assert at(written, "untrained", "values") == found["values"]


def test_neighbours_are_the_nearest_and_never_the_number_itself() -> None:
    found = nearest_numbers(Ordered(), queries=["12%"], count=3)
    texts = list(dict.fromkeys(["12%", *candidates()]))
    vectors = Ordered().embed(texts)
    cosines = vectors[1:] @ vectors[0]
    (row,) = found["rows"]
    assert row["number"] not in [text for text, _ in row["nearest"]]
    assert [cosine for _, cosine in row["nearest"]] == pytest.approx(
        np.sort(cosines)[::-1][:3], abs=1e-4
    )


def browse(page: str, folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """A page in headless Chromium, which then prints the document as it has become."""
    target = folder / "page.html"
    target.write_text(page, encoding="utf-8")
    quiet = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
        "--disable-background-networking --disable-component-update --dump-dom"
    )
    # So that the browser itself reaches nobody.
    alone = ["--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={folder / 'profile'}"]
    command = [str(CHROMIUM), *quiet.split(), *flags, *alone, target.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def console_and_requests(page: str, folder: Path) -> tuple[list[str], list[str]]:
    """What a page says on the console, and each address that it, not the browser, asks for."""
    folder.mkdir()
    log = folder / "net.json"
    done = browse(page, folder, "--enable-logging=stderr", f"--log-net-log={log}")
    events = [
        event.get("params", {}) for event in json.loads(log.read_text(encoding="utf-8"))["events"]
    ]
    asked = {
        event["url"]
        for event in events
        if event.get("initiator", "not an origin") != "not an origin"
    }
    return [line for line in done.stderr.splitlines() if "CONSOLE" in line], sorted(asked)


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_a_browser_asks_for_nothing_and_has_nothing_to_say(page: str, tmp_path: Path) -> None:
    noisy = (
        "<!DOCTYPE html><img src='http://127.0.0.1:9/a.png'><script>console.error('heard')</script>"
    )
    said, asked = console_and_requests(noisy, tmp_path / "noisy")
    assert any("heard" in line for line in said)
    assert "http://127.0.0.1:9/a.png" in asked
    assert console_and_requests(page, tmp_path / "page") == ([], [])


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
@pytest.mark.parametrize("width", [375, 320])
def test_nothing_overflows_on_a_phone(page: str, tmp_path: Path, width: int) -> None:
    """The page in a frame as wide as a phone, whose owner's script measures every element."""
    script = """
    const inside = document.querySelector('iframe').contentDocument, wide = [];
    for (const one of inside.querySelectorAll('body *')) {
      if (one.closest('.scroll') && !one.matches('.scroll')) continue;
      const box = one.getBoundingClientRect();
      const outside = box.right > WIDTH + 0.5 || box.left < -0.5;
      if (box.width && outside) wide.push(one.tagName + '.' + one.className);
    }
    const total = inside.documentElement.scrollWidth;
    const count = inside.querySelectorAll('body *').length;
    document.body.textContent = 'RESULT ' + JSON.stringify([total, count, wide]);
    """.replace("WIDTH", str(width))
    opened = page.replace("<details>", "<details open>")
    style = f"width:{width}px;height:900px;border:0"
    frame = f'<iframe srcdoc="{html.escape(opened)}" style="{style}"></iframe>'
    script = f"<script>onload = () => {{{script}}}</script>"
    done = browse(f"<!DOCTYPE html><body>{frame}{script}", tmp_path)
    found = re.search(r"RESULT (\[.*\])", html.unescape(done.stdout))
    assert found, done.stderr[-2000:]
    total, count, wide = json.loads(found[1])
    assert count > 500
    assert not wide
    assert total <= width
