"""The folder `tuning/`: written whole, or left as it was.

best.yaml     what `train` uses in place of params.yaml; {} where nothing was better
trials.csv    every trial
study.json    why, with importance, check and front: what the report shows
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from ssl_lib.config import BEST_VALUES
from ssl_lib.files import replace_folder

HEADER = "# Values that `train` uses in place of those in params.yaml; {} means that they stand.\n"


def write_files(
    root: Path,
    chosen: Mapping[str, Any],
    summary: Mapping[str, Any],
    trials: Sequence[Mapping[str, Any]],
) -> None:
    """Write the three files: the chosen values, why, and a row for each trial."""
    scratch = root / ".tuning.tmp"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    best = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False  # a line for each value
    yaml.dump(dict(chosen), best)
    text = f"{HEADER}# {summary['reason']}.\n{best.getvalue()}"
    (scratch / Path(BEST_VALUES).name).write_text(text, encoding="utf-8")

    table = io.StringIO()
    columns = list(dict.fromkeys(key for row in trials for key in row)) or ["trial", "state"]
    writer = csv.DictWriter(table, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(trials)
    (scratch / "trials.csv").write_text(table.getvalue(), encoding="utf-8")

    story = json.dumps(summary, indent=2) + "\n"
    (scratch / "study.json").write_text(story, encoding="utf-8")
    replace_folder(scratch, root / "tuning")
