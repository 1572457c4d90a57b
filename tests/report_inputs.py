"""Made-up inputs of the report, of the shape that training and evaluation write; no results."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

OBJECTIVES = ("mlm", "ntp", "contrastive", "denoising", "numerical")
FAMILIES = (
    "addition", "subtraction", "comparison", "maximum", "minimum", "sequence", "conversion",
    "percentage", "numeration",
)  # fmt: skip
ROLES = (
    "count",
    "date_part",
    "identifier",
    "measurement",
    "money",
    "ordinal",
    "percentage",
    "score",
    "year",
)
NASTY = 'Cost < $5 & "more" <script>alert(1)</script> 3 > 2'


def estimate(before: float, after: float, half: float = 0.02, **more: Any) -> dict[str, Any]:
    """A paired estimate with intervals of the given half width."""
    return {
        "before": before,
        "after": after,
        "before_ci95": [before - half, before + half],
        "ci95": [after - half, after + half],
        "difference_ci95": [after - before - half, after - before + half],
        **more,
    }


def summary(metric: str, before: float, after: float, n: int, **baselines: float) -> dict[str, Any]:
    """What TaskResult.summary gives."""
    ends = {
        name: [value - 0.03, value + 0.03] for name, value in baselines.items() if name != "chance"
    }
    ahead = {
        name: [after - baselines[name] - 0.04, after - baselines[name] + 0.04] for name in ends
    }
    found = estimate(before, after, metric=metric, n=n, baselines=baselines, higher_is_better=True)
    return found | {"baselines_ci95": ends, "over_baselines_ci95": ahead}


def downstream() -> dict[str, Any]:
    """The four tasks: one above the guide, one near it, two below."""
    roles = {"majority": 0.1813, "bag_of_tokens": 0.7312, "char_cnn": 0.8127}
    reasoning = {
        "chance": 0.25,
        "majority_position": 0.2514,
        "unigram_counts": 0.3123,
        "ngram_counts": 0.4417,
    }
    cosines = {"bag_of_tokens": 0.5512, "tfidf_words": 0.4821, "tfidf_characters": 0.5934}
    tokens = {"unigram_counts": 0.1245, "ngram_counts": 0.5238}
    return {
        "token_classification": summary("accuracy", 0.6127, 0.9802, 909, **roles),
        "numerical_reasoning": summary("accuracy", 0.2513, 0.8912, 1000, **reasoning),
        "semantic_similarity": summary("spearman", -0.0135, 0.8324, 999, **cosines),
        "next_token_prediction": summary("accuracy", 0.0221, 0.9317, 2471, **tokens),
    }


def losses() -> dict[str, Any]:
    """Held-out losses; that of numbers falls below zero."""
    pairs = {
        "mlm": (7.71, 2.11),
        "ntp": (7.68, 1.62),
        "contrastive": (4.9, 1.2),
        "denoising": (7.8, 1.9),
    }
    rows = {
        key: {
            "before": a,
            "after": b,
            "reduction": 1 - b / a,
            "parts": {"tokens": {"before": a, "after": b}},
        }
        for key, (a, b) in pairs.items()
    }
    return rows | {
        "numerical": {"before": 3.1, "after": -0.4, "reduction": 1 + 0.4 / 3.1, "parts": {}}
    }


def choices_detail(after: float) -> dict[str, Any]:
    """Families, exact match and examples of four-choice items."""
    families = {
        name: estimate(0.25, after - 0.02 * i, 0.05, n=111) for i, name in enumerate(FAMILIES)
    }
    exact = estimate(0.0, after - 0.1, n=250)
    exact["families"] = {name: estimate(0.0, after - 0.15, 0.1, n=28) for name in FAMILIES}
    choices = [" 5.", " 6.", " 15.", " 4."]
    example = {
        "prompt": f"{NASTY}. The sum of 2 and 3 is",
        "choices": choices,
        "family": "addition",
    }
    return {
        "families": families,
        "exact_match": exact,
        "examples": [{**example, "answer": 0, "chosen": 1}, {**example, "answer": 0, "chosen": 0}],
    }


def reasoning_detail() -> dict[str, Any]:
    """Details of numerical reasoning with the two sets apart."""
    apart = {
        "extrapolation": summary("accuracy", 0.24, 0.61, 250) | choices_detail(0.7),
        "training_templates": summary("accuracy", 0.26, 0.8, 250) | choices_detail(0.85),
    }
    return choices_detail(0.97) | apart


def roles_detail() -> dict[str, Any]:
    """Confusion matrices of nine roles."""
    good = [
        [95 + i if i == j else (2 if j == (i + 1) % 9 else 0) for j in range(9)] for i in range(9)
    ]
    bad = [[40 if i == j else 8 for j in range(9)] for i in range(9)]
    examples = [
        {"text": NASTY, "span": [8, 9], "role": "money", "predicted": "count"},
        {
            "text": "In 1999 the team scored 12 points.",
            "span": [3, 7],
            "role": "year",
            "predicted": "year",
        },
    ]
    return {
        "classes": list(ROLES), "confusion": good, "confusion_before": bad,
        "macro_f1": [0.59, 0.941],
        "regularisation": [0.03, 0.3], "validation_accuracy": [0.63, 0.95], "examples": examples,
    }  # fmt: skip


def similarity_detail() -> dict[str, Any]:
    """Points and examples of graded pairs."""
    pair = {
        "first": "The bridge is 2 km long.",
        "second": "The bridge measures 2,000 m.",
        "score": 1.0,
        "cosine": 0.94,
    }
    rows = [{"factor": 10.0, "graded": 0.0114, "before": 0.91, "after": 0.357}]
    return {
        "points": [[1.0, 0.2, 0.9]], "examples": [pair, pair | {"second": NASTY, "score": 0.1}],
        "multiplied": {"sentences": 250, "rows": rows, "tenfold_farther": [0.016, 0.9973]},
    }  # fmt: skip


def next_token_detail() -> dict[str, Any]:
    """Accuracy by kind of position."""
    accuracy = {
        "determined": estimate(0.0221, 0.9317),
        "all": estimate(0.01, 0.6),
        "numbers": estimate(0.004, 0.7),
    }
    examples = [
        {"text": "Half of 8 is 4, and " + NASTY, "missed": [[13, 14], [14, 15]], "positions": 3},
        {"text": "Half of 6 is 3.", "missed": [], "positions": 1},
    ]
    return {
        "accuracy": accuracy, "positions": {"determined": 2471, "all": 20113, "numbers": 4190},
        "baselines": {},
        "bits_per_byte": estimate(3.9, 1.1), "documents": 1000, "examples": examples,
    }  # fmt: skip


def number_detail() -> dict[str, Any]:
    """Measures of the prediction of numbers."""

    def measures(error: float, bend: float) -> dict[str, Any]:
        coverage = {str(level): level**bend for level in (0.1, 0.3, 0.5, 0.7, 0.9)}
        intervals = {
            level: [coverage[level] - 0.03, coverage[level] + 0.03] for level in ("0.5", "0.9")
        }
        return {
            "mean_error_decades": error, "median_error_decades": error / 2,
            "median_log10_error": error / 2,
            "exponent_accuracy": 1 - error / 3, "within_1_percent": 0.4,
            "crps_decades": error / 3,
            "crps_ci95": [error / 3 - 0.01, error / 3 + 0.01], "coverage": coverage,
            "coverage_ci95": intervals,
        }  # fmt: skip

    group = {
        "before": measures(2.0, 3.0),
        "after": measures(0.31, 1.1),
        "marginal": measures(1.2, 0.98),
    }
    example = {"prompt": "The price was " + NASTY, "true": "$5", "value": 4.9, "determined": True}
    example |= {"interval": [3.0, 1250.5]}
    return {"examples": [example], "all": {"n": 1000, **group}, "determined": {"n": 420, **group}}


def probes() -> dict[str, Any]:
    """Nine probes."""
    found = {}
    for limit in (100, 1000, 10000):
        paper = {"BERT": 0.62, "untrained CNN": 0.87}
        plain = {"digits": 0.97, "random_convolutions": 0.98, "constant": 0.2}
        found[f"list_maximum/{limit}"] = summary("accuracy", 0.8, 0.97, 1500, **plain) | {
            "paper": paper
        }
        for task in ("decoding", "addition"):
            row = summary("rmse", limit / 3, limit / 90, 1500, digits=limit / 50) | {
                "paper": {"BERT": limit / 30}
            }
            found[f"{task}/{limit}"] = row | {
                "ci95": [limit / 100, limit / 80],
                "higher_is_better": False,
            }
    return found


def own_text() -> dict[str, Any]:
    """Two tasks about the corpus's own documents: one that wins, one that loses."""
    language = summary("bits_per_byte", 6.1, 1.5, 200, ngram_counts=1.9, ppmd=1.7)
    better_below = {name: [-0.4, -0.1] for name in ("ngram_counts", "ppmd")}
    language |= {"higher_is_better": False, "over_baselines_ci95": better_below}
    masked = summary("exact_match", 0.02, 0.06, 500, words_on_both_sides=0.18)
    return {"held_out_text": language, "masked_text": masked}


