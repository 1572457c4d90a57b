"""Settings of what surrounds a run: where it is tracked, how it is scheduled and watched."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ssl_lib.config.sections import NonNegative, Positive, Section


class TrackingSettings(Section):
    """MLflow."""

    uri: str = Field("", description="empty: mlflow.db at the project root")
    experiment: str = Field(
        "ssl-lib", description="the runs appear in NAME/train, NAME/tune and NAME/ablate"
    )
    registered_model: str = Field("ssl-lib", description="whose versions the models become")
    log_every_steps: Positive = Field(20, description="steps between two points of a chart")


class OperationSettings(Section):
    """How runs are scheduled, watched and spread over machines; no result depends on it."""

    dask: str = Field(
        "",
        description="address of a Dask scheduler that prepares and tokenizes the corpus, "
        "or local; empty: this machine's processes",
    )
    progress_seconds: Positive = Field(
        10, description="between two lines, and two moves of the progress artifact, of a stage"
    )
    retries: NonNegative = Field(
        3, description="further attempts after what may pass: a busy file, a network"
    )
    lock_seconds: NonNegative = Field(
        3600, description="longest wait for another process that runs DVC"
    )
    timeout_seconds: NonNegative = Field(0, description="longest time of a stage; 0: no limit")
    push: bool = Field(False, description="send what a night made to DVC's default remote")
    notify: Annotated[str, Field(pattern=r"^(https?://.+|mailto:.+@.+)?$")] = Field(
        "",
        description="whom a failed run tells: https://… gets JSON, mailto:me@example.org a mail; "
        "empty: nobody",
    )
    mail_server: str = Field("localhost:25", description="SMTP server of these mails")
