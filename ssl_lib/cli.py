"""Command line: `ssl-lib COMMAND`, the same as `python -m ssl_lib COMMAND`.

`COMMANDS` says what each command is called, what its help teaches and which options it takes;
commands.py has what each of them does. Only the standard library is imported at the top, so that
`--help` answers at once.

Exit status: 0; 1 for an error that the user can fix (one sentence on stderr); 2 for wrong usage;
130 when interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ssl_lib import commands as run
from ssl_lib.errors import UserError, missing_extra, require_extra
from ssl_lib.processes import let_threads_sleep

DESCRIPTION = """\
Self-supervised pretraining on text full of numbers: five objectives, one shared encoder.
`dvc repro` runs those of the five stages, in order, whose inputs have changed."""

EXAMPLES = """\
Examples:
  ssl-lib train --set training.steps=500
  ssl-lib predict 'The sum of 2 + 3 is'
  ssl-lib COMMAND --help"""


class Option(NamedTuple):
    """One option or positional argument: the parameters of `ArgumentParser.add_argument`."""

    flags: tuple[str, ...]
    settings: dict[str, Any]


class Command(NamedTuple):
    """One command: the function that runs it, what its help teaches, its options.

    Of the options in `exclusive` only one may be given. A stage has a `stage` too,
    `module:function`, which is called with the settings and the project's root. `extra` is what
    must be installed beyond the base, as in `pip install 'ssl-lib[tuning]'`.
    """

    function: Callable[[argparse.Namespace], None]
    summary: str
    description: str
    example: str
    options: Sequence[Option] = ()
    exclusive: Sequence[Option] = ()
    stage: str = ""
    extra: str = ""


def option(*flags: str, **settings: Any) -> Option:
    """What `add_argument` takes, kept until the parser is built."""
    return Option(flags, settings)


def positive(text: str) -> int:
    """A whole number from 1 on. Raises ArgumentTypeError for another."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def port(text: str) -> int:
    """A port of TCP. Raises ArgumentTypeError for a number that is none."""
    value = int(text)
    if not 1 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"must be between 1 and 65535, got {value}")
    return value


# What several commands share. COUNT is completed in its place: `option("-k", default=5, **COUNT)`.
COUNT: dict[str, Any] = {"type": positive, "metavar": "N"}
SETTINGS = (
    option(
        "--params",
        metavar="FILE",
        default="params.yaml",
        help="settings file (default: %(default)s)",
    ),
    option(
        "--preset",
        metavar="NAME",
        default="",
        help="change the settings as params/NAME.yaml does, such as gpu; `ssl-lib preset` lists",
    ),
    option(
        "--set",
        metavar="SECTION.KEY=VALUE",
        action="append",
        default=[],
        dest="overrides",
        help="change one setting for this run; may be repeated",
    ),
)
MODEL = option(
    "--model",
    metavar="FOLDER",
    default="model",
    help="a folder, models:/NAME@ALIAS or runs:/ID/model (default: %(default)s)",
)
FILES = option("files", nargs="*", metavar="FILE", help="text files; none, or -: standard input")
OUTPUT = option(
    "--output", "--to", dest="output", default="", metavar="FILE", help=".jsonl or .parquet"
)

