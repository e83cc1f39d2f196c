"""Members that share nothing but a secret and a DHT, and strangers who lie in it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from support.discovery.discovery_wire import (
    KEYS,
    SECRET,
    START,
    Node,
    Swarm,
    Wire,
    cached_peer,
    describe,
    kind,
    prove,
)
from support.discovery.pairing import agreements
from wgmesh.core.keys.epoch_keys import epoch_keys
from wgmesh.core.keys.keyschedule import hour_of
from wgmesh.core.model import Endpoint, IPAddress, LayerState
from wgmesh.core.peer_cache import CachedPeer
from wgmesh.core.wire.member_record import compact
from wgmesh.discovery.dht import (
    Announce,
    DhtRequest,
    GetItem,
    ItemFound,
    LookUp,
    MainlineEvent,
    PeersFound,
    PutItem,
    Trouble,
)
from wgmesh.discovery.exchange.hellos import STRANGER_PATIENCE_S
from wgmesh.discovery.mainline.records import item_key

EPOCHS = [epoch_keys(SECRET, hour_of(START) - each) for each in (0, 1)]
FAR = ("198.51.100.1", "203.0.113.2", "192.0.2.3")


@pytest.fixture
def wire() -> Wire:
    made = Wire()
    made.swarm = Swarm()
    return made


def add(wire: Wire, host: str, **options: object) -> Node:
    return wire.add(host, lan=False, dht=True, **options)  # type: ignore[arg-type]


def the_swarm(wire: Wire) -> Swarm:
    assert wire.swarm is not None
    return wire.swarm


def layer(node: Node) -> tuple[LayerState, str]:
    return next((each.state, each.detail) for each in node.core.snapshot().layers if each.name == "dht")


def test_nodes_in_different_networks_find_each_other_without_waiting_for_a_timer(wire: Wire) -> None:
    one, two = add(wire, FAR[0]), add(wire, FAR[1])  # two alone: nobody else can tell one of the other
    assert "dht" in two.peers()[one.key].discovery_methods
    assert list(one.peers()) == [two.key]  # who was found is asked, and so knows the finder
    three = add(wire, FAR[2])
    assert any("dht" in peer.discovery_methods for peer in three.peers().values())
    for node in (one, two, three):
        assert set(node.peers()) == {one.key, two.key, three.key} - {node.key}


def test_a_node_that_comes_while_the_other_looks_seldom_finds_it_at_once(wire: Wire) -> None:
    one = add(wire, FAR[0])
    wire.advance(2000.0)
    two = add(wire, FAR[1])
    assert list(two.peers()) == [one.key] and list(one.peers()) == [two.key]


def test_without_a_swarm_nothing_fails_and_it_heals_when_there_is_one(wire: Wire) -> None:
    swarm, wire.swarm = wire.swarm, None
    one, two = add(wire, FAR[0]), add(wire, FAR[1])
    wire.advance(300.0)
    assert layer(one)[0] is LayerState.DEGRADED and one.peers() == {}
    one.core.handle_dht(Trouble("The DHT cannot use UDP port 1."), wire.now)
    assert layer(one) == (LayerState.DEGRADED, "The DHT cannot use UDP port 1.")
    wire.swarm = swarm
    wire.advance(61.0)
    assert list(one.peers()) == [two.key]
    assert layer(one)[0] is LayerState.RUNNING
    assert f"announced as {one.address}" in layer(one)[1] and "confirmed" in layer(one)[1]


def test_members_meet_across_the_change_of_the_hour(wire: Wire) -> None:
    wire.now = START + 3590.0
    one = add(wire, FAR[0])
    wire.advance(8.0)
    wire.now += 4.0  # the second starts in the next hour, before the first has announced itself there
    two = add(wire, FAR[1])
    assert list(two.peers()) == [one.key]


def test_ten_thousand_false_addresses_make_us_ask_few_at_a_time_and_each_ever_less_often(wire: Wire) -> None:
    one = add(wire, FAR[0])
    announce = next(each for each in the_swarm(wire).requests if isinstance(each, Announce))
    lies = [
        Endpoint.of(f"44.{128 + number // 2500}.{number % 250}.{1 + number // 250 % 10}", 7) for number in range(10_000)
    ]
    one.sent.clear()
    for start in range(0, 10_000, 100):
        one.core.handle_dht(PeersFound(announce.infohash, tuple(lies[start : start + 100])), wire.now)
    wire.settle()
    assert len({str(each.to) for each in one.sent}) == 8
    wire.advance(600.0)
    asked = Counter(str(each.to) for each in one.sent if kind(each) == "HELLO")
    assert max(asked.values()) <= 3 * 6
    assert len(one.sent) <= 600 / 2 * 8 * 3  # eight strangers every two seconds, with three datagrams each
    assert max(len(each.data) for each in one.sent) < 900


def test_a_member_is_found_among_false_addresses(wire: Wire) -> None:
    one = add(wire, FAR[0])
    announce = next(each for each in the_swarm(wire).requests if isinstance(each, Announce))
    lies = tuple(Endpoint.of(f"44.128.0.{number}", 7) for number in range(1, 200))
    one.core.handle_dht(PeersFound(announce.infohash, lies), wire.now)
    wire.settle()
    two = add(wire, FAR[1])
    wire.advance(60.0)
    assert list(one.peers()) == [two.key]


def test_a_member_that_several_replies_name_is_asked_before_thousands_that_one_liar_names(wire: Wire) -> None:
    one = add(wire, FAR[0])
    announce = next(each for each in the_swarm(wire).requests if isinstance(each, Announce))
    for start in range(0, 3000, 100):
        lies = tuple(
            Endpoint.of(f"44.128.{number // 250}.{1 + number % 250}", 7) for number in range(start, start + 100)
        )
        one.core.handle_dht(PeersFound(announce.infohash, lies), wire.now)
    wire.settle()
    member = Endpoint.of("44.129.0.1", 7)
    for _ in range(3):
        one.core.handle_dht(PeersFound(announce.infohash, (member, Endpoint.of("44.130.0.1", 7))), wire.now)
        one.core.handle_dht(PeersFound(announce.infohash, (member,)), wire.now)
    one.sent.clear()
    wire.advance(STRANGER_PATIENCE_S + 0.5)  # until the eight that are being asked already have had their time
    assert member in {each.to for each in one.sent}


def test_an_address_of_the_mesh_itself_or_of_nobody_is_never_asked(wire: Wire) -> None:
    one = add(wire, FAR[0])
    announce = next(each for each in the_swarm(wire).requests if isinstance(each, Announce))
    one.sent.clear()
    impossible = ("10.214.9.9:1", "0.0.0.0:1", "224.0.0.1:1", "255.255.255.255:1", str(one.address))
    one.core.handle_dht(PeersFound(announce.infohash, tuple(map(Endpoint.parse, impossible))), wire.now)
    wire.advance(5.0)
    assert [each for each in one.sent if kind(each) == "HELLO"] == []


def test_a_record_tells_of_a_member_that_no_packet_reaches(wire: Wire) -> None:
    """It sits behind a NAT. A node that finds its address in the DHT reads there who it is and what else to try."""
    two = add(wire, FAR[1])
    wire.advance(5.0)
    wire.drop = lambda sender, transmit: True
    one = add(wire, FAR[0])
    wire.advance(5.0)
    peer = one.peers()[two.key]
    assert "dht-record" in peer.discovery_methods and peer.direct_seen_at is None
    assert Endpoint.of(two.host, 51820) in [each.endpoint for each in peer.candidates]
    assert (peer.hostname, peer.mesh_ipv4) == (two.description.hostname, two.description.mesh_ipv4)


def test_a_record_of_another_hour_or_place_or_of_a_stranger_is_nothing(wire: Wire) -> None:
    two = add(wire, FAR[1])
    wire.advance(5.0)
    swarm = the_swarm(wire)
    recorded = dict(swarm.items)
    wire.remove(two)
    swarm.peers.clear()
    swarm.items.clear()
    wire.now += 3 * 3600.0
    one = add(wire, FAR[0])
    lie = Endpoint.of(two.host, KEYS.gossip_port)
    look = next(each for each in reversed(swarm.requests) if isinstance(each, LookUp))
    one.core.handle_dht(PeersFound(look.infohash, (lie,)), wire.now)
    wire.settle()
    wire.advance(5.0)
    fetched = [each for each in swarm.requests if isinstance(each, GetItem)]
    assert fetched
    for value in (*recorded.values(), b"", b"\x01" + bytes(200), bytes(900)):
        for each in fetched:
            one.core.handle_dht(ItemFound(each.public_key, each.salt, value, 99), wire.now)
    assert one.peers() == {}


def test_a_record_that_a_member_forges_gives_the_forged_nothing_but_a_question(wire: Wire) -> None:
    one, two = add(wire, FAR[0]), add(wire, FAR[1])
    prove(wire, one, two)
    before = one.peers()[two.key]
    puts = [each for each in the_swarm(wire).requests if isinstance(each, PutItem)]
    assert puts and all(len(each.value) <= 900 for each in puts)
    for each in puts:  # the records of two, read again
        one.core.handle_dht(ItemFound(bytes(32), each.salt, each.value, 5), wire.now)
    assert one.peers()[two.key] == before


class LyingMember(Swarm):
    """A swarm in which nobody's announce is found, and one member that has the secret writes all that it can name.

    It knows the address of everybody, and puts what has the highest sequence number: nothing honest is kept there.
    """

    def __init__(self, number: int, victims: list[Node]) -> None:
        super().__init__()
        self._number, self._victims = number, victims

    def ask(self, request: DhtRequest, host: IPAddress) -> list[MainlineEvent]:
        answers: list[MainlineEvent] = [each for each in super().ask(request, host) if not isinstance(each, PeersFound)]
        own = describe(self._number).public_key
        agreed = agreements(own, [each.key for each in self._victims])
        keys = [each.pair_key for each in agreed if each.pair_key is not None]
        writers = [own, *(each.key for each in self._victims)]
        for epoch in EPOCHS:
            seeds = [epoch.place_seed(compact(each.address)) for each in self._victims]
            seeds += [epoch.pair_slot(key, writer).seed for key in keys for writer in writers]
            self.items |= {(item_key(seed), b""): b"of the liar" for seed in seeds}
        return answers


def test_two_who_have_met_find_each_other_at_new_addresses_whatever_a_third_member_overwrites(wire: Wire) -> None:
    """Both have moved, no announce of either is found, and every place that the third can compute is garbage."""
    wire.drop = lambda sender, transmit: True
    one, two = add(wire, FAR[0], set_self=False), add(wire, FAR[1], set_self=False)
    wire.swarm = LyingMember(3, [one, two])
    for node, other in ((one, two), (two, one)):
        node.core.restore_cache([met(other, wire.now)], wire.now)
        node.core.set_self(node.description, (), wire.now)
    wire.settle()
    wire.advance(180.0)
    for node, other in ((one, two), (two, one)):
        peer = node.peers()[other.key]
        assert "dht-record" in peer.discovery_methods
        assert Endpoint.of(other.host, 51820) in [each.endpoint for each in peer.candidates]
        assert other.address in {each.to for each in node.sent}
    places = {each.place_seed(compact(node.address)) for each in EPOCHS for node in (one, two)}
    slots = [each.seed for each in the_swarm(wire).requests if isinstance(each, PutItem) and each.seed not in places]
    assert len(slots) == len(set(slots)) == 2, "what the DHT keeps is not put at every visit"


def test_one_who_never_proved_itself_is_not_looked_for(wire: Wire) -> None:
    """A thousand invented names would keep us from looking for members."""
    wire.drop = lambda sender, transmit: True
    one, two = add(wire, FAR[0], set_self=False), add(wire, FAR[1])
    one.core.restore_cache([replace(met(two, wire.now), possession_at=None)], wire.now)
    one.core.set_self(one.description, (), wire.now)
    wire.settle()
    the_swarm(wire).peers.clear()
    wire.advance(180.0)
    assert two.key in one.peers()
    own_places = {item_key(each.place_seed(compact(node.address))) for each in EPOCHS for node in (one, two)}
    assert {each.public_key for each in the_swarm(wire).requests if isinstance(each, GetItem)} <= own_places


def test_a_member_that_is_reached_costs_no_look_up_of_its_own(wire: Wire) -> None:
    one, two = add(wire, FAR[0]), add(wire, FAR[1])
    for _ in range(20):
        prove(wire, one, two)
        prove(wire, two, one)
        wire.advance(60.0)
    assert one.peers()[two.key].possession_at is not None
    places = {each.place_seed(compact(node.address)) for each in EPOCHS for node in (one, two)}
    assert {each.seed for each in the_swarm(wire).requests if isinstance(each, PutItem)} <= places
    assert not [each for each in the_swarm(wire).requests if isinstance(each, GetItem)]


def met(node: Node, now: float) -> CachedPeer:
    """What the cache has of a member that has proven itself an hour ago, at an address that it has left."""
    number = node.key.raw[0]
    return replace(cached_peer(number, "192.0.2.200"), possession_at=int(now) - 3600)


def test_nothing_that_is_put_into_the_dht_holds_a_name_or_a_key(wire: Wire) -> None:
    two = add(wire, FAR[1])
    wire.advance(5.0)
    for value in the_swarm(wire).items.values():
        assert two.description.hostname.encode() not in value
        assert two.key.text.encode() not in value and two.key.raw not in value
