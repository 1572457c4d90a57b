"""A real PostgreSQL for tests: at SSL_LIB_TEST_POSTGRES, else on this machine, else a skip."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

ADDRESS = "postgresql://postgres@127.0.0.1:5432/test"


@contextmanager
def new_database() -> Iterator[str]:
    """The address of an empty database, for SQLAlchemy, which is dropped afterwards."""
    psycopg2 = pytest.importorskip("psycopg2", reason="psycopg2 is not installed")
    address = os.environ.get("SSL_LIB_TEST_POSTGRES", ADDRESS)
    name = f"ssl_lib_{uuid.uuid4().hex[:12]}"
    try:
        connection = psycopg2.connect(address, connect_timeout=3)
    except psycopg2.OperationalError as error:
        pytest.skip(f"no PostgreSQL answers at {address} ({str(error).splitlines()[0]})")
    # databases are made outside transactions
    connection.autocommit = True
    with closing(connection), connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
        try:
            yield f"{address.rpartition('/')[0]}/{name}"
        finally:
            # clients of the test may still hold it
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
