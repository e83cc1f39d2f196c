from __future__ import annotations

import asyncio
import socket
from collections import deque
from contextlib import closing
from itertools import pairwise

from support.waiting import PATIENCE_S
from wgmesh.core.model import Endpoint
from wgmesh.core.sansio import Transmit
from wgmesh.runtime.datagram import PAUSE_AFTER_BUG_S, DatagramDriver

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


async def test_a_datagram_that_meets_a_bug_costs_no_other_datagram_and_no_timer() -> None:
    sender, receiver = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    receiver.bind(("127.0.0.1", 0))
    heard, woken = asyncio.Event(), asyncio.Event()
    core = Fragile(heard)
    driver = DatagramDriver(core, {"": receiver}, lambda event: woken.set())
    with closing(driver), sender:
        for data in (Fragile.DEADLY, b"good"):
            sender.sendto(data, receiver.getsockname())
        await asyncio.wait_for(heard.wait(), PATIENCE_S)
        await asyncio.wait_for(woken.wait(), PATIENCE_S)


async def test_a_timer_that_meets_a_bug_goes_off_again_after_a_pause() -> None:
    woken = asyncio.Event()
    core = Fragile(asyncio.Event(), timer_fails=2)
    core.is_armed = True
    with closing(DatagramDriver(core, {}, lambda event: woken.set())):
        await asyncio.wait_for(woken.wait(), PATIENCE_S)
    gaps = [after - before for before, after in pairwise(core.woken_at)]
    assert len(gaps) == 2 and min(gaps) >= 0.9 * PAUSE_AFTER_BUG_S


async def test_what_arrives_after_a_timer_that_met_a_bug_does_not_shorten_its_pause() -> None:
    """A stream of datagrams must not make a failing timer run as often as they come."""
    sender, receiver = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    receiver.bind(("127.0.0.1", 0))
    heard, woken = asyncio.Event(), asyncio.Event()
    core = Fragile(heard, timer_fails=2)
    core.is_armed = True
    with closing(DatagramDriver(core, {"": receiver}, lambda event: woken.set())), sender:
        while not woken.is_set():
            heard.clear()
            sender.sendto(b"good", receiver.getsockname())
            await asyncio.wait_for(heard.wait(), PATIENCE_S)
    gaps = [after - before for before, after in pairwise(core.woken_at)]
    assert len(gaps) == 2 and min(gaps) >= 0.9 * PAUSE_AFTER_BUG_S


class Fragile:
    """A core with bugs: one datagram is more than it can take, and so are the first `timer_fails` of its timers."""

    DEADLY = b"deadly"

    def __init__(self, heard: asyncio.Event, timer_fails: int = 0) -> None:
        self.woken_at: list[float] = []
        self.is_armed = False
        self._heard = heard
        self._fails_left = timer_fails
        self._events: deque[float] = deque()

    def handle_datagram(self, data: bytes, source: Endpoint, now: float, channel: str = "") -> None:
        if data == self.DEADLY:
            self.is_armed = True
            raise OverflowError("a bug")
        self._heard.set()

    def handle_timeout(self, now: float) -> None:
        self.woken_at.append(now)
        if self._fails_left:
            self._fails_left -= 1
            raise OverflowError("a bug")
        self.is_armed = False
        self._events.append(now)

    def poll_transmit(self) -> Transmit | None:
        return None

    def poll_event(self) -> float | None:
        return self._events.popleft() if self._events else None

    def poll_timeout(self) -> float | None:
        return 0.0 if self.is_armed else None


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
