"""Nodes of the private DHT on a simulated network: what all of them together promise."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import random

import pytest
from support.discovery.private_swarm import HEADER_BYTES, KEY, PORT, Network, SimServer, at, network
from support.doubles.virtual_time import in_virtual_time
from wgmesh.core.node_cache import decode_nodes
from wgmesh.core.wire.datagram_seal import unseal
from wgmesh.core.wire.dht_message import Answer, Request, decode
from wgmesh.discovery.dht import NodesCounted, ReadRecord, RecordsRead, StoreRecord
from wgmesh.discovery.members.address_rules import AddressRules
from wgmesh.discovery.private_dht.io.server import REQUESTS_MAX, WORKERS
from wgmesh.discovery.private_dht.routing import K, node_at

NAME = bytes(range(20))
HOUR_S = 3600.0


def now() -> float:
    return asyncio.get_running_loop().time()


def said(net: Network, since: int = 0) -> list[Request | Answer]:
    """What was sent, opened."""
    return [decode(unseal(each.data, KEY, each.at_s).payload) for each in net.sent[since:]]


async def many(net: Network, servers: list[SimServer], count: int = 16) -> list[bytes]:
    """Stores that many values from everywhere, and returns their names."""
    names = [net.random.randbytes(20) for _ in range(count)]
    for number, name in enumerate(names):
        assert await servers[number % len(servers)].put(name, b"value") >= 1
    return names


@in_virtual_time
async def test_all_of_a_small_mesh_know_each_other_although_they_start_at_once() -> None:
    async with network() as net:
        servers = await net.mesh(8)
        assert [len(server.known) for server in servers] == [7] * 8
        assert [server.events[-1] for server in servers] == [NodesCounted(7, PORT)] * 8


@in_virtual_time
async def test_a_value_is_found_by_everybody_and_kept_by_eight() -> None:
    async with network() as net:
        servers = await net.mesh(24)
        assert await servers[3].put(NAME, b"value") == K
        for server in servers:
            assert await server.get(NAME) == [b"value"]


@in_virtual_time
async def test_a_mesh_in_which_few_know_everybody_finds_it_too() -> None:
    async with network() as net:
        servers = await net.mesh(60, settle_s=5.0)
        assert max(len(server.known) for server in (servers[3], *servers[40:])) < 59
        assert await servers[3].put(NAME, b"value") == K
        for server in servers[40:]:
            assert await server.get(NAME) == [b"value"]


@in_virtual_time
async def test_with_a_tenth_of_all_datagrams_lost_values_are_still_found() -> None:
    async with network(loss=0.1) as net:
        servers = await net.mesh(24)
        for name in await many(net, servers):
            asked_at = now()
            assert await servers[11].get(name) == [b"value"]
            assert now() - asked_at < 4.0


@in_virtual_time
async def test_after_half_has_died_values_are_found_within_four_seconds_and_soon_at_once() -> None:
    async with network() as net:
        servers = await net.mesh(24)
        names = await many(net, servers, 6)
        alive = servers[1::2]
        net.kill(*servers[::2])
        for within_s in (4.0, 4.0, 0.5):  # the second still meets those who were farther away
            for name in names:
                asked_at = now()
                assert await alive[5].get(name) == [b"value"]
                assert now() - asked_at < within_s


@in_virtual_time
async def test_after_half_has_died_new_values_are_stored_within_four_seconds() -> None:
    async with network() as net:
        servers = await net.mesh(24)
        net.kill(*servers[::2])
        for server in servers[1::2]:
            asked_at = now()
            assert await server.put(net.random.randbytes(20), b"new") == K
            assert now() - asked_at < 4.0


@in_virtual_time
async def test_that_the_last_node_is_lost_is_told_at_once() -> None:
    async with network() as net:
        servers = await net.mesh(2)
        net.kill(servers[0])
        assert await servers[1].get(NAME) == []
        assert servers[1].events[-1] == NodesCounted(0, PORT)


@in_virtual_time
async def test_values_that_differ_are_all_found_and_the_own_one_first() -> None:
    async with network() as net:
        servers = await net.mesh(3)
        alone = await net.join(50)
        await alone.put(NAME, b"mine")
        await servers[0].put(NAME, b"theirs")
        alone.set_bootstrap([at(0)])
        await asyncio.sleep(5.0)
        assert await alone.get(NAME) == [b"mine", b"theirs"]


@in_virtual_time
async def test_alone_it_still_keeps_what_is_its_own() -> None:
    async with network() as net:
        alone = await net.join(0)
        assert await alone.put(NAME, b"mine") == 0
        assert await alone.get(NAME) == [b"mine"]


@in_virtual_time
async def test_what_the_judge_refuses_is_kept_nowhere() -> None:
    async with network() as net:
        servers = await net.mesh(3)
        assert await servers[0].put(NAME, b"2") == 2
        assert await servers[0].put(NAME, b"1") == 0
        assert await servers[1].put(NAME, b"lie") == 0
        assert await servers[2].get(NAME) == [b"2"]


@pytest.mark.attack("a member", "replace another's record in the private DHT")
@in_virtual_time
async def test_a_member_that_writes_the_highest_revision_in_anothers_name_keeps_nobody_from_the_true_record() -> None:
    async with network() as net:
        servers = await net.mesh(20)
        liar, honest = servers[3], servers[4]
        assert await liar.put(NAME, b"9") == K
        assert await honest.put(NAME, b"1") == K
        for _ in range(10):
            await liar.put(NAME, b"9")
        for reader in servers:
            assert b"1" in await reader.get(NAME), reader.endpoint


@in_virtual_time
async def test_wrong_sizes_are_stored_nowhere() -> None:
    async with network() as net:
        servers = await net.mesh(3)
        for name, value in ((NAME, bytes(901)), (NAME, b""), (bytes(21), b"value"), (b"", b"value")):
            assert await servers[0].put(name, value) == 0
        assert await servers[0].put(NAME, bytes(900)) == 2


@in_virtual_time
async def test_members_behind_nats_put_and_get_and_are_in_nobodys_table() -> None:
    async with network() as net:
        servers = await net.mesh(8)
        net.behind_nat |= {at(20), at(21)}
        asker, other = [await net.join(number, [at(0)]) for number in (20, 21)]
        await asyncio.sleep(60.0)
        assert asker.known == other.known == {server.endpoint for server in servers}
        assert await asker.put(NAME, b"value") == K
        assert await other.get(NAME) == [b"value"]
        await asyncio.sleep(HOUR_S)
        assert not {at(20), at(21)} & set().union(*(server.known for server in servers))


@in_virtual_time
async def test_a_node_that_waits_for_the_first_one_tries_again_with_back_off() -> None:
    async with network() as net:
        early = await net.join(1, [at(0)])
        await asyncio.sleep(HOUR_S)
        assert len(net.sent) < 100
        await net.join(0)
        await asyncio.sleep(250.0)
        assert early.known == {at(0)}


@in_virtual_time
async def test_a_node_told_of_another_later_enters_at_once() -> None:
    async with network() as net:
        late = await net.join(1)
        await net.join(0)
        await asyncio.sleep(HOUR_S)
        late.set_bootstrap([at(0)])
        await asyncio.sleep(1.0)
        assert late.known == {at(0)}


@in_virtual_time
async def test_two_halves_that_were_cut_apart_meet_again_through_what_the_operator_named() -> None:
    async with network() as net:
        first = await net.mesh(3, settle_s=0.0)
        other = [await net.join(number, [at(10)]) for number in range(10, 13)]
        await asyncio.sleep(10.0)
        bridge = await net.join(20, [at(0), at(10)])
        await asyncio.sleep(60.0)
        assert len(bridge.known) == 6
        await first[1].put(NAME, b"value")
        assert await other[1].get(NAME) == [b"value"]


@in_virtual_time
async def test_from_a_saved_state_it_enters_although_all_that_it_was_named_are_dead() -> None:
    async with network() as net:
        servers = await net.mesh(8)
        state = servers[7].state()
        assert state is not None
        net.kill(servers[0], servers[7])
        again = net.server(30)
        again.protocol.remembered.enter(*decode_nodes(state))
        await net.start(again, [at(0)])
        await asyncio.sleep(10.0)
        assert len(again.known) == 6


@pytest.mark.parametrize("is_named", [True, False], ids=["named", "remembered"])
@in_virtual_time
async def test_dead_nodes_of_one_kind_do_not_hold_up_those_of_the_other(is_named: bool) -> None:
    """Thousands that are dead were named by the operator, or are remembered; the one that is there is of the other."""
    async with network() as net:
        await net.join(0)
        dead = [at(number) for number in range(100, 3000)]
        server = net.server(1)
        server.protocol.remembered.enter(*([at(0)] if is_named else dead))
        await net.start(server, dead if is_named else [at(0)])
        await asyncio.sleep(1.0)
        assert server.known == {at(0)}


@in_virtual_time
async def test_all_that_are_named_have_their_turn_however_many_are_dead() -> None:
    async with network() as net:
        await net.join(0)
        server = await net.join(1, [*(at(number) for number in range(100, 120)), at(0)])
        await asyncio.sleep(120.0)
        assert server.known == {at(0)}


@in_virtual_time
async def test_one_whose_link_was_down_finds_the_mesh_again() -> None:
    async with network() as net:
        servers = await net.mesh(8)
        plug = net.plugs.pop(at(5))
        await asyncio.sleep(2 * HOUR_S)
        assert {len(server.known) for server in servers} == {0, 6}
        assert servers[5].state() is None, "what the file holds is better"
        net.plugs[at(5)] = plug
        net.kill(servers[0])  # by which all had entered
        await asyncio.sleep(250.0)
        assert len(servers[5].known) == 6


@in_virtual_time
async def test_dead_nodes_are_forgotten_also_by_those_who_ask_nothing() -> None:
    async with network() as net:
        servers = await net.mesh(12)
        net.kill(servers[3])
        await asyncio.sleep(3 * HOUR_S)
        assert not [server for server in servers if at(3) in server.known and server is not servers[3]]


@in_virtual_time
async def test_of_many_nodes_those_that_were_silent_for_longest_are_asked_whether_they_are_there() -> None:
    async with network() as net:
        for number in range(10, 70):
            await net.server(number).listen(PORT)
        server = net.server(0)
        for number in (*range(4), *range(10, 70)):  # the first are dead
            server.protocol.router.add_contact(node_at(at(number), KEY))
        await net.start(server)
        await asyncio.sleep(3.0)
        assert server.known == {at(number) for number in range(10, 70)}


@in_virtual_time
async def test_one_that_has_lost_the_last_node_looks_for_others_at_once_again() -> None:
    async with network() as net:
        servers = [await net.join(0), await net.join(1, [at(0)])]
        await asyncio.sleep(3 * HOUR_S)  # it looks around every half hour
        net.kill(servers[0])
        assert await servers[1].get(NAME) == [] and not servers[1].known
        await net.join(0)
        await asyncio.sleep(30.0)
        assert servers[1].known == {at(0)}


@in_virtual_time
async def test_idle_in_a_mesh_of_24_a_node_sends_far_less_than_a_megabyte_a_day() -> None:
    async with network() as net:
        await net.mesh(24)
        await asyncio.sleep(HOUR_S)
        before = len(net.sent)
        await asyncio.sleep(3 * HOUR_S)
        sent = sum(len(each.data) + HEADER_BYTES for each in net.sent[before:])
        assert sent / 24 * 8 < 400_000


@in_virtual_time
async def test_nobody_hands_over_or_publishes_again_what_another_has_stored() -> None:
    async with network() as net:
        servers = await net.mesh(8)
        await servers[2].put(NAME, b"value")
        before = len(net.sent)
        for number in range(10, 16):
            await net.join(number, [at(0)])
        await asyncio.sleep(1.5 * HOUR_S)
        assert not [each for each in said(net, before) if isinstance(each, Request) and each.call == "store"]


@in_virtual_time
async def test_its_own_address_among_the_bootstrap_nodes_does_no_harm() -> None:
    async with network() as net:
        servers = [await net.join(number, [at(0), at(1)]) for number in range(2)]
        started_at = now()
        while not all(server.known for server in servers):
            await asyncio.sleep(0.01)
        assert now() - started_at < 0.5, "no waiting for its own answer"
        await asyncio.sleep(HOUR_S)
        assert [server.known for server in servers] == [{at(1)}, {at(0)}]


@in_virtual_time
async def test_addresses_inside_the_tunnel_are_no_nodes() -> None:
    async with network() as net:
        rules = AddressRules((ipaddress.ip_network("10.0.0.0/31"),))
        await net.join(1)
        outside = await net.start(net.server(2, rules=rules), [at(1)])
        await asyncio.sleep(10.0)
        assert not outside.known and not net.sent
        await net.join(3, [at(1), at(2)])  # names the one to the other
        await asyncio.sleep(60.0)
        assert outside.known == {at(3)}


@in_virtual_time
async def test_a_clock_that_is_five_minutes_wrong_does_no_harm_and_one_of_twelve_is_shut_out_until_it_is_right() -> (
    None
):
    async with network() as net:
        servers = await net.mesh(4)
        late, wrong = net.server(20), net.server(21)
        late.skew_s, wrong.skew_s = -300.0, 720.0
        await net.start(late, [at(0)])
        await net.start(wrong, [at(0)])
        await asyncio.sleep(30.0)
        assert await late.put(NAME, b"value") == 4
        assert not wrong.known and at(21) not in servers[0].known
        assert await wrong.get(NAME) == []
        wrong.skew_s = 0.0
        await asyncio.sleep(250.0)
        assert await wrong.get(NAME) == [b"value"]


@in_virtual_time
async def test_what_is_asked_is_done_in_bounds_and_reported() -> None:
    async with network() as net:
        servers = await net.mesh(4)
        servers[0].ask(StoreRecord(NAME, b"value"))
        await asyncio.sleep(1.0)
        servers[1].ask(ReadRecord(NAME))
        servers[1].ask(ReadRecord(bytes(20)))
        await asyncio.sleep(1.0)
        assert [each for each in servers[1].events if isinstance(each, RecordsRead)] == [RecordsRead(NAME, (b"value",))]

        before = len(net.sent)
        for number in range(10 * REQUESTS_MAX):
            servers[0].ask(ReadRecord(number.to_bytes(20, "big")))
        most = 0
        for _ in range(200):
            await asyncio.sleep(0.01)
            most = max(most, len(servers[0].protocol._outstanding))
        assert 0 < most <= WORKERS * K
        asked = {
            each.arguments for each in said(net, before) if isinstance(each, Request) and each.call == "find_value"
        }
        assert len(asked) == REQUESTS_MAX


@in_virtual_time
async def test_a_node_that_ends_leaves_no_task_and_says_nothing_more() -> None:
    async with network() as net:
        servers = await net.mesh(4)
        for number in range(40):
            servers[0].ask(ReadRecord(number.to_bytes(20, "big")))
        await asyncio.sleep(0.03)  # they are under way
        running = net.running[at(0)]
        net.kill(servers[0])
        await asyncio.wait([running])
        assert running.cancelled() and not servers[0].protocol._outstanding
        before = len(net.sent)
        await asyncio.sleep(10.0)
        assert not [each for each in net.sent[before:] if each.source.host == at(0).host]
        assert not [task for task in asyncio.all_tasks() if "PrivateDhtServer" in repr(task) and task.cancelling()]


def test_nothing_of_all_that_is_worth_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    @in_virtual_time
    async def run() -> None:
        async with network(loss=0.1) as net:
            servers = await net.mesh(6)
            chance = random.Random(1)
            for number in range(50):
                net.send(chance.randbytes(number * 30), at(99), at(0))
            net.kill(*servers[:2])
            await servers[3].put(NAME, b"value")
            await servers[4].get(NAME)

    with caplog.at_level(logging.WARNING):
        run()
    assert caplog.records == []
