"""A real PostgreSQL for tests: at SSL_LIB_TEST_POSTGRES, else on this machine, else a skip."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

ADDRESS = "postgresql://postgres@127.0.0.1:5432/test"


@contextmanager
def new_database() -> Iterator[str]:
    """The address of an empty database, for SQLAlchemy, which is dropped afterwards."""
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
    address = os.environ.get("SSL_LIB_TEST_POSTGRES", ADDRESS)
    name = f"ssl_lib_{uuid.uuid4().hex[:12]}"
    try:
        connection = psycopg.connect(address, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError as error:
        pytest.skip(f"no PostgreSQL answers at {address} ({str(error).splitlines()[0]})")
    with connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            server, _, _ = address.rpartition("/")
            yield f"{server.replace('postgresql://', 'postgresql+psycopg://')}/{name}"
        finally:
            # clients of the test may still hold it
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
