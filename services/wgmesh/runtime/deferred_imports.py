"""Keeps libraries from loading modules that no process of a node uses.

protobuf imports the whole of its implementation in Python beside the one in C that works, and calendar, with all that
belongs to locales, for one conversion of dates; pyroute2 imports ssl for a probe. Such a module is put off until
somebody asks for something in it. asyncio looks into ssl while it is imported, so ssl is hidden from it: its TLS is
then switched off, which nobody here needs.

Together this is 3 MB of a node and 25 ms of every start.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

UNUSED = ("google.protobuf.internal.python_message", "calendar", "ssl")


class _Deferred(ModuleType):
    """A module that runs its code when the first name in it is looked up. Python's own LazyLoader runs it already
    when the module is imported a second time."""

    def __getattr__(self, name: str) -> object:
        self.__class__ = ModuleType  # type: ignore[assignment]
        assert self.__spec__ is not None and self.__spec__.loader is not None
        self.__spec__.loader.exec_module(self)
        return getattr(self, name)


def defer_unused() -> None:
    """Puts off all of them. Call it before the libraries are imported; what is loaded already stays."""
    with hidden("ssl"):
        importlib.import_module("asyncio")
    for name in UNUSED:
        defer(name)


def defer(name: str) -> None:
    """Puts off one module; nothing happens if it is loaded or does not exist."""
    if name in sys.modules:
        return
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        module.__class__ = _Deferred
        sys.modules[name] = module
        package, _, last = name.rpartition(".")
        if package:  # where `import package.last` leaves it
            setattr(sys.modules[package], last, module)


@contextmanager
def hidden(name: str) -> Iterator[None]:
    """Makes a module that is not loaded yet look as if it were not installed."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
