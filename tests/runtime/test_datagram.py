from __future__ import annotations

import asyncio
import selectors
import socket
from collections import deque
from collections.abc import Iterable
from contextlib import closing
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from support.waiting import PATIENCE_S
from wgmesh.core.clock import SteadyClock
from wgmesh.core.model import Endpoint
from wgmesh.core.sansio import Transmit
from wgmesh.runtime.datagram import PAUSE_AFTER_BUG_S, DatagramDriver

LAST_ALARM_S = 300.0
ROUNDED_S = 1e-5  # Unix seconds are good to a quarter of a microsecond
MOMENTS = st.integers(0, int(LAST_ALARM_S * 1000)).map(lambda milliseconds: milliseconds / 1000)


@st.composite
def days_of_a_clock(draw: st.DrawFn) -> list[tuple[float, float]]:
    """At which seconds the clock of a host is set, and by how much."""
    moments = draw(st.lists(MOMENTS, max_size=8))
    return [(at, draw(st.floats(-4e8, 4e8))) for at in sorted(moments)]


@settings(deadline=None)
@given(
    days_of_a_clock(),
    st.lists(MOMENTS, min_size=1, max_size=6, unique=True),
    st.lists(MOMENTS, max_size=6),
)
def test_timers_go_off_in_order_and_on_time_whatever_is_done_to_the_clock(
    jumps: list[tuple[float, float]], alarms: list[float], datagrams: list[float]
) -> None:
    """Between datagrams, with one, and while nothing happens: the driver as it is, in the time of a loop of its own."""
    host = Host()
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(host)) as runner:
        rung = runner.run(_rung(host, jumps, alarms, datagrams))

    assert [due_at for due_at, _ in rung] == sorted(alarms)
    assert all(abs(rung_at - due_at) <= ROUNDED_S for due_at, rung_at in rung)


async def _rung(
    host: Host, jumps: list[tuple[float, float]], alarms: list[float], datagrams: list[float]
) -> list[tuple[float, float]]:
    """Which alarms have rung, each with when, in seconds since the beginning."""
    loop = asyncio.get_running_loop()
    began_at, steady = loop.time(), SteadyClock(lambda: host.elapsed_s, lambda: host.clock_s)
    first_at = steady.now()
    core = Alarms(first_at + after_s for after_s in alarms)
    rung: list[tuple[float, float]] = []
    driver = DatagramDriver(core, {}, lambda due_at: rung.append((due_at, loop.time())), steady.now)
    for at, by_s in jumps:
        loop.call_at(began_at + at, host.set_clock, by_s)
    for at in datagrams:
        loop.call_at(began_at + at, driver.pump)  # what the driver does after each
    with closing(driver):
        await asyncio.sleep(LAST_ALARM_S + 1.0)
    ahead_s = {first_at + after_s: after_s for after_s in alarms}
    return [(ahead_s[due_at], at - began_at) for due_at, at in rung]


class Host:
    """A machine in virtual time, whose clock anybody may set."""

    def __init__(self) -> None:
        self.elapsed_s = 1000.0
        self.clock_s = 1_800_000_000.0

    def wait(self, seconds: float) -> None:
        self.elapsed_s += seconds
        self.clock_s += seconds

    def set_clock(self, by_s: float) -> None:
        self.clock_s += by_s


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop that does not wait: the time of its host goes on instead."""

    def __init__(self, host: Host) -> None:
        self._host = host
        super().__init__(Hasty(host))

    def time(self) -> float:
        return self._host.elapsed_s


class Hasty(selectors.DefaultSelector):
    def __init__(self, host: Host) -> None:
        super().__init__()
        self._host = host

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0.0)
        if not found and timeout is not None:
            self._host.wait(max(timeout, 0.0))
        return found


class Alarms:
    """A core that rings at each of some instants, and says which it was."""

    def __init__(self, due_at: Iterable[float]) -> None:
        self._due_at = deque(sorted(due_at))
        self._events: deque[float] = deque()

    def handle_datagram(self, data: bytes, source: Endpoint, now: float, channel: str = "") -> None:
        raise AssertionError("no socket")

    def handle_timeout(self, now: float) -> None:
        while self._due_at and now >= self._due_at[0]:
            self._events.append(self._due_at.popleft())

    def poll_transmit(self) -> Transmit | None:
        return None

    def poll_event(self) -> float | None:
        return self._events.popleft() if self._events else None

    def poll_timeout(self) -> float | None:
        return self._due_at[0] if self._due_at else None


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


class Shouting(Alarms):
    def __init__(self, *transmits: Transmit) -> None:
        super().__init__(())
        self._transmits = deque(transmits)

    def poll_transmit(self) -> Transmit | None:
        return self._transmits.popleft() if self._transmits else None
