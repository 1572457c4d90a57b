"""The rows of a query to a database, by SQLAlchemy: the file is the query, the source its address.

Rows are read in portions, in a transaction that is never committed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from ssl_lib.corpus.fields import check_columns
from ssl_lib.corpus.opening import OpenFile
from ssl_lib.corpus.problems import CorpusError, SourceContext
from ssl_lib.databases import with_driver

QUERY = "query"  # the kind of file
_ROWS = 1000  # at once


def query(file: OpenFile, context: SourceContext) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a query's result as records.

    Raises CorpusError if the database cannot be reached, or does not understand the query.
    """
    import sqlalchemy

    text = file.whole().decode()
    try:
        engine = sqlalchemy.create_engine(_address(context), poolclass=sqlalchemy.NullPool)
        # a cursor on the server's side where it has one: a portion of rows is in memory
        with engine.connect().execution_options(yield_per=_ROWS) as connection:
            found = connection.execute(sqlalchemy.text(text))
            if not found.returns_rows:
                raise CorpusError(f"{context.key}.query: gives no rows; write a SELECT")
            check_columns(list(found.keys()), file.name, context)
            for number, row in enumerate(found.mappings(), 1):
                yield f"{file.name}, row {number}", dict(row)
    except sqlalchemy.exc.SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().split("\n")[0][:200]
        advice = f"check {context.key}.path and {context.key}.query"
        raise CorpusError(f"{file.name}: cannot be queried ({reason}); {advice}") from None
    except ModuleNotFoundError as error:
        if error.name == "psycopg":
            raise
        advice = f"install {error.name}, the driver of such databases"
        raise CorpusError(f"{file.name}: cannot be queried; {advice}") from None


def _address(context: SourceContext) -> Any:
    """The address as SQLAlchemy takes it: a password out of the environment, SQLite read only."""
    from sqlalchemy.engine import make_url

    address = with_password(context.source.path, context.key)
    url = make_url(with_driver(address))
    # "sqlite:///data/notes.db" is data/notes.db below the project
    if url.drivername != "sqlite":
        return url
    path = context.root / (url.database or "")
    # SQLite would make a file that is missing
    if not path.is_file():
        raise CorpusError(f"{context.key}.path: {path}: no such file; correct the path")
    return url.set(database=f"file:{path}", query={"mode": "ro", "uri": "true"})


def with_password(url: str, key: str) -> str:
    """A URL with the password that it names: "s3://me:$SECRET@host" as the environment says it."""
    password = urlsplit(url).password
    if not password:
        return url
    name = password.removeprefix("$")
    if name == password:
        # params.yaml lies in git, and the manifest repeats it
        advice = "write $NAME for it, and set that variable in the environment"
        raise CorpusError(f"{key}.path: holds a password; {advice}")
    value = os.environ.get(name)
    if value is None:
        raise CorpusError(f"{key}.path: the environment variable {name} is not set; set it")
    return url.replace(f":{password}@", f":{value}@", 1)