# In the order in which `dvc repro` runs them; `--baselines` and the like are short for a `--set`.
STAGES = {
    "corpus": Command(
        run.corpus,
        "text in, documents out: data/raw/",
        "Reads the sources that params.yaml names, normalises them, removes duplicates and splits\n"
        "by document into data/raw/{train,validation,test}.jsonl; manifest.json says what was\n"
        "rejected and why. With --sample it writes nothing, and shows the first documents of each\n"
        "source, the numbers in them, and what would be rejected.",
        "ssl-lib corpus --sample 5 --set corpus.sources.0.path=data/sources/notes.txt",
        (
            option("--sample", **COUNT, help="show the first N documents of each source instead"),
            option("--json", action="store_true", help="the sample as one JSON object"),
            *SETTINGS,
        ),
        stage="ssl_lib.corpus:build_corpus",
    ),
    "tokenize": Command(
        run.run_stage,
        "documents in, tokens and numbers out: data/tokenized/",
        "Trains the encoding on the corpus, or takes the one that tokens.encoding names, and\n"
        "stores the token ids with every number's span, value and written form beside them.",
        "ssl-lib tokenize --set tokens.encoding=gpt2",
        SETTINGS,
        stage="ssl_lib.tokens.store:tokenize",
    ),
    "tune": Command(
        run.run_stage,
        "loss weights, temperature, learning rate: tuning/",
        "Short trials with early pruning. tuning/best.yaml holds what train will use,\n"
        "tuning/trials.csv every trial.",
        "ssl-lib tune --set tuning.trials=20 --set tuning.workers=2",
        SETTINGS,
        stage="ssl_lib.experiments.tuning:tune",
    ),
    "train": Command(
        run.run_stage,
        "one model, five objectives: model/, metrics/train.json",
        "Pretrains the shared encoder with all objectives whose weight is above 0. Interrupted,\n"
        "it goes on where it was when it is started again with the same settings.",
        "ssl-lib train --set training.steps=500 --set objectives.contrastive.weight=0",
        SETTINGS,
        stage="ssl_lib.training.stage:train",
    ),
    "evaluate": Command(
        run.evaluate,
        "the model against its randomly initialised twin: metrics/, report/",
        "Held-out losses and downstream tasks, before and after pretraining, on documents that\n"
        "nothing has seen: metrics/evaluation.json, and report/index.html to read. --sealed asks\n"
        "a second world of items instead, once for a release: metrics/sealed.json alone.",
        "ssl-lib evaluate --set evaluation.items=200",
        (
            option(
                "--baselines",
                choices=["none", "quick"],
                help="short for --set evaluation.baselines=...; none leaves the plain methods out",
            ),
            option(
                "--sealed",
                action="store_true",
                help="ask the sealed second world, for the figures of a release, and nothing else",
            ),
            option(
                "--again",
                metavar="WHY",
                default="",
                help="with --sealed: open it once more for this version; WHY is recorded",
            ),
            option(
                "--json",
                action="store_true",
                help="with --sealed: one JSON object instead of a table",
            ),
            *SETTINGS,
        ),
        stage="ssl_lib.report:evaluate",
        extra="report",
    ),
}
MODEL_COMMANDS = {
    "predict": Command(
        run.predict,
        "next words, the next number, and what stands behind [MASK]",
        "The most probable next words and whole numbers; the number that comes next, with an\n"
        "interval; and, where the text holds [MASK], what stands there.",
        "ssl-lib predict 'The sum of 2 + 3 is [MASK].' --model model -k 3",
        (
            option("text", nargs="?", help="the beginning of a text, or a text with [MASK] in it"),
            option("--files", nargs="+", metavar="FILE", help="a text on each line; - is stdin"),
            OUTPUT,
            option("-k", default=5, **COUNT, help="how many candidates (default: 5)"),
            option("--tokens", action="store_true", help="tokens instead of whole words"),
            option("--json", action="store_true", help="one JSON object instead of a table"),
            MODEL,
        ),
    ),
    "embed": Command(
        run.embed,
        "one vector per line of text",
        "Reads one text per line and writes unit-length float32 vectors: an array [lines, width]\n"
        "where --output ends in .npy, a table where it ends in .parquet, else JSON lines\n"
        '{"text", "embedding"}.',
        "ssl-lib embed sentences.txt --output vectors.npy",
        (FILES, OUTPUT, MODEL),
    ),
    "denoise": Command(
        run.denoise,
        "noisy lines of text rebuilt, and what was changed",
        "Reads one text per line and replaces what the model is sure is wrong; below each line\n"
        "that changes stand the changes, with probabilities. --output takes JSON lines or a table\n"
        '{"text", "denoised", "changes"}.',
        "echo 'The sun of 2 + 3 si 5' | ssl-lib denoise",
        (
            FILES,
            option("--threshold", type=float, help="least probability of a change"),
            OUTPUT,
            MODEL,
        ),
    ),
    "serve": Command(
        run.serve,
        "answer requests to a model over HTTP, on this machine only",
        "POST texts to http://127.0.0.1:PORT/embed, /next, /number, /fill_mask, /denoise or\n"
        "/numbers; each text gets one answer. /docs shows what a request holds, and tries it.\n"
        "A request holds at most 1,000 texts of 100,000 characters and 16 MB, waits at most 60 s\n"
        "for others, and must name 127.0.0.1 or localhost as its host.",
        "ssl-lib serve & curl localhost:5001/number -H 'Content-Type: application/json' \\\n"
        """    -d '{"texts": ["The sum of 2 + 3 is"]}'""",
        (option("--port", type=port, default=5001, help="default: %(default)s"), MODEL),
        extra="serving",
    ),
}
TEXT_COMMANDS = {
    "numbers": Command(
        run.numbers,
        "the numbers in a text, with value, unit and written form",
        "Finds every number the way the pipeline does: 1,234.5 as well as 12%, $3.4 million,\n"
        "5 March or twenty-one; with its uncertainty and unit where they are written.",
        "echo 'Revenue rose 12% to $3.4 million.' | ssl-lib numbers -",
        (
            FILES,
            option("--json", action="store_true", help="JSON lines instead of a table"),
            OUTPUT,
        ),
    ),
    "encodings": Command(
        run.fetch_encoding,
        "fetch a tiktoken vocabulary for use offline",
        "Downloads the vocabulary of a tiktoken encoding and checks it. A machine without a\n"
        "network uses it when TIKTOKEN_CACHE_DIR names the folder.",
        "ssl-lib encodings fetch cl100k_base --to vocabularies",
        (
            option("action", choices=["fetch"], help="fetch: download and store"),
            option("name", metavar="NAME", help="gpt2, cl100k_base, o200k_base, ..."),
            option(
                "--to", metavar="DIR", default="vocabularies", help="folder (default: %(default)s)"
            ),
        ),
    ),
}
RUN_COMMANDS = {
    "summary": Command(
        run.summary,
        "the results of the last run, and where to look",
        "Reads metrics/evaluation.json and shows losses and downstream tasks before and after\n"
        "pretraining.",
        "ssl-lib summary",
        (option("--json", action="store_true", help="the file itself"),),
    ),
    "preset": Command(
        run.preset,
        "settings for a larger machine: what there is, or what one changes",
        "Lists the presets in params/ and what each expects of a machine. With a NAME it prints\n"
        "what that preset changes, as `dvc exp run` takes it:\n"
        "  dvc exp run $(ssl-lib preset gpu)",
        "ssl-lib preset gpu",
        (
            option("name", nargs="?", default="", help="a preset, such as gpu; empty: list them"),
            SETTINGS[0],
        ),
    ),
    "ui": Command(
        run.ui,
        "MLflow's pages over this project's runs, on this machine only",
        "Serves the store that tracking.uri names at http://127.0.0.1:PORT, until interrupted.",
        "ssl-lib ui --port 5000",
        (option("--port", type=port, default=5000, help="default: %(default)s"), *SETTINGS),
        extra="tracking",
    ),
    "sync": Command(
        run.sync,
        "send what waited while an MLflow server was away",
        "A run whose server does not answer goes on, and keeps metrics and files in\n"
        ".ssl_lib/outbox. The next run sends them, or this command.",
        "ssl-lib sync",
        SETTINGS,
        extra="tracking",
    ),
    "compare": Command(
        run.compare,
        "differences between runs, with intervals",
        "Reads the runs' metrics from MLflow and shows what differs: settings, losses, tasks with\n"
        "95% intervals. A run is named by its id, the beginning of its id, or its name.",
        "ssl-lib compare 3f2a 91bc --figure difference.png",
        (
            option(
                "runs", nargs="+", metavar="RUN", help="two or more; the first is the reference"
            ),
            option("--json", action="store_true", help="one JSON object instead of a table"),
            option("--figure", metavar="FILE", help="draw the differences: .png, .svg or .pdf"),
            *SETTINGS,
        ),
        extra="tracking",
    ),
    "promote": Command(
        run.promote,
        "make a run's model the champion, if it is better than the present one",
        "Compares the run with the champion on the same held-out items and moves the name\n"
        "models:/NAME@champion where the interval of the mean of the downstream tasks lies above\n"
        "0. `evaluate` asks the same of every run but those of DVC's queue and of --temp. Every\n"
        "decision is kept with the run, with its reason.",
        "ssl-lib promote 3f2a",
        (
            option("run", metavar="RUN", help="an id, the beginning of one, or a name"),
            option("--force", action="store_true", help="whatever the comparison would say"),
            option("--json", action="store_true", help="one JSON object instead of a sentence"),
            *SETTINGS,
        ),
        extra="tracking",
    ),
    "ablate": Command(
        run.run_ablation,
        "what each objective adds: models trained with some of them, ablation/",
        "Trains models with subsets of the objectives at equal tokens, as nested MLflow runs, and\n"
        "writes the transfer matrix: held-out losses against those of the models of a single\n"
        "objective, and downstream results. By default: single objectives, all of them, and all\n"
        "but one. Interrupted, it goes on with the models that are missing.",
        "ssl-lib ablate --subsets mlm+ntp,all-mlm,all --seeds 3 --steps 500 --workers 2",
        (
            option("--seeds", default=1, **COUNT, help="models of each subset (default: 1)"),
            option("--steps", **COUNT, help="of each model (default: training.steps)"),
            option("--workers", default=1, **COUNT, help="models at a time (default: 1)"),
            option("--json", action="store_true", help="ablation/results.json instead of a table"),
            *SETTINGS,
        ),
        exclusive=(
            option("--subsets", metavar="LIST", default="", help="such as mlm+ntp,all,all-ntp"),
            option(
                "--all", action="store_true", dest="every", help="every combination, 31 of five"
            ),
        ),
        extra="report",
    ),
}
# The order of `ssl-lib --help`.
GROUPS = {
    "Stages": STAGES,
    "A trained model": MODEL_COMMANDS,
    "Text and encodings": TEXT_COMMANDS,
    "Runs and studies": RUN_COMMANDS,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status (argparse itself exits with 2 on wrong usage)."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.command == "predict" and options.text is None and not options.files:
        parser.error("predict needs a text, or --files FILE (- is standard input)")
    let_threads_sleep()
    try:
        # Without this, a missing package would be found after minutes of work.
        if options.extra:
            require_extra(options.extra)
        options.function(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough: nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (UserError, OSError, ModuleNotFoundError) as error:
        # Any other error is a defect of the program and keeps its traceback.
        told = missing_extra(error) if isinstance(error, ModuleNotFoundError) else error
        if told is None or options.debug:
            raise
        sentence = str(told)
        if isinstance(error, OSError) and error.strerror:
            place = error.filename or "input or output"
            sentence = f"{place}: {error.strerror}; fix that and run the command again"
        print(f"ssl-lib {options.command}: {sentence}", file=sys.stderr)
        return 1
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The whole grammar of the command line."""
    overview = [DESCRIPTION]
    for title, group in GROUPS.items():
        # "  corpus     text in, documents out: data/raw/"
        lines = [f"  {name:<11}{command.summary}" for name, command in group.items()]
        overview.append("\n".join([f"{title}:", *lines]))
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="ssl-lib",
        description="\n\n".join(overview),
        epilog=EXAMPLES,
        formatter_class=layout,
    )
    parsers = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", help="one of the above"
    )
    for group in GROUPS.values():
        for name, command in group.items():
            one = parsers.add_parser(
                name,
                description=command.description,
                epilog=f"Example:\n  {command.example}",
                formatter_class=layout,
            )
            one.set_defaults(function=command.function, stage=command.stage, extra=command.extra)
            for flags, settings in command.options:
                one.add_argument(*flags, **settings)
            # argparse cannot print the usage of a group without members.
            if command.exclusive:
                group_of_one = one.add_mutually_exclusive_group()
                for flags, settings in command.exclusive:
                    group_of_one.add_argument(*flags, **settings)
            one.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


if __name__ == "__main__":
    sys.exit(main())
