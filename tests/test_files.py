"""Laws of files that are whole or absent, of digests and of the progress bar."""

import hashlib
import io
import os
from pathlib import Path

import pytest

from ssl_lib.files import replace_folder, sha256_of, write_atomically
from ssl_lib.progress import progress_bar


def test_a_write_that_fails_leaves_the_old_content_and_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "new folder" / "file.json"
    write_atomically(path, "größer")
    assert path.read_bytes() == "größer".encode()

    def full_disk(descriptor: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == "größer".encode()
    assert os.listdir(path.parent) == ["file.json"]


def test_sha256_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    (tmp_path / "file").write_bytes(content)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_replace_folder_leaves_the_new_content_alone(tmp_path: Path) -> None:
    for name in ("scratch", "target"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    replace_folder(tmp_path / "scratch", tmp_path / "target")
    assert os.listdir(tmp_path) == ["target"]
    assert os.listdir(tmp_path / "target") == ["scratch"]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("total", "shown"), [(3, "3/3 models"), (None, "3 models")])
def test_progress_shows_on_a_terminal_what_is_done_and_said(
    monkeypatch: pytest.MonkeyPatch, total: int | None, shown: str
) -> None:
    terminal = _Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with progress_bar("ablate", "models", total, done=1) as bar:
        bar.advance(2, text="mlm, seed 0")
    assert shown in terminal.getvalue()
    assert "ablate: mlm, seed 0" in terminal.getvalue()


def test_progress_is_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("train", "steps", 10) as bar:
        bar.advance(text="loss 1.0")
    assert capsys.readouterr() == ("", "")
