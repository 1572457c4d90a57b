"""The base of all errors that a user can fix; extras of the package that are not installed."""

from __future__ import annotations

from importlib.util import find_spec

# What each extra of pyproject.toml brings, as it is imported.
EXTRAS = {
    "tracking": ("mlflow", "psutil"),
    "tuning": ("optuna", "matplotlib"),
    "report": ("matplotlib", "scipy", "sklearn", "pyppmd", "threadpoolctl", "pint"),
    "sources": ("pyarrow", "aiohttp"),
    "documents": ("trafilatura", "lxml_html_clean", "pypdf", "docx"),
    "sql": ("sqlalchemy", "psycopg"),
    "postgres": ("psycopg",),
    "serving": ("fastapi", "uvicorn", "swagger_ui_bundle"),
    "orchestration": ("dvc", "prefect"),
    "dask": ("distributed", "prefect_dask"),
    "s3": ("s3fs",),
    "gcs": ("gcsfs",),
    "azure": ("adlfs",),
    "units": ("pint",),
}


class UserError(Exception):
    """A mistake that the user can fix: one sentence that names the place and says what to do."""


class MissingExtraError(UserError, ImportError):
    """A package is missing that is installed with an extra."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed: pip install 'ssl-lib[{extra}]' brings it")


def require_extra(extra: str) -> None:
    """Raise MissingExtraError if a package of the extra is missing; imports none of them.

    For the beginning of a long command: the first import may come after minutes of work.
    """
    for package in EXTRAS[extra]:
        if find_spec(package) is None:
            raise MissingExtraError(package, extra)


def missing_extra(error: ModuleNotFoundError) -> MissingExtraError | None:
    """What to tell a user instead of a failed import, if an extra brings the package."""
    package = (error.name or "").partition(".")[0]
    for extra, packages in EXTRAS.items():
        if package in packages:
            return MissingExtraError(package, extra)
    return None
