"""The clock of this node, read from the kernel.

The supervisor reads the beginning once, and all that it forks have it from there: so the times that the processes of a
node tell each other are comparable, also where one of them was started again after the host's clock was set.
"""

from __future__ import annotations

import time

from wgmesh.core.clock import SteadyClock


def _since_boot_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)  # unlike CLOCK_MONOTONIC it goes on while the host is suspended


CLOCK = SteadyClock(_since_boot_s, time.time)
