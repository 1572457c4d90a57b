"""Addresses of databases: a driver where none is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from ssl_lib.config import Settings
from ssl_lib.databases import with_driver
from ssl_lib.experiments.tuning.study import storage_setting
from ssl_lib.tracking.store import store_uri


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_postgresql_gets_the_driver_that_is_installed(scheme: str, tmp_path: Path) -> None:
    address = f"{scheme}://me:a:b@host:5432/base?sslmode=require"
    with_psycopg = f"postgresql+psycopg{address.removeprefix(scheme)}"
    settings = Settings().replaced({"tracking.uri": address, "tuning.storage": address})
    assert with_driver(address) == with_psycopg
    assert store_uri(settings, tmp_path) == with_psycopg
    assert storage_setting(settings) == with_psycopg
    assert make_url(with_psycopg).get_dialect().driver == "psycopg"


@pytest.mark.parametrize(
    "address",
    [
        "", "journal.log", "sqlite:///mlflow.db", "http://host:5000", "mysql://host/base",
        "postgresql+psycopg2://host/base", "postgresql+asyncpg://host/base", "postgresql",
    ],
)  # fmt: skip
def test_other_addresses_stay_as_they_are(address: str) -> None:
    assert with_driver(address) == address
