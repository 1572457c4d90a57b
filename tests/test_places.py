"""Documents out of databases and object stores, each a real server where one can run here."""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
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


def test_objects_of_s3_are_read_alone_by_glob_and_by_folder(
    tmp_path: Path, bucket: fsspec.AbstractFileSystem
) -> None:
    write_parquet(tmp_path / "b.parquet", [{"text": text} for text in TEXTS])
    bucket.pipe("texts/notes/a.txt", b"one 1")
    bucket.pipe("texts/notes/b.parquet", (tmp_path / "b.parquet").read_bytes())
    bucket.pipe("texts/notes/picture.png", b"\0")
    assert read(Source(path="s3://texts/notes/a.txt"), tmp_path) == ["one 1"]
    assert read(Source(path="s3://texts/notes/*.parquet"), tmp_path) == TEXTS
    assert read(Source(path="s3://texts/notes"), tmp_path) == ["one 1", *TEXTS]
    assert "s3://texts/none.txt" in message(Source(path="s3://texts/none.txt"), tmp_path)


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


def test_files_of_the_hugging_face_hub_are_read(tmp_path: Path) -> None:
    if "HF_TOKEN" not in os.environ:
        pytest.skip("HF_TOKEN is not set: no test goes out to a public server unasked")
    source = Source(path="hf://datasets/openai/gsm8k/main/test-*.parquet", field="answer")
    assert read(source.model_copy(update={"documents": 2}), tmp_path)
