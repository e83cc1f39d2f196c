"""Ctrl-C for what would go on if it were lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


@contextmanager
def ended_by_ctrl_c(code: int) -> Iterator[None]:
    """Ends the program with this exit code at Ctrl-C while the context is open. For what has nothing to put away.

    A KeyboardInterrupt is lost where Python swallows exceptions, as in the callbacks that importing a module leaves
    behind. A command that ends by itself may lose it; a watch or a node would go on.
    """

    def end(number: int, frame: FrameType | None) -> NoReturn:
        os._exit(code)

    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
