"""One node of the private DHT and what reaches it: who is answered, with how much, and who enters its table."""

from __future__ import annotations

import asyncio
import random

from hypothesis import given, settings
from hypothesis import strategies as st
from support.discovery.private_swarm import KEY, OTHER_PORT, Network, SimServer, at, network
from support.doubles.virtual_time import in_virtual_time
from wgmesh.core.model import Endpoint
from wgmesh.core.wire.datagram_seal import MAX_DATAGRAM_BYTES, NONCE_BYTES, seal, unseal
from wgmesh.core.wire.dht_message import Answer, Request, decode, encode
from wgmesh.discovery.messages.dht_inbox import HOST_BURST, PROVEN_S
from wgmesh.discovery.private_dht.io.protocol import MAX_NOTED, PATIENCE_S, QUESTION_BYTES
from wgmesh.discovery.private_dht.routing import K

NAME = bytes(range(20))
ID = bytes(20)


def sealed(net: Network, message: Request | Answer, key: bytes = KEY) -> bytes:
    return seal(encode(message), key, net.random.randbytes(NONCE_BYTES), net.now())


def question(net: Network, name: bytes = NAME) -> bytes:
    return sealed(net, Request(net.random.randbytes(20), "find_value", (name,)))


def sent_to(net: Network, endpoint: Endpoint) -> list[Request | Answer]:
    """What somebody was told, opened."""
    return [decode(unseal(each.data, KEY, each.at_s).payload) for each in net.sent if each.to == endpoint]


async def prove(net: Network, endpoint: Endpoint, to: SimServer) -> None:
    """Has a member without a node of its own ask something, and answer the ping that it gets."""
    net.send(question(net), endpoint, to.endpoint)
    await asyncio.sleep(0.1)
    ping = next(each for each in reversed(sent_to(net, endpoint)) if isinstance(each, Request))
    net.send(sealed(net, Answer(ping.id, True)), endpoint, to.endpoint)
    await asyncio.sleep(0.1)


@in_virtual_time
async def test_a_request_that_got_lost_is_sent_once_more() -> None:
    async with network() as net:
        await net.join(1, [at(0)])
        await asyncio.sleep(sum(PATIENCE_S) - 0.1)
        assert [round(each.at_s - net.sent[0].at_s, 1) for each in net.sent] == [0.0, PATIENCE_S[0]]
        assert sent_to(net, at(0))[0] == sent_to(net, at(0))[1]


@in_virtual_time
async def test_a_stranger_without_the_key_gets_not_one_byte_and_stores_nothing() -> None:
    async with network() as net:
        servers = await net.mesh(4)
        stranger = await net.start(net.server(66, key=bytes(32)), [at(0), at(1)])
        await asyncio.sleep(10.0)
        assert await stranger.put(NAME, b"forged") == 0
        assert await servers[0].get(NAME) == [] and not stranger.known
        assert [each for each in net.sent if each.source == at(66)]
        assert not [each for each in net.sent if each.to.host == at(66).host]
        assert servers[0].protocol.inbox.rejected_count > 0


@in_virtual_time
async def test_a_datagram_that_somebody_repeats_is_not_answered_again() -> None:
    async with network() as net:
        server = await net.join(0)
        await prove(net, at(9), server)
        request = question(net)
        for source in (at(9), at(9), at(8)):
            net.send(request, source, at(0))
        await asyncio.sleep(1.0)
        asked = decode(unseal(request, KEY, net.now()).payload).id
        assert [each.id for each in sent_to(net, at(9)) if isinstance(each, Answer)].count(asked) == 1
        assert not sent_to(net, at(8))
        assert server.protocol.inbox.rejected_count == 2


