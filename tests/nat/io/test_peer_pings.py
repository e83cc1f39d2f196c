from __future__ import annotations

import asyncio

import pytest
from support.probe_endpoints import KEY, OWN, SERVER, SERVER_IPV6, free_port, serving
from wgmesh.core.errors import NotFound, NotReady
from wgmesh.core.model import IPAddress
from wgmesh.nat.io.peer_pings import PeerPings, PingOutcome, Way
from wgmesh.nat.tunnel_probe import ProbeTarget

TARGET = ProbeTarget(KEY, ((OWN, SERVER),))
SOON_S = 0.2
LONG_S = 30.0


class Echoes:
    """A peer that answers echoes, or not."""

    def __init__(self, answers: bool) -> None:
        self.answers = answers

    async def __call__(self, own: IPAddress, peer: IPAddress, interface: str) -> float:
        if not self.answers:
            await asyncio.Event().wait()
        return 0.001


def pings(echoes: Echoes, port: int, interface: str = "lo") -> PeerPings:
    made = PeerPings(interface, port, echoes)
    made.set_targets([TARGET])
    return made


async def test_an_answered_echo_is_the_answer() -> None:
    outcome = await pings(Echoes(True), free_port()).ping(KEY, "", LONG_S)

    assert outcome == PingOutcome(SERVER, Way.ECHO, 0.001)


async def test_a_peer_that_answers_no_echoes_is_asked_by_a_connection() -> None:
    async with serving({SERVER}) as (_, port):
        outcome = await pings(Echoes(False), port).ping(KEY, str(SERVER), 2.0)

    assert outcome.way is Way.CONNECTION
    assert outcome.rtt_s is not None


async def test_a_lost_echo_of_a_peer_that_answers_them_is_hidden_by_no_connection() -> None:
    echoes = Echoes(True)
    async with serving({SERVER}) as (_, port):
        asking = pings(echoes, port)
        await asking.ping(KEY, "", LONG_S)
        echoes.answers = False

        outcome = await asking.ping(KEY, "", SOON_S)

    assert outcome == PingOutcome(SERVER, Way.ECHO, None)


async def test_a_peer_that_answers_nothing_has_no_round_trip() -> None:
    outcome = await pings(Echoes(False), free_port()).ping(KEY, "", SOON_S)

    assert outcome == PingOutcome(SERVER, Way.CONNECTION, None)


async def test_the_address_that_is_named_is_the_one_that_is_asked() -> None:
    asking = PeerPings("lo", free_port(), Echoes(True))
    asking.set_targets([ProbeTarget(KEY, ((SERVER_IPV6, SERVER_IPV6), (OWN, SERVER)))])

    assert (await asking.ping(KEY, "", LONG_S)).address == SERVER_IPV6
    assert (await asking.ping(KEY, str(SERVER), LONG_S)).address == SERVER


@pytest.mark.parametrize("address", ["", "10.0.0.1"])
async def test_a_peer_or_an_address_that_is_not_known_is_not_found(address: str) -> None:
    asking = pings(Echoes(True), free_port())
    if not address:
        asking.set_targets([])

    with pytest.raises(NotFound):
        await asking.ping(KEY, address, LONG_S)


async def test_without_the_interface_the_peer_is_not_blamed() -> None:
    with pytest.raises(NotReady, match="this end of the tunnel"):
        await pings(Echoes(False), free_port(), "wgmesh-none0").ping(KEY, "", SOON_S)
