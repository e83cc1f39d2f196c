"""Members of the private DHT that lie, and what look-ups make of it."""

from __future__ import annotations

import asyncio
import ipaddress

import pytest
from support.discovery.private_swarm import (
    KEY,
    PORT,
    Forger,
    Misleader,
    Mute,
    Network,
    SimServer,
    at,
    network,
)
from support.doubles.virtual_time import in_virtual_time
from wgmesh.core.model import Endpoint
from wgmesh.core.wire.datagram_seal import unseal
from wgmesh.core.wire.dht_message import Answer, Request, decode
from wgmesh.discovery.private_dht.io.lookup import MAX_ASKED
from wgmesh.discovery.private_dht.io.protocol import SealedProtocol
from wgmesh.discovery.private_dht.io.server import DEADLINE_S
from wgmesh.discovery.private_dht.routing import SPREAD_OF_HOST, K, node_at

NAME = bytes(range(20))


class Stale(SealedProtocol):
    """Repeats an old value always, and keeps no newer one."""

    def _answer(self, request: Request, source: Endpoint) -> None:
        self._send(Answer(request.id, b"1" if request.call == "find_value" else True), source)


class Chain(SealedProtocol):
    """Names nodes of its own that are closer still."""

    names: tuple[Endpoint, ...] = ()

    def _answer(self, request: Request, source: Endpoint) -> None:
        self._send(Answer(request.id, self.names), source)


def now() -> float:
    return asyncio.get_running_loop().time()


async def mesh_with(net: Network, liars: list[type[SealedProtocol]], count: int = 24) -> list[SimServer]:
    """A mesh that has met; returns its honest nodes."""
    kinds: list[type[SealedProtocol]] = [SealedProtocol, *liars, *[SealedProtocol] * (count - 1 - len(liars))]
    servers = [await net.join(number, [at(0)], kind) for number, kind in enumerate(kinds)]
    await asyncio.sleep(60.0)
    return [server for server, kind in zip(servers, kinds, strict=True) if kind is SealedProtocol]


def distance(endpoint: Endpoint, name: bytes = NAME) -> int:
    own: int = node_at(endpoint, KEY).long_id
    return own ^ int.from_bytes(name)


LIARS = {
    "forge": [Forger] * 3,
    "name false neighbours": [Misleader] * 3,
    "are mute": [Mute] * 3,
    "do one of these each": [Forger, Misleader, Mute],
}


@pytest.mark.parametrize("liars", LIARS.values(), ids=LIARS.keys())
@in_virtual_time
async def test_beside_three_members_that_lie_all_values_are_stored_and_found(liars: list[type[SealedProtocol]]) -> None:
    async with network() as net:
        honest = await mesh_with(net, liars)
        for number in range(6):
            name = net.random.randbytes(20)
            began_at = now()
            assert await honest[number].put(name, b"value") >= K // 2
            stored_at = now()
            assert await honest[number + 5].get(name) == [b"value"]
            assert stored_at - began_at < 5.0 and now() - stored_at < 4.0


@in_virtual_time
async def test_with_a_tenth_lost_and_three_members_that_lie_values_are_found() -> None:
    async with network(loss=0.1) as net:
        honest = await mesh_with(net, [Forger, Misleader, Mute])
        for number in range(6):
            name = net.random.randbytes(20)
            assert await honest[number].put(name, b"value") >= K // 4
            assert await honest[number + 5].get(name) == [b"value"]


@in_virtual_time
async def test_three_that_repeat_an_old_value_do_not_hide_the_new_one() -> None:
    """Those who have it are named only by those who have not, and the liars answer at once."""
    async with network() as net:
        numbers = sorted(range(1, 40), key=lambda number: distance(at(number)))
        holders, liars, others = numbers[:8], numbers[8:11], numbers[11:16]
        kinds = dict.fromkeys(liars, Stale)
        servers = {
            each: await net.join(each, kind=kinds.get(each, SealedProtocol)) for each in holders + liars + others
        }
        for other in others:
            for holder in holders:
                servers[other].protocol.router.add_contact(node_at(at(holder), KEY))
        for holder in holders:
            servers[holder].storage.write(NAME, b"2", None)
        reader = await net.join(99)
        for each in liars + others:
            reader.protocol.router.add_contact(node_at(at(each), KEY))
        assert b"2" in await reader.get(NAME)