@in_virtual_time
async def test_to_an_address_that_has_not_answered_goes_no_more_than_came_from_there() -> None:
    """A member's question, recorded and sent to another node with a victim's address as its source."""
    async with network() as net:
        servers = await net.mesh(24)
        await servers[1].put(NAME, bytes(900))
        recorded = [question(net) for _ in range(20)]
        for request in recorded:
            for server in servers:
                net.send(request, at(99), server.endpoint)
        await asyncio.sleep(5.0)
        answered = [each for each in net.sent if each.to.host == at(99).host]
        came = sum(len(each.data) for each in net.sent if each.source == at(99))
        assert answered and sum(len(each.data) for each in answered) <= came
        assert all(isinstance(each, Request) and each.call == "ping" for each in sent_to(net, at(99)))


@in_virtual_time
async def test_one_that_answers_the_ping_is_answered_then_and_for_an_hour_at_once() -> None:
    async with network() as net:
        server = await net.join(0)
        await server.put(NAME, b"value")

        def answers() -> list[object]:
            return [each.result for each in sent_to(net, at(9)) if isinstance(each, Answer)]

        await prove(net, at(9), server)
        assert answers() == [b"value"]
        await asyncio.sleep(PROVEN_S - 60.0)
        net.send(question(net), at(9), at(0))
        await asyncio.sleep(120.0)
        assert answers() == [b"value"] * 2
        net.send(question(net), at(9), at(0))
        await asyncio.sleep(1.0)
        assert answers() == [b"value"] * 2, "it may be somebody else's address by now"
        await prove(net, at(9), server)
        assert answers() == [b"value"] * 3


@in_virtual_time
async def test_an_answer_counts_only_from_where_it_was_asked() -> None:
    async with network() as net:
        server = await net.join(1, [at(0)])
        await asyncio.sleep(0.1)
        (asked,) = sent_to(net, at(0))
        net.send(sealed(net, Answer(asked.id, True)), at(7), at(1))
        await asyncio.sleep(0.1)
        assert len(net.sent) == 2, "nobody is asked further"
        net.send(sealed(net, Answer(asked.id, True)), at(0), at(1))
        await asyncio.sleep(0.1)
        probe = next(each for each in net.sent if each.source == at(1, OTHER_PORT))
        assert probe.to == at(0) and not server.known


@in_virtual_time
async def test_an_answer_that_comes_twice_harms_nothing() -> None:
    async with network() as net:
        await net.join(1, [at(0)])
        await asyncio.sleep(0.1)
        (asked,) = sent_to(net, at(0))
        for _ in range(3):
            net.send(sealed(net, Answer(asked.id, True)), at(0), at(1))
        await asyncio.sleep(5.0)


@in_virtual_time
async def test_a_ping_that_is_answered_more_than_once_leads_to_one_answer() -> None:
    async with network() as net:
        server = await net.join(0)
        net.send(question(net), at(9), server.endpoint)
        await asyncio.sleep(0.1)
        (ping,) = sent_to(net, at(9))
        for _ in range(3):
            net.send(sealed(net, Answer(ping.id, True)), at(9), server.endpoint)
        await asyncio.sleep(0.1)
        assert len([each for each in sent_to(net, at(9)) if isinstance(each, Answer)]) == 1


@in_virtual_time
async def test_an_answer_to_nothing_that_was_asked_changes_nothing() -> None:
    async with network() as net:
        server = await net.join(0)
        net.send(sealed(net, Answer(ID, True)), at(1), at(0))
        net.send(sealed(net, Answer(ID, (at(2),))), at(1), at(0))
        await asyncio.sleep(5.0)
        assert not server.known and len(net.sent) == 2


@in_virtual_time
async def test_one_that_asks_and_does_not_answer_the_second_port_is_in_no_table_and_pinged_seldom() -> None:
    async with network() as net:
        server = await net.join(0)
        await prove(net, at(9), server)
        before = len(net.sent)
        for _ in range(100):
            net.send(question(net), at(9), at(0))
            await asyncio.sleep(0.1)
        pings = [each for each in net.sent[before:] if each.source == at(0, OTHER_PORT)]
        assert not server.known and 3 <= len(pings) <= 6


