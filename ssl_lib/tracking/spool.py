"""What a tracking server could not take while it was away: a bounded file of operations, replayed when it is back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from filelock import FileLock

Operation = dict[str, Any]


class Spool:
    """Operations on one run, one JSON object a line, in the order in which they happened.

    Above `limit_bytes` further metric points are dropped (about 400,000 fit by default); tags, params, files and the
    final status always find room. Appending and replaying hold a file lock, so that processes may share one spool.
    """

    def __init__(self, path: Path, limit_bytes: int = 50_000_000) -> None:
        self.path = path
        self.limit_bytes = limit_bytes
        self._lock = FileLock(path.with_suffix(".lock"))

    def append(self, operations: Iterable[Operation]) -> int:
        """Add operations at the end; returns how many metric points found no room."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        dropped = 0
        with self._lock, self.path.open("ab") as file:
            size = file.seek(0, 2)
            for operation in operations:
                line = json.dumps(operation, ensure_ascii=False).encode() + b"\n"
                if operation["kind"] == "metric" and size + len(line) > self.limit_bytes:
                    dropped += 1
                    continue
                size += file.write(line)
        return dropped

    def replay(self, send: Callable[[list[Operation]], None]) -> int:
        """Hand everything to `send` and forget it once `send` has returned; returns how many operations there were.

        An error of `send` passes through and leaves the file whole: the next replay sends everything again. Points keep
        the time at which they were logged, and by it MLflow knows a point that it has already.
        """
        if not self.path.exists():
            return 0
        with self._lock:
            operations = self._read()
            if operations:
                send(operations)
            self.path.unlink(missing_ok=True)
        return len(operations)

    def _read(self) -> list[Operation]:
        if not self.path.exists():
            return []
        lines = self.path.read_bytes().split(b"\n")
        return [
            json.loads(line) for line in lines[:-1] if line
        ]  # what stands after the last newline was cut off by a kill
