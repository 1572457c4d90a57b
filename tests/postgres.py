"""A real PostgreSQL for tests: at SSL_LIB_TEST_POSTGRES, else on this machine, else a skip."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest

ADDRESS = "postgresql://postgres@127.0.0.1:5432/test"


@contextmanager
def new_database() -> Iterator[str]:
    """The address of an empty database, for SQLAlchemy, which is dropped afterwards."""
    address = os.environ.get("SSL_LIB_TEST_POSTGRES", ADDRESS)
    name = f"ssl_lib_{uuid.uuid4().hex[:12]}"
    try:
        # databases are made outside transactions
        connection = psycopg.connect(address, connect_timeout=3, autocommit=True)
    except psycopg.OperationalError as error:
        pytest.skip(f"no PostgreSQL answers at {address} ({str(error).splitlines()[0]})")
    with closing(connection), connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
        try:
            yield f"{address.rpartition('/')[0]}/{name}"
        finally:
            # clients of the test may still hold it
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
