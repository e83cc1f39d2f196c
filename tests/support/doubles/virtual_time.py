"""asyncio in virtual time: where everybody waits, the clock goes on to the next timer at once."""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop without sockets of its own: what is to be waited for are timers and other tasks."""

    def __init__(self) -> None:
        self._virtual_now = 0.0
        super().__init__(_Clock(self._pass))

    def time(self) -> float:
        return self._virtual_now

    def run_in_executor(  # type: ignore[override]  # the base is typed with what not every checker knows
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Does at once what else a thread would do: no virtual time passes in it."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def _pass(self, span_s: float | None) -> None:
        if span_s is None:
            raise RuntimeError("everybody waits, and nothing is due: the test would hang")
        self._virtual_now += span_s


class _Clock(selectors.SelectSelector):
    def __init__(self, on_wait: Callable[[float | None], None]) -> None:
        super().__init__()
        self._on_wait = on_wait

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout != 0:
            self._on_wait(timeout)
        return ready


def in_virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Makes a test of a coroutine function. Tasks that are left over at its end are cancelled."""

    @functools.wraps(test)
    def run(*arguments: Any, **fixtures: Any) -> None:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(test(*arguments, **fixtures))

    return run
