"""`python -m ssl_lib COMMAND`, which `dvc.yaml` calls: the same as `ssl-lib COMMAND`."""

import sys

from ssl_lib.cli import main

if __name__ == "__main__":
    sys.exit(main())
