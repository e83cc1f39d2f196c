"""ICMP echoes on loopback, answered by the kernel."""

from __future__ import annotations

import asyncio
import ipaddress

import pytest
from support.probe_endpoints import KEY, OWN, SERVER, probing, serving
from support.waiting import PATIENCE_S, until
from wgmesh.core.model import IPAddress, PublicKey
from wgmesh.nat.io.echo_client import echo
from wgmesh.nat.io.probe_client import UNANSWERED_ECHOES_MAX, Echo
from wgmesh.nat.tunnel_probe import ProbeSchedule, ProbeTarget

LOOPBACK_IPV6 = ipaddress.ip_address("::1")


@pytest.mark.root  # raw sockets
@pytest.mark.parametrize(("own", "peer"), [(OWN, SERVER), (LOOPBACK_IPV6, LOOPBACK_IPV6)])
async def test_the_kernel_of_a_peer_answers(own: IPAddress, peer: IPAddress) -> None:
    async with asyncio.timeout(PATIENCE_S):
        assert 0 < await echo(own, peer, "lo") < PATIENCE_S


@pytest.mark.root  # raw sockets
async def test_two_at_a_time_get_their_own_answers() -> None:
    async with asyncio.timeout(PATIENCE_S):
        answers = await asyncio.gather(*(echo(OWN, SERVER, "lo") for _ in range(32)))
    assert all(answer > 0 for answer in answers)


@pytest.mark.root  # raw sockets
async def test_without_the_interface_it_says_so() -> None:
    with pytest.raises(OSError):
        await echo(OWN, SERVER, "wgmesh-none0")


@pytest.mark.root  # raw sockets
async def test_a_peer_that_has_answered_a_connection_is_asked_by_echo() -> None:
    """So that its program, once it is known to be one, is not woken again."""
    echoes: list[float] = []

    async def counted(own: IPAddress, peer: IPAddress, interface: str) -> float:
        echoes.append(await echo(own, peer, interface))
        return echoes[-1]

    answers = await probe_times(3, counted)
    assert answers[1:] == echoes and len(echoes) == 2  # the first was a connection


async def test_where_echoes_stay_silent_connections_go_on_and_echoes_end() -> None:
    silences: list[IPAddress] = []

    async def silent(own: IPAddress, peer: IPAddress, interface: str) -> float:
        silences.append(peer)
        raise TimeoutError

    assert len(await probe_times(6, silent)) == 6
    assert len(silences) == UNANSWERED_ECHOES_MAX


async def probe_times(count: int, ask_for_echo: Echo) -> list[float]:
    """Probes a peer on loopback so often, without a pause. Returns its answers."""
    answers: list[float] = []

    def answered(key: PublicKey, rtt_s: float) -> None:
        answers.append(rtt_s)
        if len(answers) == count:
            client.set_targets([])

    at_once = ProbeSchedule(lambda: 0.5, gap_s=0.0, pace_s=0.0)
    async with (
        serving({SERVER}) as (_, port),
        probing(port, on_answered=answered, schedule=at_once, echo=ask_for_echo) as client,
    ):
        client.set_targets([ProbeTarget(KEY, ((OWN, SERVER),))])
        await until(lambda: len(answers) >= count)
    return answers
