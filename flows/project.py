"""What belongs to one checkout: its work pool, where its pages are, its settings for flows."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
from pathlib import Path

from ssl_lib.config import OperationSettings, Settings, load_settings
from ssl_lib.tracking.store import store_uri

MLFLOW_PAGES = "SSL_LIB_MLFLOW_PAGES"  # where `make serve` shows a store that is no server
LOCAL_PAGES = "http://127.0.0.1:5000"  # where `ssl-lib ui` shows it


def project_settings(root: Path) -> Settings:
    """Those of `params.yaml`, else the defaults."""
    path = root / "params.yaml"
    return load_settings(path) if path.exists() else Settings()


def operation(root: Path) -> OperationSettings:
    """How flows run the project's stages."""
    return project_settings(root).operation


def pool_name(root: Path) -> str:
    """The work pool of one checkout on one machine: no other worker takes its runs.

    A checkout called `reports` → `ssl-lib-reports-3f2a91`
    """
    place = f"{socket.gethostname()}:{root.resolve()}"
    digest = hashlib.sha256(place.encode()).hexdigest()
    return f"ssl-lib-{root.resolve().name}-{digest[:6]}"


def mlflow_pages(root: Path) -> str:
    """The address of MLflow's pages over the project's runs, without a slash at its end."""
    store = store_uri(project_settings(root), root)
    if not store.startswith("http"):
        store = os.environ.get(MLFLOW_PAGES, LOCAL_PAGES)
    return store.rstrip("/")


def git(root: Path, *words: str) -> str:
    """What `git WORDS` prints; empty where that fails, as outside a repository."""
    command = ["git", *words]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
