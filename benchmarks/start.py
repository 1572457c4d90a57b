"""Seconds of processor time until a command or an import answers, beside an empty Python.

    python benchmarks/start.py

Wanted: `ssl-lib --help` below 0.3 s, `import ssl_lib.numbers` with a first answer below 0.15 s.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys

RUNS = 9
STARTS = {
    "python, nothing imported": ["-c", "pass"],
    "import ssl_lib": ["-c", "import ssl_lib"],
    "import ssl_lib.numbers": ["-c", "import ssl_lib.numbers"],
    "find_numbers('12 kg')": ["-c", "from ssl_lib.numbers import find_numbers as f; f('12 kg')"],
    "ssl-lib --help": ["-m", "ssl_lib", "--help"],
    "ssl-lib train --help": ["-m", "ssl_lib", "train", "--help"],
}


def processor_seconds(arguments: list[str]) -> float:
    """User and system time of one child process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the median of every start and its ratio to an empty Python."""
    empty = None
    for name, arguments in STARTS.items():
        processor_seconds(arguments)  # the first one reads the files from disk
        seconds = statistics.median(processor_seconds(arguments) for _ in range(RUNS))
        empty = empty or seconds
        print(f"{name:26} {seconds:6.3f} s  {seconds / empty:5.1f} x")


if __name__ == "__main__":
    main()
