"""MLflow, behind a small port. The only package that imports mlflow.

It is handed files and metrics and knows nothing of models. Start in run.py.

run.py          a run: an object with `log(metrics, step)`
outbox.py       what waits for a store that is away, and how each of it is sent
describe.py     names, tags and descriptions of runs, with links
system.py       how busy the machine is
store.py        where the store is, how to reach it, what runs it holds
registry.py     registered models: the champion, downloads
text_model.py   the stored model, as MLflow runs it by itself
"""

from ssl_lib.tracking.registry import (
    Registered,
    download_model,
    find_champion,
    find_registered,
    record_decision,
)
from ssl_lib.tracking.run import NullRun, Run, resume_run, start_run, sync
from ssl_lib.tracking.store import (
    StoredRun,
    TrackingError,
    missing_runs,
    read_artifact,
    read_runs,
    serve_ui,
    trained_run,
)

__all__ = [
    "NullRun",
    "Registered",
    "Run",
    "StoredRun",
    "TrackingError",
    "download_model",
    "find_champion",
    "find_registered",
    "missing_runs",
    "read_artifact",
    "read_runs",
    "record_decision",
    "resume_run",
    "serve_ui",
    "start_run",
    "sync",
    "trained_run",
]
