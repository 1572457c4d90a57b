"""Published vocabularies: genuine files, deadlines, and what a user is told who cannot have one."""

from __future__ import annotations

import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiktoken.load
from tiktoken_ext import openai_public

from ssl_lib.tokens import fetch
from ssl_lib.tokens.encodings import encoding
from ssl_lib.tokens.fetch import EncodingError, fetch_encoding


@pytest.fixture
def closed_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache folder, and addresses that nobody answers."""
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    for variable in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://192.0.2.1:9")
    return tmp_path


@pytest.mark.parametrize("name", ["o200k_base", "p50k_base"])
def test_a_vocabulary_that_cannot_be_had_says_what_to_put_where(
    name: str, closed_network: Path
) -> None:
    file = fetch.VOCABULARY_FILES[name][0]
    with pytest.raises(EncodingError) as raised:
        encoding(name)
    assert file.sha256 in str(raised.value)
    assert str(closed_network / file.cache_name) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_poisoned_cache_is_not_used(closed_network: Path) -> None:
    file = fetch.VOCABULARY_FILES["r50k_base"][0]
    (closed_network / file.cache_name).write_bytes(b"IQ== 0\n")
    with pytest.raises(EncodingError, match=file.sha256):
        encoding("r50k_base")


def test_an_empty_cache_variable_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")
    with pytest.raises(EncodingError, match="TIKTOKEN_CACHE_DIR is empty"):
        encoding("o200k_base")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder that a real HTTP server on the loopback interface serves, and its address."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    folder = tmp_path / "served"
    folder.mkdir()
    running = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))
    )
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


def test_fetch_keeps_only_what_has_the_expected_digest(
    server: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder, address = server
    (folder / "good").write_bytes(b"IQ== 0\n")
    good = fetch.VocabularyFile(f"{address}/good", hashlib.sha256(b"IQ== 0\n").hexdigest())
    bad = fetch.VocabularyFile(f"{address}/good", "0" * 64)
    monkeypatch.setitem(fetch.VOCABULARY_FILES, "good", (good,))
    monkeypatch.setitem(fetch.VOCABULARY_FILES, "bad", (bad,))
    assert (fetch_encoding("good", tmp_path / "to") / good.cache_name).read_bytes() == b"IQ== 0\n"
    (folder / "good").unlink()
    fetch_encoding("good", tmp_path / "to", seconds=1)
    (folder / "good").write_bytes(b"IQ== 0\n")
    with pytest.raises(EncodingError, match="came back damaged"):
        fetch_encoding("bad", tmp_path / "other")
    assert not (tmp_path / "other").exists()
    with pytest.raises(EncodingError, match="is not published"):
        fetch_encoding("none", tmp_path)


def test_a_file_that_only_trickles_in_is_given_up_after_one_attempt(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The last byte is sent when the answer is there: whoever waits for it gets a genuine file."""
    content = b"IQ== 0\n" * 100
    given_up = threading.Event()
    asked = []

    class Trickle(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            for place in range(len(content) - 1):
                self.wfile.write(content[place : place + 1])
                given_up.wait(0.1)  # well below what a silent connection is given
            given_up.wait(60)  # so that a fetch without a deadline fails the test, and ends
            self.wfile.write(content[-1:])

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Trickle) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{running.server_port}/slow"
        file = fetch.VocabularyFile(address, hashlib.sha256(content).hexdigest())
        monkeypatch.setitem(fetch.VOCABULARY_FILES, "slow", (file,))
        with pytest.raises(EncodingError, match="is neither cached nor reachable"):
            fetch_encoding("slow", tmp_path / "to", seconds=0.5)
        assert not (tmp_path / "to").exists()
        assert asked == ["/slow"]
        given_up.set()
        running.shutdown()


def test_the_table_of_files_is_tiktokens_own(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str | None]] = []

    class Asked(Exception):
        pass

    def record(path: str, expected_hash: str | None = None) -> bytes:
        asked.append((path, expected_hash))
        if path.endswith("vocab.bpe"):
            return b"#version\n"
        raise Asked

    monkeypatch.setattr(tiktoken.load, "read_file_cached", record)
    for name, files in fetch.VOCABULARY_FILES.items():
        asked.clear()
        with pytest.raises(Asked):
            openai_public.ENCODING_CONSTRUCTORS[name]()
        assert asked == [(file.url, file.sha256) for file in files]