def external() -> dict[str, Any]:
    """Three files of one's own."""
    shared = {"texts": 500, "contaminated": 4, "too_short": 0, "ngrams": 900, "shared": 5}
    file = {"of": 900, "asked": 496, "repeated": 0, "contamination": shared}
    questions = summary("exact_match", 0.0, 0.041, 496, last_number=0.025, largest_number=0.031)
    labels = summary("accuracy", 0.51, 0.83, 700, majority=0.4, bag_of_tokens=0.79, char_cnn=0.81)
    text = summary("bits_per_byte", 4.31, 1.97, 200, ngram_counts=2.43)
    text["higher_is_better"] = False
    questions |= file | {"task": "numerical_reasoning", "path": "data/external/svamp.json"}
    labels |= file | {"task": "token_classification", "path": "data/external/a<b>.conll"}
    text |= file | {"task": "next_token_prediction", "path": "data/external/wiki.txt"}
    questions["four_choice"] = estimate(0.25, 0.377, n=450)
    labels["repeated"] = 12
    text["accuracy"] = {"all": estimate(0.01, 0.412), "numbers": estimate(0.01, 0.238)}
    return {"svamp": questions, "roles": labels, "wiki": text}


def skills() -> dict[str, Any]:
    """Five skills, one of them worse than a plain method."""
    rows = {
        "mlm": summary("exact_match", 0.01, 0.81, 930, words_on_both_sides=0.61),
        "ntp": summary("exact_match", 0.0, 0.74, 930, ngram_counts=0.52),
        "contrastive": summary("accuracy_at_1", 0.31, 0.55, 900, tfidf_characters=0.78),
        "denoising": summary("f1_of_edits", 0.0, 0.71, 700, as_it_is=0.0, spelling=0.52),
        "numerical": summary("right", 0.32, 0.77, 1460, last_number=0.49),
    }
    for name, row in rows.items():
        row["parts"] = {"numbers": summary(row["metric"], 0.02, 0.5, 400, nothing=0.04)}
        row["parts"][f"all_of_{name}"] = summary("crps_decades", 0.9, 0.33, 400)
    return rows


