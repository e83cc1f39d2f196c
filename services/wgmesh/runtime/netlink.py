"""The parts of pyroute2 that are used here, without the rest.

The package's own `__init__` imports everything that it offers, down to a database, sqlite3 and multiprocessing: 5 MB
and 55 ms, before the fork, for nobody's use. Here the package is entered without running that file; what a submodule
needs it still imports itself. One of them imports unittest.mock for its own tests' sake, another one all queueing
disciplines, which is 2 MB and 20 ms more, and several multiprocessing, for a way to enter other namespaces that has to
be asked for: these get stand-ins.
"""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager


def _enter(package: str) -> None:
    spec = importlib.util.find_spec(package)
    if spec is not None and package not in sys.modules:
        sys.modules[package] = importlib.util.module_from_spec(spec)


@contextmanager
def _standing_in(name: str, **names: object) -> Iterator[None]:
    """Gives those who import the module `name` only these names of it."""
    if name in sys.modules:
        yield
        return
    stand_in = types.ModuleType(name)
    vars(stand_in).update(names)
    sys.modules[name] = stand_in
    try:
        yield
    finally:
        del sys.modules[name]


def _without_queueing() -> None:
    name = "pyroute2.netlink.rtnl.tcmsg"
    if name not in sys.modules:
        sys.modules[name] = stand_in = types.ModuleType(name)
        stand_in.tcmsg = type("tcmsg", (), {})  # type: ignore[attr-defined]
        stand_in.plugins = {}  # type: ignore[attr-defined]


_enter("pyroute2")
_without_queueing()

with (
    _standing_in("unittest", mock=types.SimpleNamespace(Mock=object)),
    _standing_in("multiprocessing", Pipe=object, Queue=object, Process=object),
):
    from pyroute2.iproute.linux import AsyncIPRoute
    from pyroute2.netlink.exceptions import NetlinkError
    from pyroute2.netlink.generic.wireguard import AsyncWireGuard

__all__ = ["AsyncIPRoute", "AsyncWireGuard", "NetlinkError"]