@in_virtual_time
async def test_one_host_gets_no_more_answers_than_its_share_whatever_others_ask() -> None:
    async with network() as net:
        server = await net.join(0)
        for number in (8, 9):
            await prove(net, at(number), server)
        await asyncio.sleep(10.0)
        before = len(sent_to(net, at(9)))
        for _ in range(2 * HOST_BURST):
            net.send(question(net), at(9), at(0))
        net.send(question(net), at(8), at(0))
        await asyncio.sleep(0.1)
        assert HOST_BURST - 10 <= len(sent_to(net, at(9))) - before <= HOST_BURST + 10
        assert isinstance(sent_to(net, at(8))[-1], Answer)


@in_virtual_time
async def test_a_flood_of_garbage_from_elsewhere_does_not_silence_the_mesh() -> None:
    async with network() as net:
        servers = await net.mesh(3)

        async def flood() -> None:
            for number in range(200):
                for source in range(100):
                    garbage = b"\xd1" + number.to_bytes(50, "big") + source.to_bytes(50, "big")
                    net.send(garbage, at(1000 + 100 * number + source), at(0))
                await asyncio.sleep(0.001)

        async with asyncio.TaskGroup() as tasks:
            flooding = tasks.create_task(flood())
            await asyncio.sleep(0.07)
            asked_at = net.now()
            assert await servers[1].put(NAME, b"value") == 2
            assert net.now() - asked_at < PATIENCE_S[0], "nothing got lost"
            assert not flooding.done()


@in_virtual_time
async def test_what_is_noted_of_askers_is_bounded() -> None:
    async with network() as net:
        server = await net.join(0)
        for number in range(2 * MAX_NOTED):
            net.send(question(net), at(100 + number), at(0))
        await asyncio.sleep(1.0)
        assert len(net.sent) == 4 * MAX_NOTED, "each is pinged"
        assert len(server.protocol._pings) == MAX_NOTED


@in_virtual_time
async def test_a_member_that_floods_with_forged_sources_does_not_end_what_we_ask() -> None:
    async with network() as net:
        servers = await net.mesh(8)
        asking = asyncio.get_running_loop().create_task(servers[0].get(NAME))
        await asyncio.sleep(0.01)
        for number in range(2 * MAX_NOTED):
            net.send(question(net), at(100 + number), at(0))
        asked_at = net.now()
        await asking
        assert net.now() - asked_at < PATIENCE_S[0]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=80), max_size=8), st.integers(0, 2**32))
def test_nothing_that_a_member_or_a_stranger_says_raises(texts: list[bytes], seed: int) -> None:
    @in_virtual_time
    async def run() -> None:
        async with network() as net:
            server = await net.join(0, [at(1)])
            await prove(net, at(1), server)
            chance = random.Random(seed)
            for text in texts:
                asked = sent_to(net, at(1))[-1].id
                for payload in (text, b"\x00" + ID + text, b"\x01" + ID + text, b"\x01" + asked + text):
                    data = seal(payload, KEY, chance.randbytes(NONCE_BYTES), net.now())
                    for datagram in (data, text, b"\xd1" + text):
                        net.send(datagram, at(1), at(0))
                await asyncio.sleep(0.5)
            assert all(len(each.data) <= MAX_DATAGRAM_BYTES for each in net.sent if each.source.host == at(0).host)

    run()


@in_virtual_time
async def test_what_is_paid_for_a_question_is_enough_for_the_longest_one() -> None:
    async with network() as net:
        questions = (Request(ID, "ping"), *(Request(ID, call, (NAME,)) for call in ("find_node", "find_value")))
        assert max(len(sealed(net, each)) for each in questions) <= QUESTION_BYTES


@in_virtual_time
async def test_the_longest_answer_fits_into_a_datagram_that_no_path_cuts() -> None:
    async with network() as net:
        nodes = tuple(Endpoint.parse(f"[2001:db8::{number}]:65535") for number in range(1, K + 1))
        longest = (Answer(ID, nodes), Answer(ID, bytes(900)), Request(ID, "store", (NAME, bytes(900))))
        assert max(len(sealed(net, each)) for each in longest) <= MAX_DATAGRAM_BYTES
