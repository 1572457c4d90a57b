"""How busy the machine is while a run lasts, sampled in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

SECONDS = 10.0  # between two samples
BYTES_PER_MB = 1e6


class SystemSampler(threading.Thread):
    """Gives `log` the use of processors, memory and GPUs every few seconds, until it is stopped.

    The names begin with `system/`, by which MLflow shows them on a page of their own.
    """

    def __init__(self, log: Callable[[dict[str, float], int], None]) -> None:
        super().__init__(name="system metrics", daemon=True)
        self._log = log
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End after the present sample."""
        self._stopped.set()

    def run(self) -> None:
        """Sample until `stop`."""
        import psutil
        from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
        from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor

        kinds: list[Any] = [CPUMonitor, GPUMonitor]  # which have no types
        monitors = []
        for kind in kinds:
            # no GPU, or none that can be asked
            with suppress(ImportError, RuntimeError):
                monitors.append(kind())
        process = psutil.Process()
        sample = 0
        while not self._stopped.wait(SECONDS if sample else 0.0):
            found = {"process_memory_megabytes": process.memory_info().rss / BYTES_PER_MB}
            for monitor in monitors:
                monitor.collect_metrics()
                found |= monitor.aggregate_metrics()
                monitor.clear_metrics()
            self._log({f"system/{name}": value for name, value in found.items()}, sample)
            sample += 1
