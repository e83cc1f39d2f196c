"""The parts of pyroute2 that are used here, without the rest.

The package's own `__init__` imports everything that it offers, down to a database, sqlite3 and multiprocessing: 5 MB
and 55 ms, before the fork, for nobody's use. Here the package is entered without running that file; what a submodule
needs it still imports itself.
"""

from __future__ import annotations

import importlib.util
import sys


def _enter(package: str) -> None:
    spec = importlib.util.find_spec(package)
    if spec is not None and package not in sys.modules:
        sys.modules[package] = importlib.util.module_from_spec(spec)


_enter("pyroute2")

from pyroute2.iproute.linux import AsyncIPRoute  # noqa: E402
from pyroute2.netlink.exceptions import NetlinkError  # noqa: E402
from pyroute2.netlink.generic.wireguard import AsyncWireGuard  # noqa: E402

__all__ = ["AsyncIPRoute", "AsyncWireGuard", "NetlinkError"]
