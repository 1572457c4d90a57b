"""Pictures of Prefect's and MLflow's pages after real runs: `docs/pictures/*.png`.

    pip install playwright pillow                # and a Chromium: apt-get install chromium
    make serve                                   # in another terminal
    python docs/screenshots.py --run --to docs/pictures

Run it at the root of a small, new project, a training of minutes. `--run` starts three nights
first: the project as it is, a variant, and one that fails because its source does not exist.
Without it the pages show the newest of each that the servers have. Every page is awaited until it
shows what it is opened for; the picture is kept in few colors, to be small.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import shutil
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page

WIDTH = 1200  # pixels of a picture
SCALE = 0.8  # of a page in it: a window of 1500 pixels
TALL = 1040  # of a window while it is clicked, in which menus have room
COLORS = 256
LONGEST = 3600.0  # seconds that a night may take
PATIENCE = 120_000  # milliseconds until a page shows what it is opened for
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
VARIANT = {"model.number_embedding": "none"}
FAILING = {"corpus.sources.0.path": "data/sources/reports.jsonl"}
OBJECTIVES = ("mlm", "ntp", "contrastive", "denoising", "numerical")


def ask(address: str, question: dict[str, Any] | None = None) -> Any:
    """What a server answers to a question, in JSON."""
    data = None if question is None else json.dumps(question).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def run_night(api: str, **parameters: Any) -> None:
    """Start a night, as its page does, and wait for its end."""
    deployment = ask(f"{api}/deployments/name/nightly/nightly")["id"]
    question = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
    run = ask(f"{api}/deployments/{deployment}/create_flow_run", question)["id"]
    deadline = time.monotonic() + LONGEST
    while (state := ask(f"{api}/flow_runs/{run}")["state"])["type"] not in FINAL:
        if time.monotonic() > deadline:
            sys.exit(f"screenshots: the night has not ended within {LONGEST:.0f} s")
        time.sleep(2)
    print(f"{state['name']}: {state['message']}", flush=True)


def newest(api: str, state: str) -> str:
    """The id of the newest night of the project itself, no variant, or of one that has failed."""
    filters = {
        "flow_runs": {"state": {"type": {"any_": [state]}}},
        "flows": {"name": {"any_": ["nightly"]}},
        "sort": "START_TIME_DESC",
    }
    for run in ask(f"{api}/flow_runs/filter", filters):
        if state == "FAILED" or "evaluate ran" in run["state"]["message"]:
            return str(run["id"])
    sys.exit(f"screenshots: no night is {state.lower()}; begin with --run")


def night(page: Page, pages: str, run: str) -> None:
    """The graph of a night that has ended, and what it has told."""
    page.goto(f"{pages}/v2/runs/flow-run/{run}?tab=Artifacts")
    page.get_by_text("progress-train").first.wait_for(timeout=PATIENCE)
    page.wait_for_timeout(10_000)  # the graph is drawn without a sign that it is complete


def failed_night(page: Page, pages: str, run: str) -> None:
    """The details of a night that failed, with the reason as the message of its state."""
    page.goto(f"{pages}/v2/runs/flow-run/{run}?tab=Details")
    page.get_by_text("State Message").first.wait_for(timeout=PATIENCE)
    page.wait_for_timeout(10_000)


def open_runs(page: Page, pages: str, mode: str) -> None:
    """MLflow's list of trainings, or their charts, without the panel of its assistant."""
    (experiment,) = [
        found["experiment_id"]
        for found in ask(f"{pages}/api/2.0/mlflow/experiments/search", {"max_results": 100})[
            "experiments"
        ]
        if found["name"].endswith("/train")
    ]
    address = f"{pages}/#/experiments/{experiment}/runs?workflowType=machine_learning{mode}"
    page.goto(address)
    page.get_by_text("matching runs").wait_for(timeout=PATIENCE)
    panel = page.get_by_label("Close", exact=True)
    if panel.count():
        # a busy machine draws it for longer than a click waits for it to stand still
        panel.first.dispatch_event("click")


def runs(page: Page, pages: str) -> None:
    """The list of trainings, with losses as columns in place of data sets and models."""
    open_runs(page, pages, "")
    shown = [f"train/{name}" for name in OBJECTIVES]
    page.get_by_role("button", name="Columns", exact=True).first.click()
    for column in ("Dataset", "Source", "Models"):
        page.get_by_text(column, exact=True).last.click()
    search = page.get_by_placeholder("Search columns")
    for column in ("model.number_embedding", *shown):
        search.fill(column)
        page.get_by_text(column, exact=True).last.click(timeout=PATIENCE)
    page.keyboard.press("Escape")
    page.get_by_text("matching runs").click()


def comparison(page: Page, pages: str) -> None:
    """Two trainings on their five losses, step by step."""
    open_runs(page, pages, "&compareRunsMode=CHART")
    search = page.get_by_placeholder("Search metric charts")
    search.fill(f"^train/({'|'.join(OBJECTIVES)})$")
    # the curves come one after the other, each with its axis
    axes = page.get_by_text("Step", exact=True)
    axes.nth(len(OBJECTIVES) - 1).wait_for(timeout=PATIENCE)
    page.wait_for_timeout(5_000)


def photograph(to: Path, api: str, mlflow: str) -> None:
    """All pictures. Needs playwright, Pillow and a Chromium."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    prefect = api.removesuffix("/api")
    done, failed = newest(api, "COMPLETED"), newest(api, "FAILED")
    taken: dict[str, tuple[int, Callable[[Page], None]]] = {
        "prefect-night": (1040, lambda page: night(page, prefect, done)),
        "prefect-failed-night": (1040, lambda page: failed_night(page, prefect, failed)),
        "mlflow-runs": (440, lambda page: runs(page, mlflow)),
        "mlflow-comparison": (1040, lambda page: comparison(page, mlflow)),
    }
    to.mkdir(parents=True, exist_ok=True)
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        for name, (height, opened) in taken.items():
            size = {"width": int(WIDTH / SCALE), "height": TALL}
            page = chromium.new_page(viewport=size, device_scale_factor=SCALE)
            opened(page)
            page.set_viewport_size(size | {"height": height})
            page.wait_for_timeout(3_000)
            image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            few = image.quantize(COLORS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
            few.save(to / f"{name}.png", optimize=True)
            print(f"{to / name}.png: {(to / f'{name}.png').stat().st_size / 1000:.0f} kB")
            page.close()
        chromium.close()


def main() -> None:
    """Command line of `python docs/screenshots.py`."""
    summary, _, rest = (__doc__ or "").partition("\n")
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=summary, epilog=rest, formatter_class=raw)
    parser.add_argument("--run", action="store_true", help="start three nights first")
    told = "folder of the pictures (default: %(default)s)"
    parser.add_argument("--to", type=Path, default=Path("docs", "pictures"), help=told)
    options = parser.parse_args()
    addresses = Path(".ssl_lib", "serve.env")
    if not addresses.exists():
        sys.exit("screenshots: .ssl_lib/serve.env is not here; start `make serve` in this folder")
    found = dict(re.findall(r"export (\w+)=(\S+)", addresses.read_text(encoding="utf-8")))
    api = found["PREFECT_API_URL"]
    if options.run:
        run_night(api, force=True)
        run_night(api, stages=["train"], experiment="no-number-embedding", settings=VARIANT)
        run_night(api, settings=FAILING)
    photograph(options.to, api, found["SSL_LIB_MLFLOW_PAGES"])


if __name__ == "__main__":
    main()
