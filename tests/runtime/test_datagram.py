from __future__ import annotations

import asyncio
from collections import deque

from wgmesh.core.model import Endpoint
from wgmesh.core.sansio import Transmit
from wgmesh.runtime.datagram import DatagramDriver

BY_BACKWARD_STEP_S = 3600.0


class Alarm:
    """A core that wants to be woken once and says what time it was given."""

    def __init__(self, due_at: float) -> None:
        self._due_at: float | None = due_at
        self._events: deque[float] = deque()

    def handle_datagram(self, data: bytes, source: Endpoint, now: float, channel: str = "") -> None:
        raise AssertionError("no socket")

    def handle_timeout(self, now: float) -> None:
        if self._due_at is not None and now >= self._due_at:
            self._due_at = None
            self._events.append(now)

    def poll_transmit(self) -> Transmit | None:
        return None

    def poll_event(self) -> float | None:
        return self._events.popleft() if self._events else None

    def poll_timeout(self) -> float | None:
        return self._due_at


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


async def test_a_timer_goes_off_although_the_wall_clock_was_set_back() -> None:
    clock, woken = Clock(1_000_000.0), asyncio.Event()
    with DriverOf(Alarm(clock.now + 0.01), clock, woken) as driver:
        clock.now -= BY_BACKWARD_STEP_S

        await asyncio.wait_for(woken.wait(), 5)

        assert driver.now() >= 1_000_000.01


async def test_time_never_goes_back_for_a_core() -> None:
    clock = Clock(1_000_000.0)
    with DriverOf(Alarm(clock.now + 100.0), clock, asyncio.Event()) as driver:
        clock.now -= BY_BACKWARD_STEP_S

        assert driver.now() == 1_000_000.0


async def test_what_has_no_socket_is_counted_and_harms_nothing() -> None:
    core = Shouting(Transmit(b"x", Endpoint.parse("192.0.2.1:9"), channel="eth7"))

    driver = DatagramDriver(core, {}, lambda event: None)

    assert driver.unsent_count == 1
    driver.close()


class DriverOf:
    def __init__(self, core: Alarm, clock: Clock, woken: asyncio.Event) -> None:
        self.driver = DatagramDriver[float](core, {}, lambda event: woken.set(), clock)

    def __enter__(self) -> DatagramDriver[float]:
        return self.driver

    def __exit__(self, *exc_info: object) -> None:
        self.driver.close()


class Shouting(Alarm):
    def __init__(self, *transmits: Transmit) -> None:
        super().__init__(float("inf"))
        self._transmits = deque(transmits)

    def poll_transmit(self) -> Transmit | None:
        return self._transmits.popleft() if self._transmits else None

    def poll_timeout(self) -> float | None:
        return None
