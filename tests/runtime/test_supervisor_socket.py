"""Who asks a supervisor gets its word or none, and waits for nobody else."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from support.doubles.fake_supervisor import own_interface, telling
from wgmesh.runtime.node_report import NodeReport, ServiceReport
from wgmesh.runtime.supervisor_socket import address_of, ask, ask_in_loop, interfaces


@contextmanager
def name_taken(interface: str, backlog: int | None) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address_of(interface))
        if backlog is not None:
            listener.listen(backlog)
        yield listener


async def test_a_supervisor_is_heard_with_and_without_an_event_loop() -> None:
    report = NodeReport(own_interface(), 7, "/run/x", "/run/x/node.sock", "", (ServiceReport("nat", "silent", 3.0),))

    with telling(report):
        assert await asyncio.to_thread(ask, report.interface) == report
        assert await ask_in_loop(report.interface) == report
        assert report.interface in interfaces()
    assert report.interface not in interfaces()


async def test_where_nobody_listens_there_is_no_word() -> None:
    interface = own_interface()

    assert ask(interface) is None
    assert await ask_in_loop(interface) is None
    with name_taken(interface, backlog=None):
        assert ask(interface) is None
        assert await ask_in_loop(interface) is None


def test_a_name_where_nobody_is_let_in_costs_no_time() -> None:
    interface = own_interface()
    with name_taken(interface, backlog=0), ExitStack() as waiting:
        waiting.enter_context(socket.socket(socket.AF_UNIX)).connect(address_of(interface))

        assert ask(interface, timeout_s=3600.0) is None


@pytest.mark.parametrize("said", [b"", b"hello\n", b"{}\n", b"x" * 100_000])
async def test_what_is_no_report_is_no_word(said: bytes) -> None:
    interface = own_interface()
    with name_taken(interface, backlog=2) as listener:
        asking = [
            asyncio.ensure_future(asyncio.to_thread(ask, interface)),
            asyncio.ensure_future(ask_in_loop(interface)),
        ]
        for _ in asking:
            connection, _ = await asyncio.to_thread(listener.accept)
            connection.setblocking(False)
            connection.send(said)
            connection.close()

        assert await asyncio.gather(*asking) == [None, None]


async def test_one_who_says_nothing_is_waited_for_as_long_as_was_said() -> None:
    interface = own_interface()
    with name_taken(interface, backlog=2):
        assert ask(interface, timeout_s=0.05) is None
        assert await ask_in_loop(interface, timeout_s=0.05) is None
