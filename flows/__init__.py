"""When and where the stages run. Nothing imports this package; it imports ssl_lib and drives DVC.

`pipeline.py` is the flow that `prefect.yaml` deploys, from a checkout: a wheel does not hold it.
"""

import os
import sys

from ssl_lib.errors import MissingExtraError, require_extra

# Prefect reads it when it is imported: its first start makes a database, which on a busy machine
# takes longer than the 20 s that it waits by itself.
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "180")

try:
    require_extra("orchestration")
except MissingExtraError as error:
    sys.exit(f"flows: {error}")
