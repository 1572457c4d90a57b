"""What the figures rest on: contamination, corpus, settings, commit, time, hardware."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ssl_lib.config import Settings
from ssl_lib.report.formats import count, duration, known, name, percent, short
from ssl_lib.report.inputs import Inputs, at
from ssl_lib.report.markup import Html, absent, folded, join, listed, paragraph, table


def contamination(inputs: Inputs) -> Html:
    """How much of the test occurs in the training text."""
    rows = inputs.evaluation.get("contamination") or inputs.details.get("contamination") or {}
    if not rows:
        return absent("metrics/evaluation.json holds no check of contamination.")
    head = [
        "Texts of",
        "n",
        "sharing a 13-gram",
        "share",
        "too short",
        "13-grams",
        "shared",
        "stated in training",
    ]
    body = [
        [name(key), count(row.get("texts")), count(row.get("contaminated")),
         percent(row["contaminated"] / row["texts"], 2) if row.get("texts") and known(row.get("contaminated")) else "–",
         count(row.get("too_short")), count(row.get("ngrams")), count(row.get("shared")),
         count(row.get("stated_in_training"))]
        for key, row in rows.items()
    ]  # fmt: skip
    words = (
        "A text shares a 13-gram if any 13 consecutive tokens of it stand in a training document; texts of fewer "
        "tokens cannot and are counted apart. Stated in training counts four-choice items whose true sentence, word "
        "for word, is in the training text."
    )
    held_out = rows.get("held_out_documents") or {}
    if known(held_out.get("for_losses")):
        words += (
            " No text that shares a 13-gram was asked: held-out losses, too, are taken on the "
            f"{count(held_out['for_losses'])} documents without any. Only where every text of a task shares one are "
            "they asked all the same; the share is then 100%."
        )
    return join(
        table("Test texts that repeat training text", head, body), paragraph(words, class_="note")
    )


def corpus(inputs: Inputs) -> Html:
    """Documents by split and domain, what was left out, digests."""
    manifest = inputs.manifest
    if not manifest:
        return absent("data/raw/manifest.json is missing: the corpus is not described.")
    splits = ("train", "validation", "test")
    rows = [
        [domain, *(count(at(found, split)) for split in splits)]
        for domain, found in (manifest.get("domains") or {}).items()
    ]
    foot = ["All", *(count(at(manifest, "documents", split)) for split in splits)]
    left_out = [
        f"{count(value)} {label}"
        for group, label_of in (
            ("duplicates", "{} duplicates"),
            ("rejected", "{}"),
            ("left_out", "left out by {}"),
        )
        for reason, value in (manifest.get(group) or {}).items()
        for label in [label_of.format(reason.replace("_", " "))]
        if value
    ]
    facts = [("Corpus", manifest.get("name", "–")), ("Left out", ", ".join(left_out) or "nothing")]
    facts += [(f"Bytes, {split}", count(at(manifest, "bytes", split))) for split in splits]
    facts += list(inputs.digests.items())
    return join(listed(facts), table("Documents by domain", ["Domain", *splits], rows, foot=foot))


def circumstances(inputs: Inputs, written: str) -> Html:
    """Commit, run, time, hardware."""
    train, hardware = inputs.train, inputs.train.get("hardware") or {}
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
        *((name(key), "none" if value is None else str(value)) for key, value in hardware.items()),
    ]
    note = (
        None
        if train
        else absent("metrics/train.json is missing: steps, speed and hardware are not known.")
    )
    return join(note, listed(facts), _seconds(seconds))


def settings_table(settings: Settings, inputs: Inputs) -> Html:
    """Every setting; where tuning has chosen another value, that one is shown beside it."""
    rows = [
        [key, _shown(value), _shown(inputs.best[key]) if key in inputs.best else ""]
        for key, value in flat(settings.model_dump(mode="json"))
        if not key.startswith("tracking.uri")
    ]
    head = ["Setting", "params.yaml", "chosen by tuning"]
    words = paragraph(
        "Settings of this run; a value that tuning has chosen is the one that training used."
    )
    return join(words, folded(f"All {len(rows)} settings", table("Settings", head, rows)))


def flat(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of a tree of settings under dotted keys."""
    if isinstance(tree, (dict, list)) and tree:
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from flat(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, tree


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return short(value, 6)
    return "empty" if value in ("", None) else str(value)


def _seconds(seconds: dict[str, Any]) -> Html | None:
    apart = {
        key: value
        for key, value in seconds.items()
        if key not in ("train", "evaluate") and known(value)
    }
    if not apart:
        return None
    rows = [[name(key), duration(value)] for key, value in apart.items()]
    return folded("Time of each measure", table("Time of each measure", ["Measure", "Time"], rows))
