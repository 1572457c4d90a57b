"""Addresses of databases as SQLAlchemy takes them, which MLflow and Optuna are built on too."""

from __future__ import annotations

_POSTGRESQL = ("postgresql://", "postgres://")


def with_driver(address: str) -> str:
    """`postgresql://host/base` with psycopg, the driver that the extras `postgres` and `sql` bring.

    SQLAlchemy's own choice would be psycopg2. An address that names its driver, or is of another
    database, is returned as it is.
    """
    if address.startswith(_POSTGRESQL):
        return f"postgresql+psycopg://{address.partition('://')[2]}"
    return address