@in_virtual_time
async def test_a_member_that_invents_ever_closer_nodes_is_listened_to_for_so_many_questions() -> None:
    async with network() as net:
        chain = sorted((at(number) for number in range(1000, 1200)), key=distance, reverse=True)
        for place, endpoint in enumerate(chain):
            link = net.server(int(endpoint.host) - 0x0A000000, kind=Chain)
            assert isinstance(link.protocol, Chain)
            link.protocol.names = tuple(chain[place + 1 : place + 3])
            await link.listen(PORT)
        reader = await net.join(0)
        reader.protocol.router.add_contact(node_at(chain[0], KEY))
        assert await reader.get(NAME) == []
        asked = {each.to for each in net.sent if each.source == at(0)}
        assert MAX_ASKED <= len(asked) <= MAX_ASKED + K


@in_virtual_time
async def test_the_more_of_the_closest_are_dead_the_more_are_asked_at_once() -> None:
    async with network() as net:
        closest = sorted(range(1, 200), key=lambda number: distance(at(number)))
        reader = await net.join(0)
        for number in closest[:32]:
            reader.protocol.router.add_contact(node_at(at(number), KEY))
        for number in closest[24:32]:  # all others are dead
            server = await net.join(number)
            server.storage.write(NAME, b"value", None)
        asked_at = now()
        assert await reader.get(NAME) == [b"value"]
        assert now() - asked_at < 3.0


@in_virtual_time
async def test_members_that_name_a_dead_node_at_every_step_hold_a_look_up_no_longer_than_its_deadline() -> None:
    async with network() as net:
        for number in range(1000, 1020):
            link = net.server(number, kind=Chain)
            assert isinstance(link.protocol, Chain)
            link.protocol.names = (at(number + 1), at(number + 5000))
            await link.listen(PORT)
        reader = await net.join(0)
        reader.protocol.router.add_contact(node_at(at(1000), KEY))
        asked_at = now()
        assert await reader.get(NAME) == []
        assert abs(now() - asked_at - DEADLINE_S) < 0.01


@in_virtual_time
async def test_of_one_host_only_half_of_those_that_are_asked_while_there_are_others() -> None:
    """A member whose host has two hundred ports, of which it names those that are closest to a key."""
    async with network() as net:
        crowd = sorted((Endpoint(at(500).host, port) for port in range(1, 200)), key=distance)
        others = [await net.join(number, kind=Chain if number == 1 else SealedProtocol) for number in range(1, 9)]
        assert isinstance(others[0].protocol, Chain)
        others[0].protocol.names = tuple(crowd[:K])
        reader = await net.join(0)
        for other in others:
            reader.protocol.router.add_contact(node_at(other.endpoint, KEY))
        reader.protocol.unanswered.answered(at(500).host, net.now())  # else it would get two datagrams
        asking = asyncio.get_running_loop().create_task(reader.get(NAME))
        await asyncio.sleep(0.3)
        messages = [(each.to, decode(unseal(each.data, KEY, each.at_s).payload)) for each in net.sent]
        asked = [to for to, each in messages if isinstance(each, Request) and each.call == "find_value"]
        assert set(asked) >= {other.endpoint for other in others}
        assert sum(to.host == at(500).host for to in asked) == SPREAD_OF_HOST
        await asking


class Pointer(SealedProtocol):
    """Names eight ports of a host that never answers, other ones each time."""

    third = 0x0A630063
    told = 0

    def _answer(self, request: Request, source: Endpoint) -> None:
        type(self).told += 1
        ports = (1024 + (8 * type(self).told + number) % 60_000 for number in range(K))
        names = tuple(Endpoint(ipaddress.IPv4Address(self.third), port) for port in ports)
        self._send(Answer(request.id, names), source)


@pytest.mark.attack("a member", "aim the nodes of the private DHT at a third")
@in_virtual_time
async def test_members_that_point_at_a_third_bring_it_less_than_three_times_what_they_say() -> None:
    """All others look up name after name for ten minutes, and ask the liars, which name the third in every answer."""
    async with network() as net:
        honest = await mesh_with(net, [Pointer, Pointer], count=8)
        third, liars = ipaddress.IPv4Address(Pointer.third), {at(1), at(2)}
        for number in range(60):
            await asyncio.gather(*(server.get(number.to_bytes(20, "big")) for server in honest))
            await asyncio.sleep(10.0)
        hosts = {server.endpoint.host for server in honest}
        sent = [each for each in net.sent if each.to.host == third and each.source.host in hosts]
        said = sum(len(each.data) for each in net.sent if each.source in liars)
        assert sent and sum(len(each.data) for each in sent) < said / 4
