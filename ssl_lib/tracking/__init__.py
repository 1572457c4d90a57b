"""MLflow, behind a small port. The only package that imports mlflow."""

from ssl_lib.tracking.reading import StoredRun, read_runs
from ssl_lib.tracking.registry import download_model, promote, serve_model
from ssl_lib.tracking.run import NullRun, Run, resume_run, start_run
from ssl_lib.tracking.store import TrackingError, serve_ui

__all__ = [
    "NullRun",
    "Run",
    "StoredRun",
    "TrackingError",
    "download_model",
    "promote",
    "read_runs",
    "resume_run",
    "serve_model",
    "serve_ui",
    "start_run",
]
