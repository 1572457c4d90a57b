"""What the results rest on: contamination, corpus, settings, commit, time, hardware."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ssl_lib.config import Settings
from ssl_lib.report.inputs import Inputs, at, known
from ssl_lib.report.markup import (
    NONE,
    Html,
    absent,
    count,
    duration,
    folded,
    join,
    listed,
    name,
    note,
    paragraph,
    percent,
    short,
    spaced,
    table,
)

SPLITS = ("train", "validation", "test")


def contamination(inputs: Inputs) -> Html:
    """How much of the test occurs in the training text."""
    found = inputs.evaluation.get("contamination") or inputs.details.get("contamination") or {}
    if not found:
        return absent("metrics/evaluation.json holds no check of contamination.")
    rows = []
    for key, counts in found.items():
        texts = counts.get("texts")
        shared = counts.get("contaminated")
        share = percent(shared / texts, 2) if texts and known(shared) else NONE
        # Texts of fewer than 13 tokens; 13-grams of all texts, and those that training has too.
        others = ("too_short", "ngrams", "shared", "stated_in_training")
        counted = [count(counts.get(other)) for other in others]
        rows.append([name(key), count(texts), count(shared), share, *counted])
    head = ["Texts of", "n", "sharing a 13-gram", "share"]
    head += ["too short", "13-grams", "shared", "stated in training"]
    words = (
        "A text shares a 13-gram if any 13 consecutive tokens of it stand in a training document; "
        "texts of fewer tokens cannot and are counted apart. Stated in training counts four-choice "
        "items whose true sentence, word for word, is in the training text."
    )
    clean = at(found, "held_out_documents", "for_losses")
    if known(clean):
        words += (
            " No text that shares a 13-gram was asked: held-out losses, too, are taken on the "
            f"{count(clean)} documents without any. Only where every text of a task shares one are "
            "they asked all the same; the share is then 100%."
        )
    return join(table("Test texts that repeat training text", head, rows), note(words))


def corpus(inputs: Inputs) -> Html:
    """Documents by split and domain, what was left out, digests."""
    manifest = inputs.manifest
    if not manifest:
        return absent("data/raw/manifest.json is missing: the corpus is not described.")
    # {"duplicates": {"exact": 120}, "rejected": {"empty": 3}} → 120 exact duplicates, 3 empty
    left_out = []
    for group, words in (
        ("duplicates", "{} duplicates"),
        ("rejected", "{}"),
        ("left_out", "left out by {}"),
    ):
        for reason, documents in (manifest.get(group) or {}).items():
            if documents:
                label = words.format(spaced(reason))
                left_out.append(f"{count(documents)} {label}")
    facts = [("Corpus", manifest.get("name", NONE)), ("Left out", ", ".join(left_out) or "nothing")]
    facts += [(f"Bytes, {split}", count(at(manifest, "bytes", split))) for split in SPLITS]
    facts += list(inputs.digests.items())

    rows = []
    for domain, documents in (manifest.get("domains") or {}).items():
        rows.append([domain, *(count(at(documents, split)) for split in SPLITS)])
    foot = ["All", *(count(at(manifest, "documents", split)) for split in SPLITS)]
    by_domain = table("Documents by domain", ["Domain", *SPLITS], rows, foot=foot)
    return join(listed(facts), by_domain)


def run_metadata(inputs: Inputs, written: str) -> Html:
    """Commit, run, time, hardware; `written` is the moment at which the page was written."""
    train = inputs.train
    seconds = inputs.evaluation.get("seconds") or {}
    facts = [
        ("Git commit of the project", inputs.commit or "none"),
        ("MLflow run", inputs.run.get("run_id") or "none"),
        ("Page written", written),
        ("Training", duration(seconds.get("train") or train.get("seconds"))),
        ("Evaluation", duration(seconds.get("evaluate"))),
        ("Steps", count(train.get("steps"))),
        ("Tokens trained on", count(train.get("tokens"))),
        ("Tokens a second", count(train.get("tokens_per_second"))),
        ("Parameters", count(train.get("parameters"))),
    ]
    for key, value in (train.get("hardware") or {}).items():
        facts.append((name(key), "none" if value is None else str(value)))
    missing = None
    if not train:
        missing = absent("metrics/train.json is missing: steps, speed and hardware are not known.")

    # The seconds of single measures; the whole of both stages stands above.
    rows = []
    for key, value in seconds.items():
        if key not in ("train", "evaluate") and known(value):
            rows.append([name(key), duration(value)])
    times = None
    if rows:
        title = "Time of each measure"
        times = folded(title, table(title, ["Measure", "Time"], rows))
    return join(missing, listed(facts), times)


def settings_table(settings: Settings, inputs: Inputs) -> Html:
    """Every setting; where tuning has chosen another value, that one is shown beside it."""
    rows = []
    for key, value in flat(settings.model_dump(mode="json")):
        # The address of the tracking store may hold a password.
        if not key.startswith("tracking.uri"):
            tuned = _shown(inputs.best[key]) if key in inputs.best else ""
            rows.append([key, _shown(value), tuned])
    words = "Settings of this run; a value that tuning has chosen is the one that training used."
    head = ["Setting", "params.yaml", "chosen by tuning"]
    every = table("Settings", head, rows)
    return join(paragraph(words), folded(f"All {len(rows)} settings", every))


def flat(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of a tree of settings under dotted keys: `objectives.mlm.weight`, 1.0."""
    if isinstance(tree, (dict, list)) and tree:
        children = tree.items() if isinstance(tree, dict) else enumerate(tree)
        for key, value in children:
            yield from flat(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, tree


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return short(value, 6)
    if value in ("", None):
        return "empty"
    return str(value)
