"""Without a terminal a stage says now and then how far it is."""

from __future__ import annotations

import pytest

from ssl_lib.errors import UserError
from ssl_lib.progress import INTERVAL, progress_bar


def test_a_line_says_how_far_a_stage_is_and_what_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(INTERVAL, "0")
    with progress_bar("train", "steps", 5000, done=1000) as bar:
        bar.advance(250, text="mlm 2.100  900 tokens/s")
        bar.advance(3750)
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("train: 1,250/5,000 steps, ")
    assert first.endswith(" left, mlm 2.100  900 tokens/s")
    assert last == "train: 5,000/5,000 steps, 0:00 left, mlm 2.100  900 tokens/s"


def test_what_an_earlier_process_did_does_not_count_for_the_time_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(INTERVAL, "inf")
    with progress_bar("train", "steps", 300, done=100) as bar:
        bar.advance(50)
        # 50 steps in 10 s: the other 150 take 30 s
        assert bar.line(10.0) == "train: 150/300 steps, 0:30 left"


def test_a_quick_stage_prints_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(INTERVAL, raising=False)
    with progress_bar("corpus", "documents") as bar:
        bar.advance(10)
    assert capsys.readouterr().err == ""


def test_an_interval_that_is_no_number_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(INTERVAL, "often")
    told = f"{INTERVAL} must be a number of seconds, got 'often'"
    with pytest.raises(UserError, match=told), progress_bar("corpus"):
        pass
