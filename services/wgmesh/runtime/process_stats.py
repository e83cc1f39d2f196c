"""What a process costs: CPU, memory, open files, garbage collection, as observable metrics.

The names are the ones that Prometheus clients use; the label `service` tells our processes apart.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from opentelemetry.metrics import CallbackOptions, Meter, Observation

PSS_PERIOD_S = 30.0  # the kernel walks every page table for it, some milliseconds

_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")


def register(meter: Meter, service: str) -> None:
    """Makes the process metrics of this process observable. Each is read only when metrics are collected."""
    labels = {"service": service}

    def observed(read: Callable[[], float | None]) -> Sequence[Callable[[CallbackOptions], Iterable[Observation]]]:
        def callback(_options: CallbackOptions) -> Iterable[Observation]:
            value = read()
            return [] if value is None else [Observation(value, labels)]

        return [callback]

    def counter(name: str, read: Callable[[], float | None], description: str) -> None:
        meter.create_observable_counter(name, observed(read), description=description)

    def gauge(name: str, read: Callable[[], float | None], description: str) -> None:
        meter.create_observable_gauge(name, observed(read), description=description)

    counter("process_cpu_seconds_total", time.process_time, "User and system CPU time spent, in seconds.")
    gauge("process_resident_memory_bytes", resident_bytes, "Resident memory, shared pages counted in full.")
    gauge("process_pss_bytes", SampledPss(time.monotonic), "Memory with shared pages divided by those who share them.")
    gauge("process_open_fds", open_files, "Open file descriptors.")
    started = start_time()
    gauge("process_start_time_seconds", lambda: started, "When the process started, in seconds since the epoch.")
    gauge("go_memstats_heap_alloc_bytes", anonymous_bytes, "Resident memory that is of no file: heap and stacks.")
    _register_gc(meter, service)


def register_tasks(meter: Meter, service: str, loop: asyncio.AbstractEventLoop) -> None:
    """Makes the number of tasks of an event loop observable. Any thread may collect it."""

    def callback(_options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(len(asyncio.all_tasks(loop)), {"service": service})]

    meter.create_observable_gauge(
        "go_goroutines",
        [callback],
        description="Tasks of the event loop, which are to Python what goroutines are to Go.",
    )


def _register_gc(meter: Meter, service: str) -> None:
    def by_generation(field: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def callback(_options: CallbackOptions) -> Iterable[Observation]:
            for generation, stats in enumerate(gc.get_stats()):
                yield Observation(stats[field], {"service": service, "generation": str(generation)})

        return callback

    meter.create_observable_counter(
        "python_gc_collections_total", [by_generation("collections")], description="Runs of the garbage collector."
    )
    meter.create_observable_counter(
        "python_gc_objects_collected_total",
        [by_generation("collected")],
        description="Objects that the garbage collector freed.",
    )


class SampledPss:
    """This process's proportional set size in bytes, measured again only when the last value is old."""

    def __init__(self, clock: Callable[[], float], read: Callable[[], float | None] | None = None) -> None:
        self._clock = clock
        self._read = read or pss_bytes
        self._measured_at: float | None = None
        self._value: float | None = None

    def __call__(self) -> float | None:
        """Returns bytes, or None where the kernel does not tell."""
        now = self._clock()
        if self._measured_at is None or now - self._measured_at >= PSS_PERIOD_S:
            self._measured_at, self._value = now, self._read()
        return self._value


def pss_bytes() -> float | None:
    """Returns the proportional set size from smaps_rollup, or None where it cannot be read."""
    try:
        for line in Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024.0
    except OSError:
        return None
    return None


def anonymous_bytes() -> float | None:
    """Returns the resident anonymous memory, or None where /proc is not mounted or does not tell."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024.0
    except OSError:
        return None
    return None


def resident_bytes() -> float | None:
    """Returns the resident set size, or None where /proc is not mounted."""
    try:
        return float(int(Path("/proc/self/statm").read_bytes().split()[1]) * _PAGE_SIZE)
    except OSError:
        return None


def open_files() -> float | None:
    """Returns the number of open descriptors, or None where /proc is not mounted."""
    try:
        return float(len(os.listdir("/proc/self/fd")) - 1)  # one of them is the listing itself
    except OSError:
        return None


def start_time() -> float | None:
    """Returns when this process was forked, in seconds since the epoch (proc(5), field 22 of stat), or None."""
    try:
        after_name = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        since_boot = int(after_name[19]) / _CLOCK_TICKS
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + since_boot
    except OSError:
        return None
