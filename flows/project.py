"""What belongs to one checkout: its work pool, where its pages are, its settings for flows."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssl_lib.config import OperationSettings, preset_values, project_settings
from ssl_lib.tracking.store import store_uri

MLFLOW_PAGES = "SSL_LIB_MLFLOW_PAGES"  # where `make serve` shows a store that is no server
LOCAL_PAGES = "http://127.0.0.1:5000"  # where `ssl-lib ui` shows it


def operation(root: Path) -> OperationSettings:
    """How flows run the project's stages."""
    return project_settings(root).operation


def differing(root: Path, preset: str, settings: Mapping[str, Any] | None) -> dict[str, Any]:
    """Dotted keys and values of a variant: of `params/PRESET.yaml`, then those that are given.

    Raises SettingsError for a preset that the project does not have.
    """
    changes = preset_values(preset, root / "params.yaml") if preset else {}
    return changes | dict(settings or {})


def pool_name(root: Path) -> str:
    """The work pool of one checkout on one machine: no other worker takes its runs.

    A checkout called `reports` → `ssl-lib-reports-3f2a91`
    """
    place = f"{socket.gethostname()}:{root.resolve()}"
    digest = hashlib.sha256(place.encode()).hexdigest()
    return f"ssl-lib-{root.resolve().name}-{digest[:6]}"


def mlflow_server(root: Path) -> str:
    """The address of MLflow's server, without a slash at its end; empty if the store is none."""
    store = store_uri(project_settings(root), root)
    return store.rstrip("/") if store.startswith("http") else ""


def mlflow_pages(root: Path) -> str:
    """The address of MLflow's pages over the project's runs, without a slash at its end."""
    return mlflow_server(root) or os.environ.get(MLFLOW_PAGES, LOCAL_PAGES).rstrip("/")
