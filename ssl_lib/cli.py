"""Command line: `ssl-lib COMMAND`, the same as `python -m ssl_lib COMMAND`.

This is the grammar; commands.py has what each command does. Only the standard library is imported at the top, so that
`--help` answers at once.
Exit status: 0, 1 for an error that the user can mend (one sentence on stderr), 2 for wrong usage, 130 when interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from ssl_lib import commands as run

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
        "ssl_lib.experiments.tuning:tune",
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
        stage = _command(commands, name, run.run_stage, summary, description, example)
        stage.set_defaults(function=function)
        _add_settings(stage)
    commands.choices["evaluate"].add_argument(
        "--baselines",
        choices=["none", "quick", "full"],
        help="short for --set evaluation.baselines=...; full also trains each objective alone, as long as the model",
    )
    _add_model_commands(commands)
    _add_text_commands(commands)
    _add_ablation(commands)
    _add_project_commands(commands)
    return parser


def _command(
    commands: Any,
    name: str,
    run: Callable[[argparse.Namespace], None],
    summary: str,
    description: str,
    example: str,
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
    command.add_argument(
        "--params", metavar="FILE", default="params.yaml", help="settings (default: params.yaml)"
    )
    command.add_argument(
        "--set",
        metavar="SECTION.KEY=VALUE",
        action="append",
        default=[],
        dest="overrides",
        help="change one setting for this run; may be repeated",
    )


def _add_ablation(commands: Any) -> None:
    ablate = _command(
        commands,
        "ablate",
        run.run_ablation,
        "what each objective adds: models trained with some of them, ablation/",
        "Trains models with subsets of the objectives at equal tokens, as nested MLflow runs, and writes the transfer\n"
        "matrix: held-out losses against each objective alone, and downstream results. By default each objective\n"
        "alone, all of them, and all but one. Interrupted, it goes on with the models that are missing.",
        "ssl-lib ablate --subsets mlm+ntp,all-mlm,all --seeds 3 --steps 500 --workers 2",
    )
    which = ablate.add_mutually_exclusive_group()
    which.add_argument("--subsets", metavar="LIST", default="", help="such as mlm+ntp,all,all-ntp")
    which.add_argument(
        "--all", action="store_true", dest="every", help="every combination: 31 of five objectives"
    )
    ablate.add_argument(
        "--seeds", type=_positive, default=1, metavar="N", help="models of each subset (default: 1)"
    )
    ablate.add_argument(
        "--steps", type=_positive, metavar="N", help="steps of each model (default: training.steps)"
    )
    ablate.add_argument(
        "--workers", type=_positive, default=1, metavar="N", help="models at a time (default: 1)"
    )
    ablate.add_argument(
        "--json", action="store_true", help="what ablation/results.json holds instead of a table"
    )
    _add_settings(ablate)


def _add_model_commands(commands: Any) -> None:
    predict = _command(
        commands,
        "predict",
        run.predict,
        "next tokens, the next number, and what stands behind [MASK]",
        "The most probable next tokens; the number that comes next with an interval; and, where the text holds\n"
        "[MASK], what stands there.",
        "ssl-lib predict 'The sum of 2 + 3 is [MASK].' --model model -k 3",
    )
    predict.add_argument("text", help="the beginning of a text, or a text with [MASK] in it")
    predict.add_argument(
        "-k", type=_positive, default=5, metavar="N", help="how many candidates (default: 5)"
    )
    embed = _command(
        commands,
        "embed",
        run.embed,
        "one vector per line of text",
        "Reads one text per line and writes unit-length float32 vectors: an array [lines, width] where --to ends\n"
        'in .npy, else JSON lines {"text", "embedding"}.',
        "ssl-lib embed sentences.txt --to vectors.npy",
    )
    embed.add_argument(
        "file", nargs="?", default="-", help="a text file; - reads standard input (default)"
    )
    embed.add_argument(
        "--to", metavar="FILE", help="vectors.npy or vectors.jsonl (default: JSON lines on stdout)"
    )
    predict.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    serve = _command(
        commands,
        "serve",
        run.serve,
        "answer requests to a model over HTTP, on this machine only",
        "Starts MLflow's scoring server: POST texts to http://127.0.0.1:PORT/invocations and get embeddings, or,\n"
        'with "params": {"task": "next_tokens", "k": 3}, how they go on.',
        "ssl-lib serve & curl localhost:5001/invocations -H 'Content-Type: application/json' \\\n"
        """    -d '{"dataframe_records": [{"text": "The sum of 2 + 3 is"}]}'""",
    )
    serve.add_argument("--port", type=_port, default=5001, help="default: 5001")
    for command in (predict, embed, serve):
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
        run.numbers,
        "the numbers in a text, with value and written form",
        "Finds every number the way the pipeline does: 1,234.5 as well as 12%, $3.4 million, 5 March or twenty-one.",
        "echo 'Revenue rose 12%% to $3.4 million.' | ssl-lib numbers -".replace("%%", "%"),
    )
    numbers.add_argument(
        "file", nargs="?", default="-", help="a text file; - reads standard input (default)"
    )
    numbers.add_argument("--json", action="store_true", help="JSON lines instead of a table")
    encodings = _command(
        commands,
        "encodings",
        run.fetch_encoding,
        "fetch a tiktoken vocabulary for use offline",
        "Downloads the vocabulary of a tiktoken encoding and checks it. A machine without a network uses it when\n"
        "TIKTOKEN_CACHE_DIR names the folder.",
        "ssl-lib encodings fetch cl100k_base --to vocabularies",
    )
    encodings.add_argument("action", choices=["fetch"], help="fetch: download and store")
    encodings.add_argument("name", metavar="NAME", help="gpt2, cl100k_base, o200k_base, ...")
    encodings.add_argument(
        "--to", metavar="DIR", default="vocabularies", help="folder (default: vocabularies)"
    )


def _add_project_commands(commands: Any) -> None:
    ui = _command(
        commands,
        "ui",
        run.ui,
        "MLflow's pages over this project's runs, on this machine only",
        "Serves the store that tracking.uri names at http://127.0.0.1:PORT until it is interrupted.",
        "ssl-lib ui --port 5000",
    )
    ui.add_argument("--port", type=_port, default=5000, help="default: 5000")
    _add_settings(ui)
    compare = _command(
        commands,
        "compare",
        run.compare,
        "differences between runs, with intervals",
        "Reads the runs' figures from MLflow and shows what differs: settings, losses, tasks with 95% intervals.\n"
        "A run is named by its id, the beginning of its id, or its name.",
        "ssl-lib compare 3f2a 91bc --figure difference.png",
    )
    compare.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="two runs or more; the first is the one compared with",
    )
    compare.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    compare.add_argument(
        "--figure", metavar="FILE", help="draw the differences into a .png, .svg or .pdf file"
    )
    _add_settings(compare)
    summary = _command(
        commands,
        "summary",
        run.summary,
        "the figures of the last run, and where to look",
        "Reads metrics/evaluation.json and shows losses and downstream tasks before and after pretraining.",
        "ssl-lib summary",
    )
    summary.add_argument("--json", action="store_true", help="the file itself")


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
    from ssl_lib.errors import UserError

    return (UserError, OSError)


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'input or output'}: {error.strerror}; mend that and run the command again"
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