def guide_examples() -> list[dict[str, Any]]:
    """One right, one wrong."""
    right = {"concept": "", "asked": "2 + 3 is …", "expected": "5", "answered": "5", "right": True}
    wrong = right | {"concept": "denoising", "asked": NASTY, "answered": "4", "right": False}
    return [right, wrong]


def evaluation() -> dict[str, Any]:
    """metrics/evaluation.json."""
    shared = {"texts": 1000, "contaminated": 3, "too_short": 12, "ngrams": 20455, "shared": 7}
    return {
        "losses": losses(),
        "downstream": downstream(),
        "held_out_text": {
            "documents": 300, "bytes": 41000, "bits_per_byte": estimate(4.0, 1.2),
            "accuracy": estimate(0.01, 0.58),
        },
        "external": external(),
        "own_text": own_text(),
        "skills": skills(),
        "guide_examples": guide_examples(),
        "probes": probes(),
        "contamination": {
            "held_out_documents": shared | {"for_losses": 997},
            "numerical_reasoning": shared | {"stated_in_training": 0},
        },
        "corpus": {"name": "built-in", "split": "test", "documents": 1432, "tokens": 91234},
        "seconds": {"train": 301.25, "token_classification": 21.5, "evaluate": 140.0},
    }  # fmt: skip


def details() -> dict[str, Any]:
    """report/evaluation.json."""
    made = {
        "token_classification": roles_detail(), "numerical_reasoning": reasoning_detail(),
        "semantic_similarity": similarity_detail(), "next_token_prediction": next_token_detail(),
    }  # fmt: skip
    found = {task: row | {"details": made[task]} for task, row in downstream().items()}
    number = summary("error_decades", 2.0, 0.31, 1000, marginal=1.2) | {"details": number_detail()}
    listed = {key: row | {"details": {"paper": row["paper"]}} for key, row in probes().items()}
    return found | {"number_prediction": number, "probes": listed}


def training() -> dict[str, Any]:
    """metrics/train.json."""
    return {
        "steps": 2000, "tokens": 8192000, "seconds": 301.25, "tokens_per_second": 27193.4,
        "best_step": 2000,
        "best_score": 0.3127, "parameters": 1234567,
        "weights": dict.fromkeys(OBJECTIVES, 0.5), "validation": [], "curve": [],
        "gradient_cosines": {
            "mlm": {"mlm": 1.0, "ntp": -0.125}, "ntp": {"mlm": -0.125, "ntp": 1.0},
        },
        "hardware": {"machine": "x86_64", "cores": 2, "threads": 2, "gpu": None, "torch": "2.13.0"},
    }  # fmt: skip


