"""Stage `train`: tokens and settings in, `model/`, `metrics/train.json` and `plots/losses.csv` out, everything in
MLflow.
"""

from __future__ import annotations

import csv
import io
import json
import os
import platform
import shutil
from pathlib import Path
from typing import Any

import tiktoken
import torch

from ssl_lib.batches.datasets import PackedRows
from ssl_lib.config import Settings, with_best
from ssl_lib.files import replace_folder, write_atomically
from ssl_lib.model.devices import process_rank
from ssl_lib.objectives.model_folder import save_model, save_weights
from ssl_lib.tokens.encodings import encoding as read_encoding
from ssl_lib.tokens.store import TokenStore
from ssl_lib.tracking import NullRun, Run, start_run
from ssl_lib.training.fit import Corpora, FitResult, fit, run_key
from ssl_lib.training.gradients import draw_cosines, mean_cosines


def train(settings: Settings, root: Path) -> dict[str, Any]:
    """Pretrain with the tuned settings and write the model; returns what `metrics/train.json` holds.

    An interrupted run goes on where its last checkpoint stands when it is started again with the same settings and
    tokens.
    """
    settings = with_best(settings, root)
    encoding, corpora, digest = open_corpora(settings, root)
    scratch = root / ".ssl_lib" / "train" / run_key(settings, digest)
    with _tracked_run(settings, root) as run:
        run.log_params(settings.model_dump())
        run.log_corpus(corpora.train.store.meta)
        result = fit(settings, encoding, corpora, run, scratch)
        metrics = train_metrics(settings, result)
        if process_rank()[0] == 0:
            _write(settings, root, encoding, result, metrics, run)
            shutil.rmtree(scratch, ignore_errors=True)
    return metrics


def open_corpora(settings: Settings, root: Path) -> tuple[tiktoken.Encoding, Corpora, str]:
    """The encoding, rows for training and validation, and a digest of both token files. Raises UserError if `tokenize`
    has not run.
    """
    folder = root / "data" / "tokenized"
    train_store, validation_store = (
        TokenStore.open(folder / split) for split in ("train", "validation")
    )
    context = settings.model.context_length
    corpora = Corpora(
        PackedRows(train_store, context, settings.seed),
        PackedRows(validation_store, context, settings.seed, shuffle=False),
    )
    digests = [store.meta["sha256"] for store in (train_store, validation_store)]
    return (
        read_encoding(str(folder / "encoding.json")),
        corpora,
        json.dumps(digests, sort_keys=True),
    )


def train_metrics(settings: Settings, result: FitResult) -> dict[str, Any]:
    """Content of `metrics/train.json`: losses in nats, tokens of the batches, seconds, hardware."""
    progress = result.progress
    return {
        "steps": settings.training.steps,
        "tokens": result.tokens,
        "seconds": round(progress.seconds, 3),
        "tokens_per_second": round(result.tokens_per_second, 1),
        "best_step": progress.best_step,
        "best_score": progress.best_score,
        "parameters": count_parameters(result),
        "weights": settings.objectives.weights(),
        "hardware": hardware(),
        "validation": progress.validation,
        "curve": progress.curve,
        "gradients": progress.gradients,
        "gradient_cosines": mean_cosines(progress.gradients),
    }


def count_parameters(result: FitResult) -> int:
    """Parameters of trunk and heads, each once."""
    return sum(
        parameter.numel()
        for parameter in torch.nn.ModuleList(result.objectives.values()).parameters()
    )


def hardware() -> dict[str, Any]:
    """What the run computed on."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "torch": torch.__version__,
    }


def _tracked_run(settings: Settings, root: Path) -> Run | NullRun:
    """The MLflow run, in the first process only."""
    return start_run(settings, root, "train") if process_rank()[0] == 0 else NullRun()


def _write(
    settings: Settings,
    root: Path,
    encoding: tiktoken.Encoding,
    result: FitResult,
    metrics: dict[str, Any],
    run: Run | NullRun,
) -> None:
    scratch = root / ".model.tmp"
    shutil.rmtree(scratch, ignore_errors=True)
    save_model(scratch, settings, encoding, result.objectives)
    save_weights(scratch / "last.safetensors", result.last)
    write_atomically(scratch / "run.json", json.dumps(run.identity(), indent=2) + "\n")
    replace_folder(scratch, root / "model")
    write_atomically(root / "metrics" / "train.json", json.dumps(metrics, indent=2) + "\n")
    write_atomically(root / "plots" / "losses.csv", _loss_table(metrics))
    run.log(
        {f"final/{name}": value for name, value in _numbers(metrics).items()},
        settings.training.steps,
    )
    run.log_artifact(root / "metrics" / "train.json")
    _picture_gradients(root, result, run)
    run.log_model(root / "model")


def _picture_gradients(root: Path, result: FitResult, run: Run | NullRun) -> None:
    """The heat map of the gradients' cosines, where they were measured; one of an earlier run does not stay."""
    path = root / "plots" / "gradient_cosines.png"
    path.unlink(missing_ok=True)
    if mean_cosines(result.progress.gradients):
        draw_cosines(result.progress.gradients, path)
        run.log_figure(path)


def _numbers(metrics: dict[str, Any]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if isinstance(value, int | float)}


def _loss_table(metrics: dict[str, Any]) -> str:
    """Losses by step, objective and split, as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", "objective", "split", "loss"])
    for row in metrics["curve"]:
        for name in metrics["weights"]:
            if name in row:
                writer.writerow([int(row["step"]), name, "train", row[name]])
    for point in metrics["validation"]:
        for name, parts in point["losses"].items():
            writer.writerow([point["step"], name, "validation", parts["loss"]])
    return text.getvalue()
