"""`python -m ssl_lib STAGE`: what `dvc.yaml` calls."""

import sys

from ssl_lib.cli import main

if __name__ == "__main__":
    sys.exit(main())
