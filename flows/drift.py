"""The corpus of tonight against that of the champion: what is new, and how far it has drifted.

A profile counts what a corpus is made of; each model's is kept under its run, so that the profile
of the champion's corpus is there when a later corpus is compared with it.
"""

from __future__ import annotations

import base64
import io
import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ssl_lib.drawing import blank
from ssl_lib.files import write_atomically
from ssl_lib.numbers import FORMS

SAMPLED_BYTES = 20_000_000  # of text, evenly over the corpus, for the vocabulary
KEPT_WORDS = 20_000
WORD = re.compile(r"[^\W\d_]+")
Profile = dict[str, Any]


def profile(root: Path) -> Profile:
    """Counts of the training split: documents, domains, numbers by form and magnitude, words.

    Empty where there is no corpus yet.
    """
    # {"documents": {"train": 812, …}, "domains": {"finance": {"train": 300, …}, …}, …}
    manifest = root / "data" / "raw" / "manifest.json"
    numbers_file = root / "data" / "tokenized" / "train" / "numbers.npy"
    if not manifest.exists() or not numbers_file.exists():
        return {}
    told = json.loads(manifest.read_text(encoding="utf-8"))
    domains = {name: sizes["train"] for name, sizes in told["domains"].items()}
    numbers = np.load(numbers_file, mmap_mode="r")
    # how many numbers have the form of each index; forms that do not occur are left out
    counts = np.bincount(np.asarray(numbers["form"]), minlength=len(FORMS))
    forms = {name: int(count) for name, count in zip(FORMS, counts, strict=False) if count}
    words = _words(root / "data" / "raw" / "train.jsonl")
    return {
        "documents": told["documents"]["train"],
        "numbers": len(numbers),
        "domains": domains,
        "forms": forms,
        "magnitudes": _magnitudes(np.asarray(numbers["value"])),
        "words": dict(words.most_common(KEPT_WORDS)),
    }


def _magnitudes(values: np.ndarray) -> dict[str, int]:
    """How many numbers have which order of magnitude: `{"0": 12, "1e3": 5, "not a value": 1}`."""
    finite = np.isfinite(values)
    sizes = np.abs(values[finite])
    # 340 → 2, which becomes "1e2"
    exponents = np.floor(np.log10(sizes[sizes > 0])).astype(int)
    found = {"0": int((sizes == 0).sum()), "not a value": int((~finite).sum())}
    places, counts = np.unique(exponents, return_counts=True)
    for place, count in zip(places.tolist(), counts.tolist(), strict=True):
        found[f"1e{place}"] = count
    return {name: count for name, count in found.items() if count}


def _words(path: Path) -> Counter[str]:
    """How often each word occurs, in every k-th document."""
    step = max(1, math.ceil(path.stat().st_size / SAMPLED_BYTES))
    words: Counter[str] = Counter()
    with path.open("rb") as lines:
        for number, line in enumerate(lines):
            if number % step == 0:
                text = json.loads(line)["text"].lower()
                words.update(WORD.findall(text))
    return words


def divergence(first: Mapping[str, int], other: Mapping[str, int]) -> float:
    """Jensen-Shannon divergence of two sets of counts, in bits: 0 for alike, 1 for disjoint."""
    totals = sum(first.values()), sum(other.values())
    if not all(totals):
        return 0.0 if totals[0] == totals[1] else 1.0
    # the mean over both of the Kullback-Leibler divergence from their middle
    found = 0.0
    for name in first.keys() | other.keys():
        shares = first.get(name, 0) / totals[0], other.get(name, 0) / totals[1]
        middle = sum(shares) / 2
        found += sum(share / 2 * math.log2(share / middle) for share in shares if share)
    return min(1.0, max(0.0, found))


def rows(champion: Profile, tonight: Profile) -> list[dict[str, Any]]:
    """The table: counts of both corpora with their difference, then drift in bits."""
    found = []
    for name in ("documents", "numbers"):
        found.append(_row(name, champion.get(name, 0), tonight[name]))
    known = champion.get("domains", {})
    for name in sorted(known.keys() | tonight["domains"].keys()):
        found.append(_row(f"domain {name}", known.get(name, 0), tonight["domains"].get(name, 0)))
    for name in ("forms", "magnitudes", "words") if champion else ():
        drift = divergence(champion[name], tonight[name])
        shown = f"{drift:.4f} bits (0: alike, 1: nothing in common)"
        found.append({"what": f"drift of {name}", "champion": "", "tonight": "", "change": shown})
    return found


def _row(name: str, before: int, now: int) -> dict[str, Any]:
    return {"what": name, "champion": before, "tonight": now, "change": f"{now - before:+,}"}


def picture(champion: Profile, tonight: Profile) -> str:
    """Shares of forms and magnitudes in both corpora, as the address of a PNG."""
    figure = blank(9, 3.4)
    panels = figure.subplots(1, 2)
    for axes, kind in zip(panels, ("forms", "magnitudes"), strict=True):
        names = _ordered(kind, champion.get(kind, {}), tonight[kind])
        # two bars beside each other for each name
        for shift, (label, one) in enumerate((("champion", champion), ("tonight", tonight))):
            total = sum(one.get(kind, {}).values()) or 1
            shares = [one.get(kind, {}).get(name, 0) / total for name in names]
            places = [place + 0.4 * shift for place in range(len(names))]
            axes.bar(places, shares, width=0.4, label=label)
        axes.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=7)
        axes.set_title(f"{kind} of numbers, share")
    panels[0].legend()
    # the server has no files of a run: the picture travels inside the artifact
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=80)
    encoded = base64.b64encode(content.getvalue()).decode()
    return f"data:image/png;base64,{encoded}"


def _ordered(kind: str, *counts: Mapping[str, int]) -> list[str]:
    """Names of the bars: magnitudes from small to large, forms from frequent to rare."""
    names = {name for count in counts for name in count}
    if kind == "magnitudes":
        return sorted(names, key=lambda name: float(name) if name[0].isdigit() else math.inf)
    return sorted(names, key=lambda name: -counts[-1].get(name, 0))


def keep(root: Path, run_id: str, found: Profile) -> None:
    """Remember the profile of the corpus that a run's model has learned from."""
    write_atomically(_place(root, run_id), json.dumps(found))


def kept(root: Path, run_id: str) -> Profile:
    """The profile of a run's corpus; empty if it is not known here."""
    path = _place(root, run_id)
    if not run_id or not path.exists():
        return {}
    found: Profile = json.loads(path.read_text(encoding="utf-8"))
    return found


def _place(root: Path, run_id: str) -> Path:
    return root / ".ssl_lib" / "profiles" / f"{run_id}.json"
