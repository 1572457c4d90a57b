"""What each command of the command line does with its options; `cli.py` has the grammar.

Only the standard library is imported at the top; each command imports what it needs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any


def run_stage(options: argparse.Namespace) -> None:
    """One of the stages of `dvc.yaml`, alone in its project."""
    import importlib

    from ssl_lib.config import load_settings
    from ssl_lib.files import output_lock

    overrides = [*options.overrides]
    if getattr(options, "baselines", None):
        overrides.append(f"evaluation.baselines={options.baselines}")
    settings = load_settings(options.params, overrides)
    module, _, function = options.function.partition(":")
    root = Path.cwd()
    first = (
        os.environ.get("RANK", "0") == "0"
    )  # torchrun starts one process per device; the first one writes
    # A killed `dvc` leaves its stage running, and the next `dvc repro` would start a second one beside it.
    with output_lock(root / ".ssl_lib" / "locks" / options.command) if first else nullcontext():
        getattr(importlib.import_module(module), function)(settings, root)


def run_ablation(options: argparse.Namespace) -> None:
    """`ssl-lib ablate`."""
    from ssl_lib.config import load_settings
    from ssl_lib.experiments.ablation import ablate
    from ssl_lib.experiments.transfer import show
    from ssl_lib.files import output_lock

    settings, root = load_settings(options.params, options.overrides), Path.cwd()
    subsets = [label for label in options.subsets.split(",") if label]
    with output_lock(root / ".ssl_lib" / "locks" / "ablate"):
        found = ablate(
            settings, root, subsets, options.every, options.seeds, options.steps, options.workers
        )
    print(json.dumps(found)) if options.json else show(found)


def predict(options: argparse.Namespace) -> None:
    """`ssl-lib predict`."""
    from ssl_lib.predictor import load

    model = load(options.model)
    before_mask = options.text.split("[MASK]", 1)[0].rstrip()
    found: dict[str, Any] = {"text": options.text}
    if before_mask:
        number = model.predict_number(before_mask)
        found["next"] = [list(pair) for pair in model.predict_next(before_mask, k=options.k)]
        found["number"] = {
            "value": float(number.value),
            "interval": [float(bound) for bound in number.interval],
        }
    if "[MASK]" in options.text:
        found["masks"] = [list(pair) for pair in model.fill_mask(options.text)]
    print(json.dumps(found, ensure_ascii=False)) if options.json else _show_prediction(found)


def _show_prediction(found: dict[str, Any]) -> None:
    for text, probability in found.get("next", []):
        print(f"next    {probability:6.1%}  {text!r}")
    if "number" in found:
        low, high = found["number"]["interval"]
        print(f"number  {found['number']['value']:.6g}  (between {low:.6g} and {high:.6g})")
    for text, probability in found.get("masks", []):
        print(f"[MASK]  {probability:6.1%}  {text!r}")


def embed(options: argparse.Namespace) -> None:
    """`ssl-lib embed`."""
    import numpy as np

    from ssl_lib.predictor import load

    lines = [line for line in _read_text(options.file).splitlines() if line.strip()]
    vectors_ND = load(options.model).embed(lines)
    if options.to and options.to.endswith(".npy"):
        np.save(options.to, vectors_ND)
        return
    pairs = zip(lines, vectors_ND.tolist(), strict=True)
    text = "".join(
        json.dumps({"text": line, "embedding": row}, ensure_ascii=False) + "\n"
        for line, row in pairs
    )
    if options.to:
        Path(options.to).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


def numbers(options: argparse.Namespace) -> None:
    """`ssl-lib numbers`."""
    from dataclasses import asdict

    from ssl_lib.numbers.finder import find_numbers

    found = find_numbers(_read_text(options.file))
    if options.json:
        for number in found:
            row = {key: None if value != value else value for key, value in asdict(number).items()}
            print(json.dumps(row, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("text", "value", "form", "start", "end")
    for number in found:
        value = "" if number.value != number.value else f"{number.value:.15g}"
        table.add_row(number.text, value, number.form, str(number.start), str(number.end))
    Console().print(table)


def fetch_encoding(options: argparse.Namespace) -> None:
    """`ssl-lib encodings fetch`."""
    from ssl_lib.tokens import fetch

    for path in fetch.fetch_encoding(options.name, options.to):
        print(path)


def ui(options: argparse.Namespace) -> None:
    """`ssl-lib ui`."""
    from ssl_lib.config import load_settings
    from ssl_lib.tracking import serve_ui

    serve_ui(load_settings(options.params, options.overrides), Path.cwd(), options.port)


def serve(options: argparse.Namespace) -> None:
    """`ssl-lib serve`."""
    from ssl_lib.tracking import serve_model

    serve_model(options.model, Path.cwd(), options.port)


def compare(options: argparse.Namespace) -> None:
    """`ssl-lib compare`."""
    from ssl_lib.config import load_settings
    from ssl_lib.experiments.comparison import compare as compared
    from ssl_lib.experiments.comparison import draw, show

    found = compared(load_settings(options.params, options.overrides), Path.cwd(), options.runs)
    if options.figure:
        draw(found, Path(options.figure))
    print(json.dumps(found.as_json(), ensure_ascii=False)) if options.json else show(found)


def summary(options: argparse.Namespace) -> None:
    """`ssl-lib summary`."""
    from ssl_lib.errors import UserError

    path = Path("metrics/evaluation.json")
    if not path.exists():
        raise UserError(f"{path} does not exist yet; run `make run` or `dvc repro` first")
    text = path.read_text(encoding="utf-8")
    if options.json:
        sys.stdout.write(text)
        return
    _show_summary(json.loads(text))


def _show_summary(evaluation: dict[str, Any]) -> None:
    print(f"{'held-out loss':<24}{'before':>10}{'after':>10}{'reduction':>12}")
    for name, loss in evaluation["losses"].items():
        print(f"{name:<24}{loss['before']:>10.3f}{loss['after']:>10.3f}{loss['reduction']:>12.0%}")
    print(f"\n{'downstream task':<24}{'before':>10}{'after':>10}   metric")
    for name, task in evaluation["downstream"].items():
        print(f"{name:<24}{task['before']:>10.3f}{task['after']:>10.3f}   {task['metric']}")
    command = Path(sys.executable).parent / "ssl-lib"
    print(f"\nReport:   {Path('report/index.html').resolve()}")
    print(f"Runs:     {command} ui")
    print(f"Try it:   {command} predict 'The sum of 2 + 3 is'")


def _read_text(file: str) -> str:
    from ssl_lib.errors import UserError

    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise UserError(
            f"{file} cannot be read ({error.strerror}); name a text file or - for standard input"
        ) from None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(f"{file}, line {line}: not UTF-8 text; convert the file first") from None
