"""ICMP echoes on loopback, answered by the kernel."""

from __future__ import annotations

import asyncio
import ipaddress
import socket

import pytest
from support.probe_endpoints import KEY, OWN, SERVER, probing, serving, until
from wgmesh.core.model import IPAddress, PublicKey
from wgmesh.nat.io import probe_client
from wgmesh.nat.io.echo_client import echo
from wgmesh.nat.tunnel_probe import ProbeTarget


def may_open_raw_sockets() -> bool:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()
    except PermissionError:
        return False
    return True


RAW = pytest.mark.skipif(not may_open_raw_sockets(), reason="needs CAP_NET_RAW; tests/lab runs it in any case")
LOOPBACK_IPV6 = ipaddress.ip_address("::1")


@RAW
@pytest.mark.parametrize(("own", "peer"), [(OWN, SERVER), (LOOPBACK_IPV6, LOOPBACK_IPV6)])
async def test_the_kernel_of_a_peer_answers(own: IPAddress, peer: IPAddress) -> None:
    async with asyncio.timeout(2):
        assert 0 < await echo(own, peer, "lo") < 0.1


@RAW
async def test_two_at_a_time_get_their_own_answers() -> None:
    async with asyncio.timeout(2):
        answers = await asyncio.gather(*(echo(OWN, SERVER, "lo") for _ in range(32)))
    assert all(answer > 0 for answer in answers)


@RAW
async def test_without_the_interface_it_says_so() -> None:
    with pytest.raises(OSError):
        await echo(OWN, SERVER, "wgmesh-none0")


@RAW
async def test_a_peer_that_has_answered_a_connection_is_asked_by_echo(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that its program, once it is known to be one, is not woken again."""
    connections = count_calls(monkeypatch, "ping")
    echoes = count_calls(monkeypatch, "echo")
    await probe_times(3, monkeypatch)
    assert (len(connections), len(echoes)) == (1, 2)


async def test_where_echoes_stay_silent_connections_go_on_and_echoes_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(own: IPAddress, peer: IPAddress, interface: str) -> float:
        raise TimeoutError

    monkeypatch.setattr(probe_client, "echo", silent)
    connections = count_calls(monkeypatch, "ping")
    echoes = count_calls(monkeypatch, "echo")
    await probe_times(6, monkeypatch)
    assert len(connections) == 6
    assert len(echoes) == probe_client.UNANSWERED_ECHOES_MAX


def count_calls(monkeypatch: pytest.MonkeyPatch, name: str) -> list[object]:
    """The calls of one of the two ways to ask, which still asks."""
    calls: list[object] = []
    real = getattr(probe_client, name)

    async def counted(*arguments: object) -> float:
        calls.append(arguments)
        return float(await real(*arguments))

    monkeypatch.setattr(probe_client, name, counted)
    return calls


async def probe_times(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes a peer on loopback so often, all of it answered."""
    monkeypatch.setattr("wgmesh.nat.tunnel_probe.PROBE_GAP_S", 0.0)
    monkeypatch.setattr("wgmesh.nat.tunnel_probe.PROBE_PACE_S", 0.0)
    answers: list[float] = []

    def answered(key: PublicKey, rtt_s: float) -> None:
        answers.append(rtt_s)
        if len(answers) == count:
            client.set_targets([])

    async with serving({SERVER}) as (_, port), probing(port, on_answered=answered) as client:
        client.set_targets([ProbeTarget(KEY, ((OWN, SERVER),))])
        await until(lambda: len(answers) >= count)
