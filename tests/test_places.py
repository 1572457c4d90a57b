"""Documents out of databases and object stores, each a real server where one can run here."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import fsspec
import pytest
import sqlalchemy
from moto.server import ThreadedMotoServer
from test_sources import TEXTS, message, read, write_parquet

from ssl_lib.config import Source
from ssl_lib.corpus.problems import SourceReport
from ssl_lib.corpus.sources import outside_sources

POSTGRES = "postgresql://postgres@127.0.0.1:5432/test"


@pytest.fixture
def table() -> Iterator[str]:
    """A table of a PostgreSQL server on this machine, with the columns id, body and meta (JSON)."""
    try:
        socket.create_connection(("127.0.0.1", 5432), 1).close()
        engine = sqlalchemy.create_engine(POSTGRES.replace("://", "+psycopg://"))
        connection = engine.connect()
    except (OSError, sqlalchemy.exc.OperationalError):
        pytest.skip("no PostgreSQL answers on 127.0.0.1:5432 with a database called test")
    name = f"documents_{uuid4().hex[:8]}"
    with connection:
        connection.execute(
            sqlalchemy.text(f"CREATE TABLE {name} (id int, body text, meta jsonb, price numeric)")
        )
        insert = sqlalchemy.text(
            f'INSERT INTO {name} VALUES (:id, :body, \'{{"title": "T"}}\', 1.50)'
        )
        rows = [{"id": n, "body": text} for n, text in enumerate([*TEXTS, None])]
        connection.execute(insert, rows)
        connection.commit()
        yield name
        connection.execute(sqlalchemy.text("SET lock_timeout = 5000"))
        connection.execute(sqlalchemy.text(f"DROP TABLE {name}"))
        connection.commit()
    engine.dispose()


def test_rows_of_a_postgresql_query_are_documents(tmp_path: Path, table: str) -> None:
    query = f"SELECT body, meta, price FROM {table} ORDER BY id"
    report = SourceReport()
    source = Source(path=POSTGRES, query=query, field="body")
    assert read(source, tmp_path, report=report) == [*TEXTS, ""]
    assert report.missing == {"body": 1}
    several = Source(path=POSTGRES, query=query, field=["meta.title", "price"], documents=1)
    assert read(several, tmp_path) == ["T\n1.50"]
    assert "'body', 'meta', 'price'" in message(Source(path=POSTGRES, query=query), tmp_path)
    wrong = message(Source(path=POSTGRES, query="SELECT nothing FROM nowhere"), tmp_path)
    assert "nowhere" in wrong
    assert "corpus.sources.0.query" in wrong
    # rows come through a cursor, which takes nothing that changes them
    deleting = Source(path=POSTGRES, query=f"DELETE FROM {table} RETURNING body", field="body")
    assert "DELETE" in message(deleting, tmp_path)
    assert len(read(source, tmp_path)) == len(TEXTS) + 1


def test_a_database_that_does_not_answer_is_named(tmp_path: Path) -> None:
    closed = "postgresql://me@127.0.0.1:9/none"
    assert closed in message(Source(path=closed, query="SELECT 1 AS text"), tmp_path)
    assert "corpus.sources.0.query" in message(Source(path=closed), tmp_path)


def test_passwords_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for query in ("SELECT 1", ""):
        written = message(Source(path="postgresql://me:hunter2@host/db", query=query), tmp_path)
        assert "holds a password" in written
        assert "hunter2" not in written
    path = "postgresql://me:$CORPUS_SECRET@127.0.0.1:9/none"
    source = Source(path=path, query="SELECT 1 AS text")
    assert "CORPUS_SECRET is not set" in message(source, tmp_path)
    monkeypatch.setenv("CORPUS_SECRET", "hunter2")
    assert "hunter2" not in message(source, tmp_path)


def test_rows_of_a_sqlite_query_are_documents(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "notes.db") as connection:
        connection.execute("CREATE TABLE notes (text TEXT)")
        connection.executemany("INSERT INTO notes VALUES (?)", [(text,) for text in TEXTS])
    connection.close()
    before = (tmp_path / "notes.db").read_bytes()
    source = Source(path="sqlite:///notes.db", query="SELECT text FROM notes")
    assert read(source, tmp_path) == TEXTS
    assert source.name == "notes"
    assert "write a SELECT" in message(source.model_copy(update={"query": "PRAGMA x=1"}), tmp_path)
    deleting = source.model_copy(update={"query": "DELETE FROM notes"})
    assert "readonly" in message(deleting, tmp_path)
    assert (tmp_path / "notes.db").read_bytes() == before
    missing = Source(path="sqlite:///none.db", query="SELECT 1 AS text")
    assert "none.db" in message(missing, tmp_path)
    assert not (tmp_path / "none.db").exists()
    assert outside_sources(source, tmp_path)
    assert not outside_sources(Source(path="sqlite:///data/sources/a.db", query="S"), tmp_path)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[fsspec.AbstractFileSystem]:
    """A bucket called `texts` on an S3 server of this machine."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    files = fsspec.filesystem("s3", skip_instance_cache=True)
    files.mkdir("texts")
    yield files
    server.stop()
    type(files).clear_instance_cache()


