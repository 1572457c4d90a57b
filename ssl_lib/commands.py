"""What each command of the command line does with its options; `cli.py` has the grammar.

Only the standard library is imported at the top; each command imports what it needs.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shlex
import sys
import textwrap
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssl_lib.config import Settings

SPREAD = ("corpus", "tokenize")  # stages whose work can be spread over machines
TEXTS_AT_ONCE = 256  # lines of a file that a model answers together
SHOWN_NUMBERS = 12  # of a document, in the table of a sample


def run_stage(options: argparse.Namespace) -> None:
    """One of the stages of `dvc.yaml`, never beside another process of the same stage."""
    from ssl_lib.files import lock_path, output_lock

    settings = _settings(options)
    module, _, name = options.stage.partition(":")
    function = getattr(importlib.import_module(module), name)
    root = Path.cwd()
    # A killed `dvc` leaves its stage running; the next `dvc repro` would start another beside it.
    with ExitStack() as locked:
        # torchrun starts one process per device: the first one writes, and so holds the lock.
        if os.environ.get("RANK", "0") == "0":
            locked.enter_context(output_lock(lock_path(root, options.command)))
        more = []
        if settings.operation.dask and options.command in SPREAD:
            more.append(locked.enter_context(_dask_executor(settings.operation.dask)))
        function(settings, root, *more)


@contextmanager
def _dask_executor(address: str) -> Iterator[Executor]:
    """An executor on the workers of a Dask scheduler; `local`: of a cluster on this machine."""
    from ssl_lib.errors import UserError, require_extra

    require_extra("dask")
    # it has no types
    distributed: Any = importlib.import_module("distributed")
    try:
        client = distributed.Client(*([] if address == "local" else [address]))
    except (OSError, ValueError) as error:
        advice = "start `dask scheduler`, or leave operation.dask empty"
        raise UserError(f"operation.dask: {address} does not answer ({error}); {advice}") from None
    with client:
        yield client.get_executor()


def evaluate(options: argparse.Namespace) -> None:
    """Stage `evaluate`, then the decision whether its model becomes the champion.

    With `--sealed` neither of them: the sealed world alone.
    """
    from ssl_lib.errors import UserError
    from ssl_lib.experiments.promotion import challenge

    if options.sealed:
        _evaluate_sealed(options)
        return
    if options.again or options.json:
        option = "--again" if options.again else "--json"
        raise UserError(f"{option} needs --sealed; `ssl-lib summary --json` has the last results")
    run_stage(options)
    settings = _settings(options)
    try:
        decision = challenge(settings, Path.cwd())
    except UserError as error:
        # the evaluation is done, and no store that is away undoes it
        print(f"The champion stays as it is: {error}", file=sys.stderr)
        return
    _tell(decision.promoted, decision.reason)


def promote(options: argparse.Namespace) -> None:
    """`ssl-lib promote`."""
    from ssl_lib.experiments.promotion import challenge

    settings = _settings(options)
    decision = challenge(settings, Path.cwd(), options.run, asked=True, force=options.force)
    if options.json:
        print(json.dumps(decision.as_json(), ensure_ascii=False))
    else:
        _tell(decision.promoted, decision.reason)


def _tell(promoted: bool, reason: str) -> None:
    """One line about the champion."""
    outcome = "This run's model is the champion now" if promoted else "The champion stays as it is"
    print(f"{outcome}: {reason}")


def corpus(options: argparse.Namespace) -> None:
    """`ssl-lib corpus`: the stage, or a sample of what it would read."""
    from ssl_lib.errors import UserError

    if not options.sample:
        if options.json:
            raise UserError("--json shows a sample; give --sample N beside it")
        run_stage(options)
        return

    from ssl_lib.corpus.sample import sample_corpus

    settings = _settings(options)
    found = sample_corpus(settings, Path.cwd(), options.sample)
    if options.json:
        print(json.dumps(vars(found), ensure_ascii=False))
        return

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # what stands in a document is no markup: "[bold]" stays as it is
    documents = Table("document", "numbers", show_lines=True)
    for row in found.documents:
        # "data/sources/book.txt from 2000: book, train, 1998 characters"
        start = f" from {row['start']}" if "start" in row else ""
        about = f"{row['domain']}, {row['split']}, {row['characters']} characters"
        shown = Text(f"{row['source']}{start}: {about}\n", style="dim")
        shown.append(row["text"], style="default")
        numbers = row["numbers"][:SHOWN_NUMBERS]
        lines = []
        for number in numbers:
            value = "none" if number["value"] is None else f"{number['value']:.15g}"
            lines.append(f"{number['text']} = {value} ({number['form']})")
        if more := len(row["numbers"]) - len(numbers):
            lines.append(f"and {more} more")
        documents.add_row(shown, Text("\n".join(lines)))
    domains = Table("domain", "documents")
    for domain, size in found.domains.most_common():
        domains.add_row(Text(domain), str(size))
    rejected = Table("rejected as", "documents", "such as")
    for reason, row in found.rejected.items():
        example = row["example"].get("removed", row["example"])
        quoted = f"{example['source']}: {example['text']!r}"
        rejected.add_row(reason, str(row["documents"]), Text(quoted))
    console = Console()
    console.print(documents, domains, rejected, sep="\n")
    console.print(f"{found.read} texts read, nothing written.", highlight=False)


def _evaluate_sealed(options: argparse.Namespace) -> None:
    from ssl_lib.files import lock_path, output_lock
    from ssl_lib.sealed.stage import evaluate_sealed, show

    settings = _settings(options)
    root = Path.cwd()
    with output_lock(lock_path(root, "sealed")):
        record = evaluate_sealed(settings, root, options.again)
    if options.json:
        print(json.dumps(record, ensure_ascii=False))
    else:
        show(record)


def predict(options: argparse.Namespace) -> None:
    """`ssl-lib predict`."""
    from ssl_lib.errors import UserError
    from ssl_lib.predictor import load

    if options.text is None:
        asked = {"k": options.k, "tokens": options.tokens}
        rows = list(_answered(options, "next", "next", **asked))
        if options.output.endswith(".parquet"):
            for row in rows:
                # a column of a table has one type, and [word, probability] two
                row["next"] = [{"text": word, "probability": share} for word, share in row["next"]]
        _write(rows, options.output)
        return
    if options.files or options.output:
        raise UserError("give a text, or --files with --output; not both")
    model = load(options.model)
    # "2 + 3 is [MASK]." → the next words and the next number after "2 + 3 is", then the mask
    before_mask = options.text.split("[MASK]", 1)[0].rstrip()
    # {"text", "next": [[word, probability], ...], "number": {"value", "interval"}, "masks": ...}
    found: dict[str, Any] = {"text": options.text}
    if before_mask:
        number = model.predict_number(before_mask)
        low, high = number.interval
        found["next"] = model.predict_next(before_mask, options.k, options.tokens)
        exact = [list(pair) for pair in number.exact[: options.k]]
        found["number"] = {"value": number.value, "interval": [low, high], "exact": exact}
    if "[MASK]" in options.text:
        found["masks"] = model.fill_mask(options.text, tokens=options.tokens)
    if options.json:
        print(json.dumps(found, ensure_ascii=False))
        return

    for text, probability in found.get("next", []):
        # of tokens the spaces count
        shown = repr(text) if options.tokens else text
        print(f"next    {shown}  {probability:.1%}")
    if "number" in found:
        print(f"number  {number.value:.6g}  (90%: between {low:.6g} and {high:.6g})")
    for text, probability in found.get("masks", []):
        shown = repr(text) if options.tokens else text
        print(f"[MASK]  {shown}  {probability:.1%}")


def embed(options: argparse.Namespace) -> None:
    """`ssl-lib embed`."""
    import numpy as np

    if not options.output.endswith(".npy"):
        _write(_answered(options, "embed", "embedding"), options.output)
        return
    # one row a text, of length 1: [N, D] float32
    rows = [row["embedding"] for row in _answered(options, "embed", "embedding")]
    np.save(options.output, np.array(rows, dtype=np.float32))


def denoise(options: argparse.Namespace) -> None:
    """`ssl-lib denoise`."""
    rows = []
    for row in _answered(options, "denoise", "found", threshold=options.threshold):
        found = row.pop("found")
        rows.append(row | {"denoised": found["text"], "changes": found["changes"]})
    if options.output:
        _write(rows, options.output)
        return
    for row in rows:
        print(row["denoised"])
        for change in row["changes"]:
            sure = f"{change['probability']:.1%}"
            print(f"  {change['before']!r} -> {change['after']!r}  {sure}")


def _answered(
    options: argparse.Namespace, task: str, key: str, **asked: Any
) -> Iterator[dict[str, Any]]:
    """`{"text", key: answer}` for each line of the files that is not blank, batch by batch."""
    from ssl_lib.predictor import load
    from ssl_lib.progress import progress_bar
    from ssl_lib.serving import answers

    texts: list[str] = []
    for file in options.files or ["-"]:
        texts += [line for line in _read_text(file).splitlines() if line.strip()]
    model = load(options.model)
    with progress_bar(task, "texts", len(texts)) as bar:
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            part = texts[start : start + TEXTS_AT_ONCE]
            for text, answer in zip(part, answers(model, task, part, **asked), strict=True):
                yield {"text": text, key: answer}
            bar.advance(len(part))


def _write(rows: Iterable[dict[str, Any]], output: str) -> None:
    """Rows as JSON lines, or as a table where the output ends in .parquet; "": to stdout."""
    if output.endswith(".parquet"):
        import pandas

        pandas.DataFrame(list(rows)).to_parquet(output, index=False)
        return
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if output:
        Path(output).write_text("".join(lines), encoding="utf-8")
    else:
        sys.stdout.writelines(lines)


def serve(options: argparse.Namespace) -> None:
    """`ssl-lib serve`."""
    from ssl_lib.serving import serve

    serve(options.model, options.port)


def numbers(options: argparse.Namespace) -> None:
    """`ssl-lib numbers`."""
    from ssl_lib.numbers import find_numbers
    from ssl_lib.serving import number_row

    files = options.files or ["-"]
    rows: list[dict[str, Any]] = []
    for file in files:
        # of several files each number tells its own
        named = {"file": file} if len(files) > 1 else {}
        rows += [named | number_row(number) for number in find_numbers(_read_text(file))]
    if options.json or options.output:
        _write(rows, options.output)
        return

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    columns = ("text", "value", "uncertainty", "unit", "canonical_unit", "form", "start", "end")
    # ± as long as people write it
    table = Table(*("±" if key == "uncertainty" else key.replace("_", " ") for key in columns))
    for row in rows:
        cells = []
        for key in columns:
            cell = "" if row[key] is None else row[key]
            cells.append(Text(f"{cell:.15g}" if isinstance(cell, float) else str(cell)))
        table.add_row(*cells)
    Console().print(table)


def fetch_encoding(options: argparse.Namespace) -> None:
    """`ssl-lib encodings fetch`."""
    from ssl_lib.tokens import fetch

    print(fetch.fetch_encoding(options.name, options.to))


def summary(options: argparse.Namespace) -> None:
    """`ssl-lib summary`."""
    from ssl_lib.errors import UserError
    from ssl_lib.evaluation.skills import SKILLS

    path = Path("metrics/evaluation.json")
    if not path.exists():
        raise UserError(f"{path} does not exist yet; run `make run` or `dvc repro` first")
    text = path.read_text(encoding="utf-8")
    if options.json:
        sys.stdout.write(text)
        return

    def before_after(name: str, row: dict[str, Any]) -> str:
        return f"{name:<24}{row['before']:>10.3f}{row['after']:>10.3f}"

    evaluation = json.loads(text)
    print(f"{'held-out loss':<24}{'before':>10}{'after':>10}{'reduction':>12}")
    for name, loss in evaluation["losses"].items():
        print(before_after(name, loss) + f"{loss['reduction']:>12.0%}")
    print(f"\n{'skill of objective':<24}{'before':>10}{'after':>10}   metric")
    for name, skill in (evaluation.get("skills") or {}).items():
        print(before_after(name, skill) + f"   {SKILLS[name].title.lower()}")
    print(f"\n{'downstream task':<24}{'before':>10}{'after':>10}   metric")
    for name, task in evaluation["downstream"].items():
        print(before_after(name, task) + f"   {task['metric']}")
    files = evaluation.get("external") or {}
    if files:
        print(f"\n{'file of your own':<24}{'before':>10}{'after':>10}   metric")
    for name, row in files.items():
        if "error" in row:
            print(f"{name:<24} not evaluated: {row['error']}")
        else:
            print(before_after(name, row) + f"   {row['metric']}")
    examples = evaluation.get("guide_examples") or []
    if examples:
        right = sum(row["right"] for row in examples)
        print(f"\nexamples of the guide: {right} of {len(examples)} right")
    for row in examples:
        wanted = "" if row["right"] else f"   (expected: {row['expected']})"
        print(f"{'ok   ' if row['right'] else 'wrong'} {row['asked']}  {row['answered']}{wanted}")
    command = Path(sys.executable).parent / "ssl-lib"
    print(f"\nReport:   {Path('report/index.html').resolve()}")
    print(f"Runs:     {command} ui")
    print(f"Try it:   {command} predict 'The sum of 2 + 3 is'")


def preset(options: argparse.Namespace) -> None:
    """`ssl-lib preset`."""
    from ssl_lib.config import preset_values, words_of
    from ssl_lib.errors import UserError

    params = Path(options.params)
    if options.name:
        words = words_of(preset_values(options.name, params))
        # what a shell would take apart, such as a list, stands in quotes
        print(" ".join(f"-S {shlex.quote(word)}" for word in words))
        return
    files = sorted((params.parent / "params").glob("*.yaml"))
    if not files:
        raise UserError(f"{params.parent / 'params'}: has no presets; run from the project's root")
    for path in files:
        comment, _, _ = path.read_text(encoding="utf-8").partition("\n\n")
        print(f"{path.stem}:\n{textwrap.indent(comment.replace('# ', ''), '  ')}")


def ui(options: argparse.Namespace) -> None:
    """`ssl-lib ui`."""
    from ssl_lib.tracking import serve_ui

    serve_ui(_settings(options), Path.cwd(), options.port)


def sync(options: argparse.Namespace) -> None:
    """`ssl-lib sync`."""
    from ssl_lib.tracking import sync

    sent = sync(_settings(options), Path.cwd())
    print(f"{sent:,} metrics, files and tags were sent" if sent else "Nothing was waiting")


def compare(options: argparse.Namespace) -> None:
    """`ssl-lib compare`."""
    from ssl_lib.experiments import comparison

    settings = _settings(options)
    found = comparison.compare(settings, Path.cwd(), options.runs)
    if options.figure:
        comparison.draw(found, Path(options.figure))
    if options.json:
        print(json.dumps(found.as_json(), ensure_ascii=False))
    else:
        comparison.show(found)


def run_ablation(options: argparse.Namespace) -> None:
    """`ssl-lib ablate`."""
    from ssl_lib.experiments.ablation import ablate
    from ssl_lib.experiments.transfer import show
    from ssl_lib.files import lock_path, output_lock

    root = Path.cwd()
    settings = _settings(options)
    # "mlm+ntp,all" → ["mlm+ntp", "all"]
    subsets = [label for label in options.subsets.split(",") if label]
    size = (options.seeds, options.steps, options.workers)
    with output_lock(lock_path(root, "ablate")):
        found = ablate(settings, root, subsets, options.every, *size)
    if options.json:
        print(json.dumps(found))
    else:
        show(found)


def _settings(options: argparse.Namespace) -> Settings:
    """Those of the file, changed by a preset, by `--set` and by what is short for one."""
    from ssl_lib.config import load_settings

    overrides = [*options.overrides]
    if getattr(options, "baselines", None):
        overrides.append(f"evaluation.baselines={options.baselines}")
    return load_settings(options.params, overrides, options.preset)


def _read_text(file: str) -> str:
    """The content of a UTF-8 file, or of standard input for "-"; UserError names the bad line."""
    from ssl_lib.errors import UserError

    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        advice = "name a text file or - for standard input"
        raise UserError(f"{file} cannot be read ({error.strerror}); {advice}") from None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(f"{file}, line {line}: not UTF-8 text; convert the file first") from None