def manifest() -> dict[str, Any]:
    """data/raw/manifest.json."""
    return {
        "name": "built-in", "seed": 0,
        "documents": {"train": 43000, "validation": 1400, "test": 1432},
        "bytes": {"train": 9000000, "validation": 300000, "test": 310000},
        "domains": {
            "finance": {"train": 20000, "validation": 700, "test": 730},
            "sport & play": {"train": 23000},
        },
        "duplicates": {"exact": 120, "near": 2048}, "rejected": {"empty": 0, "too_short": 3},
        "left_out": {"weight": 0},
    }  # fmt: skip


def number_line() -> dict[str, Any]:
    """report/number_line.json."""
    values = [step * 10.0**power for power in range(-3, 9) for step in (1, 2, 5)] + [1e9]
    points = [[i / 10, math.sin(i / 7) + (i % 3) / 9] for i in range(len(values))]
    line = {"values": values, "points": points, "label": "Made up."}
    line |= {"explained": [0.41, 0.2], "rank_correlation": 0.981}
    nearest = [["13", 0.981], ["11", 0.97], ["twelve", 0.91], ["12,000", 0.7]]
    rows = [{"number": "12%", "nearest": nearest}]
    return line | {"untrained": line, "neighbours": {"candidates": 180, "rows": rows}}


def ablation() -> dict[str, Any]:
    """ablation/results.json."""
    subsets = [*OBJECTIVES, "mlm+ntp", "all-mlm", "all"]
    return {
        "subsets": subsets,
        "losses": {
            s: {o: 2.0 + 0.1 * i - 0.05 * j for j, o in enumerate(OBJECTIVES)}
            for i, s in enumerate(subsets)
        },
        "relative": {s: dict.fromkeys(OBJECTIVES, 1.0 + 0.01 * i) for i, s in enumerate(subsets)},
        "downstream": {
            s: dict.fromkeys(downstream(), 0.3 + 0.08 * i) for i, s in enumerate(subsets)
        },
    }


def write_inputs(root: Path) -> None:
    """Every file that the page reads."""
    files = {
        "metrics/train.json": training(), "metrics/evaluation.json": evaluation(),
        "report/evaluation.json": details(),
        "model/run.json": {"run_id": "0123456789abcdef", "experiment_id": "1", "tracking_uri": "sqlite:///mlflow.db"},
        "data/raw/manifest.json": manifest(), "report/number_line.json": number_line(),
        "ablation/results.json": ablation(),
    }  # fmt: skip
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(json.dumps(content), encoding="utf-8")
    for folder in ("plots", "tuning"):
        (root / folder).mkdir(exist_ok=True)
    with (root / "plots" / "losses.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["step", "objective", "split", "loss"], *_loss_rows()])
    head = "round,trial,state,steps,score,seconds,objectives.mlm.weight,training.learning_rate"
    trials = (
        f"{head}\ntrial,0,complete,90,0.61,3.1,1.0,0.02\ntrial,1,stopped,10,0.9,0.4,0.4,0.03\n"
        "trial,2,complete,90,0.58,3.0,0.31,0.025\ncheck,0,complete,500,0.44,20.0,1.0,0.02\n"
        "check,1,complete,500,0.42,20.0,0.31,0.025\n"
    )
    (root / "tuning" / "trials.csv").write_text(trials, encoding="utf-8")
    (root / "tuning" / "best.yaml").write_text(
        "# chosen\nobjectives.mlm.weight: 0.3125\n", encoding="utf-8"
    )
    study = {
        "reason": "The best trial of 90 steps, and better at 500 steps too",
        "check": {"steps": 500, "params.yaml": 0.44, "winner": 0.42},
        "importance": {"score": {"objectives.mlm.weight": 0.8, "training.learning_rate": 0.2}},
    }
    (root / "tuning" / "study.json").write_text(json.dumps(study), encoding="utf-8")
    lock = "stages:\n  corpus:\n    outs:\n    - path: data/raw\n      md5: 00ff00ff.dir\n"
    (root / "dvc.lock").write_text(lock, encoding="utf-8")


def _loss_rows() -> list[list[Any]]:
    rows: list[list[Any]] = []
    for number, objective in enumerate(OBJECTIVES):
        for step in range(20, 2001, 20):
            wiggle = 0.15 * math.sin(step * (number + 1))
            rows.append([step, objective, "train", 7.5 * math.exp(-step / 400) + 1.5 + wiggle])
        rows += [
            [step, objective, "validation", 7.5 * math.exp(-step / 400) + 1.6]
            for step in range(0, 2001, 500)
        ]
    return rows
