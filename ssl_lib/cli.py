"""Command line: `ssl-lib COMMAND`, the same as `python -m ssl_lib COMMAND`.

Only the standard library is imported at the top, so that `--help` answers at once; each command imports what it needs.
Exit status: 0, 1 for an error that the user can mend (one sentence on stderr), 2 for wrong usage, 130 when interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

STAGES = {
    "corpus": (
        "ssl_lib.corpus:build_corpus",
        "text in, documents out: data/raw/",
        "Reads the sources that params.yaml names, normalises them, removes duplicates and splits by document into\n"
        "data/raw/{train,validation,test}.jsonl, with what was rejected and why in manifest.json.",
        "ssl-lib corpus --set corpus.sources.0.documents=2000",
    ),
    "tokenize": (
        "ssl_lib.tokens.store:tokenize",
        "documents in, tokens and numbers out: data/tokenized/",
        "Trains the encoding on the corpus, or takes the one that tokens.encoding names, and stores the token ids\n"
        "with every number's span, value and written form beside them.",
        "ssl-lib tokenize --set tokens.encoding=gpt2",
    ),
    "tune": (
        "ssl_lib.tuning:tune",
        "loss weights, temperature, learning rate: tuning/",
        "Short trials with early pruning. tuning/best.yaml holds what train will use, tuning/trials.csv every trial.",
        "ssl-lib tune --set tuning.trials=20 --set tuning.workers=2",
    ),
    "train": (
        "ssl_lib.training.stage:train",
        "one model, five objectives: model/, metrics/train.json",
        "Pretrains the trunk with all objectives whose weight is above 0. Interrupted, it goes on where it was\n"
        "when it is started again with the same settings.",
        "ssl-lib train --set training.steps=500 --set objectives.contrastive.weight=0",
    ),
    "evaluate": (
        "ssl_lib.evaluation:evaluate",
        "the model against its untrained twin: metrics/evaluation.json, report/",
        "Held-out losses and four downstream tasks, before and after pretraining, on documents that nothing has seen.",
        "ssl-lib evaluate --set evaluation.items=200",
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status (argparse itself exits with 2 on wrong usage)."""
    options = build_parser().parse_args(arguments)
    try:
        options.run(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except _mendable() as error:
        if options.debug:
            raise
        print(f"ssl-lib {options.command}: {_sentence(error)}", file=sys.stderr)
        return 1
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The whole grammar of the command line."""
    parser = argparse.ArgumentParser(
        prog="ssl-lib",
        description="Self-supervised pretraining on text full of numbers. `dvc repro` runs the five stages in order.",
        epilog="Examples:\n  ssl-lib train --set training.steps=500\n  ssl-lib predict 'The sum of 2 + 3 is'\n"
        "  ssl-lib COMMAND --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (function, summary, description, example) in STAGES.items():
        stage = _command(commands, name, _run_stage, summary, description, example)
        stage.set_defaults(function=function)
        _add_settings(stage)
    commands.choices["evaluate"].add_argument(
        "--baselines",
        choices=["none", "quick", "full"],
        help="short for --set evaluation.baselines=...; full also trains each objective alone, as long as the model",
    )
    _add_model_commands(commands)
    _add_text_commands(commands)
    _add_project_commands(commands)
    return parser


def _command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], None], summary: str, description: str, example: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=f"Example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    command.set_defaults(run=run)
    return command


def _add_settings(command: argparse.ArgumentParser) -> None:
    command.add_argument("--params", metavar="FILE", default="params.yaml", help="settings (default: params.yaml)")
    command.add_argument(
        "--set",
        metavar="SECTION.KEY=VALUE",
        action="append",
        default=[],
        dest="overrides",
        help="change one setting for this run; may be repeated",
    )


def _add_model_commands(commands: Any) -> None:
    predict = _command(
        commands,
        "predict",
        _predict,
        "next tokens, the next number, and what stands behind [MASK]",
        "The most probable next tokens; the number that comes next with an interval; and, where the text holds\n"
        "[MASK], what stands there.",
        "ssl-lib predict 'The sum of 2 + 3 is [MASK].' --model model -k 3",
    )
    predict.add_argument("text", help="the beginning of a text, or a text with [MASK] in it")
    predict.add_argument("-k", type=_positive, default=5, metavar="N", help="how many candidates (default: 5)")
    embed = _command(
        commands,
        "embed",
        _embed,
        "one vector per line of text",
        "Reads one text per line and writes unit-length float32 vectors: an array [lines, width] where --to ends\n"
        'in .npy, else JSON lines {"text", "embedding"}.',
        "ssl-lib embed sentences.txt --to vectors.npy",
    )
    embed.add_argument("file", nargs="?", default="-", help="a text file; - reads standard input (default)")
    embed.add_argument("--to", metavar="FILE", help="vectors.npy or vectors.jsonl (default: JSON lines on stdout)")
    predict.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    for command in (predict, embed):
        command.add_argument(
            "--model",
            default="model",
            metavar="FOLDER",
            help="a folder, models:/NAME@ALIAS or runs:/ID/model (default: model)",
        )


def _add_text_commands(commands: Any) -> None:
    numbers = _command(
        commands,
        "numbers",
        _numbers,
        "the numbers in a text, with value and written form",
        "Finds every number the way the pipeline does: 1,234.5 as well as 12%, $3.4 million, 5 March or twenty-one.",
        "echo 'Revenue rose 12%% to $3.4 million.' | ssl-lib numbers -".replace("%%", "%"),
    )
    numbers.add_argument("file", nargs="?", default="-", help="a text file; - reads standard input (default)")
    numbers.add_argument("--json", action="store_true", help="JSON lines instead of a table")
    encodings = _command(
        commands,
        "encodings",
        _fetch_encoding,
        "fetch a tiktoken vocabulary for use offline",
        "Downloads the vocabulary of a tiktoken encoding and checks it. A machine without a network uses it when\n"
        "TIKTOKEN_CACHE_DIR names the folder.",
        "ssl-lib encodings fetch cl100k_base --to vocabularies",
    )
    encodings.add_argument("action", choices=["fetch"], help="fetch: download and store")
    encodings.add_argument("name", metavar="NAME", help="gpt2, cl100k_base, o200k_base, ...")
    encodings.add_argument("--to", metavar="DIR", default="vocabularies", help="folder (default: vocabularies)")


def _add_project_commands(commands: Any) -> None:
    ui = _command(
        commands,
        "ui",
        _ui,
        "MLflow's pages over this project's runs, on this machine only",
        "Serves the store that tracking.uri names at http://127.0.0.1:PORT until it is interrupted.",
        "ssl-lib ui --port 5000",
    )
    ui.add_argument("--port", type=_port, default=5000, help="default: 5000")
    _add_settings(ui)
    compare = _command(
        commands,
        "compare",
        _compare,
        "differences between runs, with intervals",
        "Reads the runs' figures from MLflow and shows what differs: settings, losses, tasks with 95% intervals.\n"
        "A run is named by its id, the beginning of its id, or its name.",
        "ssl-lib compare 3f2a 91bc --figure difference.png",
    )
    compare.add_argument("runs", nargs="+", metavar="RUN", help="two runs or more; the first is the one compared with")
    compare.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    compare.add_argument("--figure", metavar="FILE", help="draw the differences into a .png, .svg or .pdf file")
    _add_settings(compare)
    summary = _command(
        commands,
        "summary",
        _summary,
        "the figures of the last run, and where to look",
        "Reads metrics/evaluation.json and shows losses and downstream tasks before and after pretraining.",
        "ssl-lib summary",
    )
    summary.add_argument("--json", action="store_true", help="the file itself")


def _run_stage(options: argparse.Namespace) -> None:
    import importlib

    from ssl_lib.config import load_settings
    from ssl_lib.locks import output_lock

    overrides = [*options.overrides]
    if getattr(options, "baselines", None):
        overrides.append(f"evaluation.baselines={options.baselines}")
    settings = load_settings(options.params, overrides)
    module, _, function = options.function.partition(":")
    root = Path.cwd()
    first = os.environ.get("RANK", "0") == "0"  # torchrun starts one process per device; the first one writes
    # A killed `dvc` leaves its stage running, and the next `dvc repro` would start a second one beside it.
    with output_lock(root / ".ssl_lib" / "locks" / options.command) if first else nullcontext():
        getattr(importlib.import_module(module), function)(settings, root)


def _predict(options: argparse.Namespace) -> None:
    from ssl_lib.predictor import load

    model = load(options.model)
    before_mask = options.text.split("[MASK]", 1)[0].rstrip()
    found: dict[str, Any] = {"text": options.text}
    if before_mask:
        number = model.predict_number(before_mask)
        found["next"] = [list(pair) for pair in model.predict_next(before_mask, k=options.k)]
        found["number"] = {"value": float(number.value), "interval": [float(bound) for bound in number.interval]}
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


def _embed(options: argparse.Namespace) -> None:
    import numpy as np

    from ssl_lib.predictor import load

    lines = [line for line in _read_text(options.file).splitlines() if line.strip()]
    vectors_ND = load(options.model).embed(lines)
    if options.to and options.to.endswith(".npy"):
        np.save(options.to, vectors_ND)
        return
    pairs = zip(lines, vectors_ND.tolist(), strict=True)
    text = "".join(json.dumps({"text": line, "embedding": row}, ensure_ascii=False) + "\n" for line, row in pairs)
    if options.to:
        Path(options.to).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


def _numbers(options: argparse.Namespace) -> None:
    from dataclasses import asdict

    from ssl_lib.tokens.numerals import find_numbers

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


def _fetch_encoding(options: argparse.Namespace) -> None:
    from ssl_lib.tokens.fetch import fetch_encoding

    for path in fetch_encoding(options.name, options.to):
        print(path)


def _ui(options: argparse.Namespace) -> None:
    from ssl_lib.config import load_settings
    from ssl_lib.tracking import serve_ui

    serve_ui(load_settings(options.params, options.overrides), Path.cwd(), options.port)


def _compare(options: argparse.Namespace) -> None:
    from ssl_lib.comparison import compare, draw, show
    from ssl_lib.config import load_settings

    found = compare(load_settings(options.params, options.overrides), Path.cwd(), options.runs)
    if options.figure:
        draw(found, Path(options.figure))
    print(json.dumps(found.as_json(), ensure_ascii=False)) if options.json else show(found)


def _summary(options: argparse.Namespace) -> None:
    from ssl_lib.config import UserError

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
    from ssl_lib.config import UserError

    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}); name a text file or - for standard input") from None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(f"{file}, line {line}: not UTF-8 text; convert the file first") from None


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"must be between 1 and 65535, got {value}")
    return value


def _mendable() -> tuple[type[Exception], ...]:
    """Errors that a user can mend; any other is a defect of the program and keeps its traceback."""
    from ssl_lib.config import UserError

    return (UserError, OSError)


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'input or output'}: {error.strerror}; mend that and run the command again"
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
