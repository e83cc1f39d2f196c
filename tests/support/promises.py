"""How long a test waits for what is promised in seconds.

A promise is made for a machine that has a processor to spare. Where more wants to run than there are processors, each
step of a node waits for its turn, and a test that insists on the figure measures what else the machine does.
"""

from __future__ import annotations

import os
from pathlib import Path


def promised(seconds: float) -> float:
    """The figure itself on a quiet machine; longer on a busy one, by how many want to run on each processor."""
    return seconds * max(1.0, 2 * _want_to_run() / (os.cpu_count() or 1))


def _want_to_run() -> float:
    """Over the last minute, or at this moment if that is more (proc_loadavg(5))."""
    one_minute, _, _, now, _ = Path("/proc/loadavg").read_text().split()
    return max(float(one_minute), float(now.partition("/")[0]))
