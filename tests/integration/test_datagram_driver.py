"""The UDP driver on loopback sockets."""

from __future__ import annotations

import asyncio
import socket
from collections import deque

from support.waiting import PATIENCE_S, turn_of_the_loop
from wgmesh.core.model import Endpoint
from wgmesh.core.sansio import Transmit
from wgmesh.runtime.datagram import DatagramDriver


class Echo:
    """Answers each datagram on the channel it came by, and reports it."""

    def __init__(self) -> None:
        self._transmits: deque[Transmit] = deque()
        self._events: deque[tuple[str, bytes]] = deque()

    def handle_datagram(self, data: bytes, source: Endpoint, now: float, channel: str = "") -> None:
        self._transmits.append(Transmit(data.upper(), source, channel))
        self._events.append((channel, data))

    def handle_timeout(self, now: float) -> None:
        raise AssertionError("never asked for")

    def poll_transmit(self) -> Transmit | None:
        return self._transmits.popleft() if self._transmits else None

    def poll_event(self) -> tuple[str, bytes] | None:
        return self._events.popleft() if self._events else None

    def poll_timeout(self) -> float | None:
        return None


async def test_an_answer_leaves_by_the_channel_of_the_question() -> None:
    events: list[tuple[str, bytes]] = []
    first, second = bound(socket.AF_INET, "127.0.0.1"), bound(socket.AF_INET, "127.0.0.1")
    address = second.getsockname()
    async with DatagramDriver(Echo(), {"": first, "eth1": second}, events.append):
        answer = await ask(address, b"hello")

    assert answer == (b"HELLO", address)
    assert events == [("eth1", b"hello")]


async def test_a_dual_stack_socket_answers_an_ipv4_peer_and_shows_it_as_one() -> None:
    both = bound(socket.AF_INET6, "::", only_ipv6=False)
    async with DatagramDriver(Echo(), {"": both}, lambda event: None):
        answer = await ask(("127.0.0.1", both.getsockname()[1]), b"hello")

    assert answer[0] == b"HELLO"


async def test_a_removed_channel_is_closed_and_the_others_go_on() -> None:
    first, second = bound(socket.AF_INET, "127.0.0.1"), bound(socket.AF_INET, "127.0.0.1")
    address = first.getsockname()
    async with DatagramDriver(Echo(), {"": first, "eth1": second}, lambda event: None) as driver:
        driver.remove_channel("eth1")

        assert second.fileno() == -1
        assert (await ask(address, b"still"))[0] == b"STILL"


async def test_a_flood_is_read_in_turns_that_leave_time_for_others() -> None:
    events: list[tuple[str, bytes]] = []
    main = bound(socket.AF_INET, "127.0.0.1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        async with DatagramDriver(Echo(), {"": main}, events.append):
            for _ in range(200):
                sender.sendto(b"x", main.getsockname())
            counts = []
            while len(events) < 200:
                await turn_of_the_loop()
                counts.append(len(events))

    assert 64 in counts


def bound(family: socket.AddressFamily, host: str, only_ipv6: bool = True) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_DGRAM)
    if family is socket.AF_INET6:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only_ipv6)
    opened.bind((host, 0))
    return opened


async def ask(address: tuple[str, int], question: bytes) -> tuple[bytes, tuple[str, int]]:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.setblocking(False)
        await loop.sock_sendto(asking, question, address)
        answer, source = await asyncio.wait_for(loop.sock_recvfrom(asking, 2048), PATIENCE_S)
        return answer, source
