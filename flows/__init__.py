"""When and where the stages run. Nothing imports this package; it imports ssl_lib and drives DVC.

pipeline.py   the stages in DVC's order, or a variant of them
nightly.py    new data, the stages, challenger against champion, what it all gave
tuning.py     a fleet of tuning workers
ablation.py   a fleet that trains models with some of the objectives
serve.py      `make serve`: the servers, and the worker that runs what prefect.yaml deploys

stages.py     one stage of DVC as a task: its output, progress, and how it ended
fleet.py      where the members of a fleet run: threads, processes, Dask
data.py       updated imports, and the corpus against that of the champion
reports.py    artifacts; none of them can fail finished work
runs.py       which runs are alive, names of runs, the notification of a failed one
project.py    what belongs to one checkout: its work pool, addresses, settings

Deployments run from a checkout: a wheel does not hold this folder.
"""

import os
import sys

from ssl_lib.errors import MissingExtraError, require_extra
from ssl_lib.processes import let_threads_sleep

# Prefect reads these when it is imported. The first start of its own database takes longer on a
# busy machine than the 20 s that it waits by itself; a server that is gone is asked once more.
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "180")
os.environ.setdefault("PREFECT_CLIENT_MAX_RETRIES", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "true")
# members of a fleet train in processes of their own, which inherit this
let_threads_sleep()

try:
    require_extra("orchestration")
except MissingExtraError as error:
    sys.exit(f"flows: {error}")