def assert_read_alone_by_glob_and_by_folder(
    files: fsspec.AbstractFileSystem, tmp_path: Path, scheme: str, other: str
) -> None:
    """Of a bucket `texts`, under either name of its scheme; what no reader takes is left out."""
    write_parquet(tmp_path / "b.parquet", [{"text": text} for text in TEXTS])
    files.pipe("texts/notes/a.txt", b"one 1")
    files.pipe("texts/notes/b.parquet", (tmp_path / "b.parquet").read_bytes())
    files.pipe("texts/notes/picture.png", b"\0")
    assert read(Source(path=f"{scheme}texts/notes/a.txt"), tmp_path) == ["one 1"]
    assert read(Source(path=f"{other}texts/notes/*.parquet"), tmp_path) == TEXTS
    assert read(Source(path=f"{scheme}texts/notes"), tmp_path) == ["one 1", *TEXTS]
    missing = f"{scheme}texts/none.txt"
    assert missing in message(Source(path=missing), tmp_path)


def test_objects_of_s3_are_read_alone_by_glob_and_by_folder(
    tmp_path: Path, bucket: fsspec.AbstractFileSystem
) -> None:
    assert_read_alone_by_glob_and_by_folder(bucket, tmp_path, "s3://", "s3://")


@pytest.fixture
def cloud_bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[fsspec.AbstractFileSystem]:
    """A bucket called `texts` on a server of this machine that speaks Google Cloud Storage."""
    pytest.importorskip("gcsfs", reason="gcsfs is not installed: pip install 'ssl-lib[gcs]'")
    emulator = pytest.importorskip(
        "gcp_storage_emulator.server", reason="gcp-storage-emulator is not installed"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = emulator.create_server("127.0.0.1", port, in_memory=True, default_bucket="texts")
    server.start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    files = fsspec.filesystem("gs", skip_instance_cache=True)
    yield files
    server.stop()
    type(files).clear_instance_cache()


def test_objects_of_google_cloud_storage_are_read_alone_by_glob_and_by_folder(
    tmp_path: Path, cloud_bucket: fsspec.AbstractFileSystem
) -> None:
    assert_read_alone_by_glob_and_by_folder(cloud_bucket, tmp_path, "gs://", "gcs://")


@pytest.mark.parametrize(
    ("path", "extra"), [("gs://bucket/a.txt", "gcs"), ("abfs://box@account/a.txt", "azure")]
)
def test_a_missing_driver_names_its_extra(tmp_path: Path, path: str, extra: str) -> None:
    try:
        fsspec.get_filesystem_class(path.partition("://")[0])
    except ImportError:
        assert f"pip install 'ssl-lib[{extra}]'" in message(Source(path=path), tmp_path)
    else:
        pytest.skip(f"the driver of {extra} is installed here")


HUB_REPOSITORY = "datasets/someone/notes"
HUB_COMMIT = "0" * 40


class Hub(BaseHTTPRequestHandler):
    """What the hub answers about one dataset, `HUB_REPOSITORY`, whose files are `files`."""

    files: dict[str, bytes]

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""

    def entries(self) -> list[dict[str, object]]:
        """All files and folders, as the hub lists them."""
        folders = {name.rpartition("/")[0] for name in self.files} - {""}
        listed: list[dict[str, object]] = [
            {"type": "directory", "path": name, "oid": HUB_COMMIT} for name in sorted(folders)
        ]
        for name, data in self.files.items():
            listed.append({"type": "file", "path": name, "size": len(data), "oid": HUB_COMMIT})
        return listed

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        """One whole answer."""
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self) -> None:
        """The repository, a listing of one folder, or the bytes of a file."""
        path = urlsplit(self.path).path
        api, tree = f"/api/{HUB_REPOSITORY}", f"/api/{HUB_REPOSITORY}/tree/main"
        content = f"/{HUB_REPOSITORY}/resolve/main/"
        if path in (api, f"{api}/revision/main"):
            known = {"id": HUB_REPOSITORY.partition("/")[2], "sha": HUB_COMMIT, "siblings": []}
            self.answer(200, json.dumps(known).encode(), {"Content-Type": "application/json"})
        elif path.startswith(tree):
            folder = path[len(tree) :].strip("/")
            within = [e for e in self.entries() if str(e["path"]).rpartition("/")[0] == folder]
            if not within:
                self.answer(404, b"", {"X-Error-Code": "EntryNotFound"})
                return
            self.answer(200, json.dumps(within).encode(), {"Content-Type": "application/json"})
        elif path.startswith(content) and path[len(content) :] in self.files:
            data = self.files[path[len(content) :]]
            headers = {"X-Repo-Commit": HUB_COMMIT, "ETag": f'"{len(data)}"'}
            asked = self.headers.get("Range")
            if not asked:
                self.answer(200, data, headers)
                return
            first, _, last = asked.partition("=")[2].partition("-")
            end = min(int(last) + 1 if last else len(data), len(data))
            headers["Content-Range"] = f"bytes {first}-{end - 1}/{len(data)}"
            self.answer(206, data[int(first) : end], headers)
        else:
            known_repository = path.startswith((api + "/", content))
            code = "EntryNotFound" if known_repository else "RepoNotFound"
            self.answer(404, b"", {"X-Error-Code": code})

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """What there is at some paths."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["paths"]
        found = [entry for entry in self.entries() if entry["path"] in asked]
        self.answer(200, json.dumps(found).encode(), {"Content-Type": "application/json"})


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server of this machine in the place of the Hugging Face hub."""
    write_parquet(tmp_path / "b.parquet", [{"text": text} for text in TEXTS])
    parquet = (tmp_path / "b.parquet").read_bytes()
    files = {"main/a.txt": b"one 1", "main/b.parquet": parquet, "main/picture.png": b"\0"}
    handler = type("OneHub", (Hub,), {"files": files})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever).start()
    # as HF_ENDPOINT would, which is read once, at the first import
    endpoint = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setitem(fsspec.config.conf, "hf", {"endpoint": endpoint})
    driver = fsspec.get_filesystem_class("hf")
    driver.clear_instance_cache()
    yield
    server.shutdown()
    server.server_close()
    driver.clear_instance_cache()


def test_files_of_a_hub_are_read_alone_by_glob_and_by_folder(tmp_path: Path, hub: None) -> None:
    main = f"hf://{HUB_REPOSITORY}/main"
    assert read(Source(path=f"{main}/a.txt"), tmp_path) == ["one 1"]
    assert read(Source(path=f"{main}/*.parquet"), tmp_path) == TEXTS
    assert read(Source(path=main), tmp_path) == ["one 1", *TEXTS]
    assert "main/none.txt" in message(Source(path=f"{main}/none.txt"), tmp_path)
    other = "hf://datasets/someone/else/main/a.txt"
    assert other in message(Source(path=other), tmp_path)


def test_files_of_the_hugging_face_hub_are_read(tmp_path: Path) -> None:
    if "HF_TOKEN" not in os.environ:
        pytest.skip("HF_TOKEN is not set: no test goes out to a public server unasked")
    source = Source(path="hf://datasets/openai/gsm8k/main/test-*.parquet", field="answer")
    assert read(source.model_copy(update={"documents": 2}), tmp_path)
