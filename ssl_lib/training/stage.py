"""Stage `train`: tokens and settings in, `model/` and `metrics/train.json` out, all in MLflow."""

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

from ssl_lib.batches.datasets import PackedSequences
from ssl_lib.config import Settings, with_best
from ssl_lib.files import replace_folder, write_atomically
from ssl_lib.model.devices import process_rank
from ssl_lib.objectives.model_folder import save_weights
from ssl_lib.predictor import Predictor
from ssl_lib.predictor.calibration import calibrate
from ssl_lib.predictor.remembered import remember
from ssl_lib.tokens.encodings import encoding as read_encoding
from ssl_lib.tokens.store import TokenStore
from ssl_lib.tracking import NullRun, Run, start_run
from ssl_lib.training.checkpoint import run_key
from ssl_lib.training.fit import Corpora, FitResult, fit
from ssl_lib.training.gradients import draw_cosines, mean_cosines

FINAL = ("best_score", "best_step", "parameters", "seconds", "tokens", "tokens_per_second")


def train(settings: Settings, root: Path) -> dict[str, Any]:
    """Pretrain with the tuned settings, write the model, return what `metrics/train.json` holds.

    An interrupted run goes on where its last checkpoint stands when it is started again with the
    same settings and tokens.
    """
    settings = with_best(settings, root)
    encoding, corpora, digest = open_corpora(settings, root)
    scratch = root / ".ssl_lib" / "train" / run_key(settings, digest)
    # of the processes of torchrun, the first one records and writes
    rank, _ = process_rank()
    is_first = rank == 0
    with start_run(settings, root, "train") if is_first else NullRun() as run:
        run.log_params(settings.model_dump())
        store = corpora.train.store
        assert isinstance(store, TokenStore)
        run.log_corpus(store.meta)
        run.link_tuning(root / "tuning")
        result = fit(settings, encoding, corpora, run, scratch)
        metrics = train_metrics(settings, result)
        if is_first:
            # the best weights by validation, and the last ones beside them, to be compared
            model = root / ".model.tmp"
            shutil.rmtree(model, ignore_errors=True)
            predictor = Predictor(settings, encoding, result.objectives)
            predictor.remembered = remember(predictor, corpora.train)
            predictor.calibration = calibrate(predictor, corpora.validation.store)
            predictor.save(model)
            save_weights(model / "last.safetensors", result.last)
            write_atomically(model / "run.json", json.dumps(run.identity(), indent=2) + "\n")
            replace_folder(model, root / "model")
            _write_metrics(root, metrics, run)
            run.log_model(root / "model")
            shutil.rmtree(scratch, ignore_errors=True)
    return metrics


def open_corpora(settings: Settings, root: Path) -> tuple[tiktoken.Encoding, Corpora, str]:
    """The encoding, sequences to train and to validate on, and a digest of both token files.

    Raises UserError if `tokenize` has not run.
    """
    folder = root / "data" / "tokenized"
    train_store = TokenStore.open(folder / "train")
    validation_store = TokenStore.open(folder / "validation")
    length = settings.model.context_length
    seed = settings.seed
    corpora = Corpora(
        PackedSequences(train_store, length, seed),
        PackedSequences(validation_store, length, seed, shuffle=False),
    )
    digests = [train_store.meta["sha256"], validation_store.meta["sha256"]]
    encoding = read_encoding(str(folder / "encoding.json"))
    return encoding, corpora, json.dumps(digests, sort_keys=True)


def train_metrics(settings: Settings, result: FitResult) -> dict[str, Any]:
    """Content of `metrics/train.json`: losses in nats, tokens of the batches, seconds, hardware."""
    progress = result.progress
    parts = torch.nn.ModuleList(result.objectives.values())  # the trunk that they share counts once
    return {
        "steps": settings.training.steps,
        "tokens": result.tokens,
        "seconds": round(progress.seconds, 3),
        "tokens_per_second": round(result.tokens_per_second, 1),
        "best_step": progress.best_step,
        "best_score": progress.best_score,
        "parameters": sum(parameter.numel() for parameter in parts.parameters()),
        "weights": settings.objectives.weights(),
        "hardware": hardware(),
        "validation": progress.validation,
        "curve": progress.curve,
        "gradients": progress.gradients,
        "gradient_cosines": mean_cosines(progress.gradients),
    }


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


def _write_metrics(root: Path, metrics: dict[str, Any], run: Run | NullRun) -> None:
    """`metrics/train.json` and the plots, also into the run."""
    write_atomically(root / "metrics" / "train.json", json.dumps(metrics, indent=2) + "\n")
    write_atomically(root / "plots" / "losses.csv", loss_table(metrics))
    found = {f"final/{name}": metrics[name] for name in FINAL}
    run.log(found, metrics["steps"])
    run.log_artifact(root / "metrics" / "train.json")
    picture = root / "plots" / "gradient_cosines.png"
    picture.unlink(missing_ok=True)  # one of an earlier run does not stay
    if metrics["gradient_cosines"]:
        draw_cosines(metrics["gradients"], picture)
        run.log_figure(picture)


def loss_table(metrics: dict[str, Any]) -> str:
    """Losses in nats by step, objective and split, as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", "objective", "split", "loss"])
    for point in metrics["curve"]:
        for name in metrics["weights"]:
            if name in point:
                writer.writerow([int(point["step"]), name, "train", point[name]])
    for point in metrics["validation"]:
        for name, parts in point["losses"].items():
            writer.writerow([point["step"], name, "validation", parts["loss"]])
    return text.getvalue()
