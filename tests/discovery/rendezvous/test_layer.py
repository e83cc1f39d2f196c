"""Peers behind NATs meet at a third's word: whole cores, a NAT that forgets within a second, and what a liar can do."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from support.discovery.discovery_wire import KEYS, Node, Wire, describe, kind
from support.discovery.go_peer import GoPeer
from wgmesh.core.clock import WallClock
from wgmesh.core.model import Endpoint, PeerProof, PublicKey
from wgmesh.core.sansio import Transmit
from wgmesh.core.wire.envelope import MessageType, encrypt, open_envelope
from wgmesh.core.wire.jsonstrict import to_json
from wgmesh.core.wire.rendezvous import Offer, Start, decode_start, encode_start, pair_id
from wgmesh.discovery.members.address_rules import AddressRules
from wgmesh.discovery.rendezvous.hole_punching import PACE_S, PUNCH_COOLDOWN_S, UNASKED_MAX, HolePunching
from wgmesh.discovery.rendezvous.introducer import SESSIONS_MAX, START_COOLDOWN_S, START_LEAD_S, Introducer
from wgmesh.discovery.rendezvous.values import PeerView, Punch, Send

INTRODUCER = "44.128.0.1"
RULES = AddressRules()
OWN, PEER, THIRD = (PublicKey(bytes([number]) * 32) for number in (1, 2, 3))


class Nats:
    """Each host but the introducer stands behind a NAT that lets in only who was sent to within the last second."""

    def __init__(self, wire: Wire, open_hosts: frozenset[str], patience_s: float = 1.0) -> None:
        self._wire = wire
        self._open = open_hosts
        self._patience_s = patience_s
        self._sent: dict[tuple[str, str], float] = {}
        wire.drop = self.drop

    def drop(self, sender: Node, transmit: Transmit) -> bool:
        to = str(transmit.to.host)
        self._sent[sender.host, to] = self._wire.now
        if to in self._open:
            return False
        sent_at = self._sent.get((to, sender.host))
        return sent_at is None or self._wire.now - sent_at > self._patience_s


def introduced(wire: Wire, *hosts: str, patience_s: float = 1.0) -> tuple[Node, list[Node]]:
    """An introducer that everybody reaches, and nodes that only it reaches."""
    introducer = wire.add(INTRODUCER, number=100, lan=False)
    introducer.core.set_self(replace(introducer.description, introducer=True), (), wire.now)
    Nats(wire, frozenset({INTRODUCER}), patience_s)
    nodes = [wire.add(host, number=number, lan=False) for number, host in enumerate(hosts, start=1)]
    for node in nodes:
        node.core.set_static([introducer.address], wire.now)
    wire.settle()
    return introducer, nodes


def test_two_peers_that_no_single_packet_reaches_meet_through_an_introducer() -> None:
    wire = Wire()
    _, (one, two) = introduced(wire, "44.130.0.1", "44.131.0.2")
    wire.advance(120.0)
    assert one.peers()[two.key].control_endpoint == two.address
    assert two.peers()[one.key].control_endpoint == one.address


def test_without_punching_nobody_is_asked_to_introduce() -> None:
    wire = Wire()
    introducer, (one,) = introduced(wire, "44.130.0.1")
    quiet = GoPeer(9, "44.135.0.9")
    wire.inject(one, quiet.hello(wire.now), quiet.source)
    wire.advance(60.0)
    assert "RENDEZVOUS_OFFER" in {kind(each) for each in one.sent}
    assert introducer.rejections() == []


def test_an_offer_of_a_go_node_is_answered_to_both_sides_three_times_in_time() -> None:
    wire = Wire()
    introducer, (one,) = introduced(wire, "44.130.0.1")
    wire.advance(30.0)
    go = GoPeer(9, "44.135.0.9")
    wire.inject(introducer, go.hello(wire.now), go.source)
    own = introducer.core.snapshot().description
    assert own is not None
    introducer.core.set_self(own, [PeerProof(go.key, Endpoint.of(go.host, 51820), wire.now)], wire.now)
    introducer.sent.clear()
    offer = {
        "protocol": "wgmesh-v1",
        "timestamp": int(wire.now),
        "from_pubkey": go.key.text,
        "target_pubkey": one.key.text,
        "pair_id": pair_id(go.key, one.key),
    }
    began_at = wire.now
    wire.inject(introducer, encrypt("RENDEZVOUS_OFFER", to_json(offer), KEYS.gossip_key, bytes(12)), go.source)
    wire.advance(1.0)
    starts = [each for each in introducer.sent if kind(each) == "RENDEZVOUS_START"]
    assert Counter(str(each.to) for each in starts) == {go.source: 3, str(one.address): 3}
    for each in starts:
        start = decode_start(open_envelope(each.data, KEYS.gossip_key, wire.now).payload)
        assert start.start_at_ms == round((began_at + START_LEAD_S) * 1000)
        expected = one if str(each.to) == go.source else go
        assert start.peer == expected.key
        assert str(start.candidates[0].host) == expected.host
        assert [candidate.port - start.candidates[0].port for candidate in start.candidates] == [0, -1, 1, -2, 2]


def test_who_does_not_introduce_ignores_offers() -> None:
    wire = Wire()
    _, (one, two) = introduced(wire, "44.130.0.1", "44.131.0.2")
    wire.advance(75.0)
    one.sent.clear()
    offer = {
        "protocol": "wgmesh-v1",
        "timestamp": int(wire.now),
        "from_pubkey": two.key.text,
        "target_pubkey": describe(100).public_key.text,
        "pair_id": "",
    }
    wire.inject(one, encrypt("RENDEZVOUS_OFFER", to_json(offer), KEYS.gossip_key, bytes(12)), str(two.address))
    wire.advance(1.0)
    assert "RENDEZVOUS_START" not in {kind(each) for each in one.sent}


def test_a_start_from_nowhere_aims_us_at_nobody() -> None:
    wire = Wire()
    _, (one,) = introduced(wire, "44.130.0.1")
    wire.advance(30.0)
    one.sent.clear()
    victim = Endpoint.parse("44.199.0.1:53")
    start = Start(pair_id(one.key, PEER), PEER, (victim,), round(wire.now * 1000) + 500)
    for source in ("44.188.0.8:52527", f"{INTRODUCER[:-1]}9:52527"):
        data = encrypt(
            MessageType.RENDEZVOUS_START,
            to_json(encode_start(start, int(wire.now))),
            KEYS.gossip_key,
            source[:12].encode(),
        )
        wire.inject(one, data, source)
    wire.advance(10.0)
    assert victim not in {each.to for each in one.sent}


def view(key: PublicKey, host: str, *, introducer: bool = False, proven_at: float | None = None) -> PeerView:
    endpoint = Endpoint.parse(f"{host}:52527")
    return PeerView(key, endpoint, introducer, proven_at, is_vouched=introducer)


def punching(*views: PeerView, now: float = 0.0) -> HolePunching:
    machine = HolePunching(WallClock(), RULES, lambda: 0.5)
    machine.set_own(OWN)
    machine.sync(views, now)
    return machine


def run(machine: HolePunching, until: float) -> list[tuple[float, object]]:
    done: list[tuple[float, object]] = []
    while (at := machine.poll_timeout()) is not None and at <= until:
        done += [(at, action) for action in machine.handle_timeout(at)]
    return done


def test_two_peers_behind_nats_as_patient_as_any_meet_within_seconds() -> None:
    """One that has sent nothing for 5 s lets nobody in: Linux waits 30 s, RFC 4787 asks for two minutes."""
    wire = Wire()
    _, (one, two) = introduced(wire, "44.130.0.1", "44.131.0.2", patience_s=5.0)
    wire.advance(8.0)
    assert one.peers()[two.key].control_endpoint == two.address
    assert two.peers()[one.key].control_endpoint == one.address


def test_a_working_tunnel_is_never_punched() -> None:
    machine = punching(view(PEER, "44.131.0.2", proven_at=0.0))
    assert [action for at, action in run(machine, 170.0)] == []


def test_help_is_asked_for_and_the_direct_way_tried_at_the_same_time() -> None:
    machine = punching(view(PEER, "44.131.0.2"), view(THIRD, "44.132.0.3", introducer=True, proven_at=0.0))
    first = [action for at, action in run(machine, 4.0)]
    assert Send(Endpoint.parse("44.132.0.3:52527"), Offer(OWN, PEER)) in first
    assert Punch(PEER, (Endpoint.parse("44.131.0.2:52527"),)) in first


def test_a_hundred_peers_are_all_tried_within_a_minute_and_never_at_one_instant() -> None:
    views = [view(PublicKey(number.to_bytes(32, "big")), f"44.131.{number}.1") for number in range(100)]
    done = run(punching(*views), 60.0)
    punches = [(at, action) for at, action in done if isinstance(action, Punch)]
    assert {action.key for _, action in punches} == {each.key for each in views}
    for at in {at for at, _ in punches}:
        assert len([1 for other, _ in punches if at <= other < at + PACE_S * 0.99]) <= 2


@pytest.mark.parametrize("offset_ms", [-(10**12), -60_000, 60_000, 10**12])
def test_an_absurd_moment_is_not_waited_for(offset_ms: int) -> None:
    introducer = view(THIRD, "44.132.0.3", introducer=True, proven_at=1000.0)
    machine = punching(introducer, now=1000.0)
    candidate = Endpoint.parse("44.131.0.2:1000")
    start = Start(pair_id(OWN, PEER), PEER, (candidate,), 1_000_000 + offset_ms)
    machine.handle_start(start, Endpoint.parse("44.132.0.3:52527"), 1000.0)
    times = [at for at, action in run(machine, 1010.0) if isinstance(action, Punch)]
    assert times and 1000.0 <= times[0] <= 1001.8


def test_a_second_start_within_the_cooldown_is_ignored_and_candidates_are_few() -> None:
    machine = punching(view(THIRD, "44.132.0.3", introducer=True, proven_at=1000.0), now=1000.0)
    source = Endpoint.parse("44.132.0.3:52527")
    many = tuple(Endpoint.parse(f"44.131.0.{number}:1000") for number in range(1, 200))
    start = Start(pair_id(OWN, PEER), PEER, many, 1_000_500)
    for at in (1000.0, 1000.1, 1000.2):
        machine.handle_start(start, source, at)
    punches = [action for _, action in run(machine, 1002.0) if isinstance(action, Punch)]
    assert [len(each.addresses) for each in punches] == [UNASKED_MAX]
    machine.handle_start(start, source, 1000.5 + PUNCH_COOLDOWN_S - 0.1)
    assert [action for _, action in run(machine, 1007.0) if isinstance(action, Punch)] == []


def heeds(machine: HolePunching, source: str, candidates: int = 1, peer: PublicKey = PEER) -> list[int]:
    """How many addresses are punched at the word of a START."""
    places = tuple(Endpoint.parse(f"44.131.0.{number}:1000") for number in range(1, 1 + candidates))
    machine.handle_start(Start(pair_id(OWN, peer), peer, places, 1_000_500), Endpoint.parse(source), 1000.0)
    return [len(action.addresses) for _, action in run(machine, 1002.0) if isinstance(action, Punch)]


def test_a_start_counts_from_where_a_proven_introducer_has_answered_and_from_nowhere_else() -> None:
    proven = view(THIRD, "44.132.0.3", introducer=True, proven_at=1000.0)
    assert heeds(punching(proven, now=1000.0), "44.132.0.3:52527") == [1]
    assert heeds(punching(proven, now=1000.0), "44.132.0.3:52528") == []
    assert heeds(punching(proven, now=1000.0), "44.132.0.4:52527") == []
    assert heeds(punching(replace(proven, is_vouched=False), now=1000.0), "44.132.0.3:52527") == []
    assert heeds(punching(replace(proven, introducer=False), now=1000.0), "44.132.0.3:52527") == []


def test_a_start_that_was_asked_for_may_name_more_than_one_out_of_the_blue() -> None:
    proven = view(THIRD, "44.132.0.3", introducer=True, proven_at=1000.0)
    asking = punching(proven, replace(view(PEER, "10.1.1.1"), control_endpoint=None), now=990.0)
    assert [action for _, action in run(asking, 999.0) if isinstance(action, Send)] == [
        Send(Endpoint.parse("44.132.0.3:52527"), Offer(OWN, PEER))
    ]
    assert heeds(asking, "44.132.0.3:52527", candidates=16) == [16]
    assert heeds(punching(proven, now=1000.0), "44.132.0.3:52527", candidates=16) == [UNASKED_MAX]


def test_nobody_is_asked_to_introduce_who_has_not_proven_who_it_is() -> None:
    unproven = replace(view(THIRD, "44.132.0.3", introducer=True), is_vouched=False)
    assert [each for _, each in run(punching(view(PEER, "44.131.0.2"), unproven), 60.0) if isinstance(each, Send)] == []


@pytest.mark.parametrize("host", ["10.0.0.1", "192.168.5.5", "127.0.0.1", "169.254.1.1", "224.0.0.1", "0.0.0.0"])
def test_nobody_aims_us_at_an_inner_network(host: str) -> None:
    machine = punching(view(THIRD, "44.132.0.3", introducer=True, proven_at=1000.0), now=1000.0)
    start = Start(pair_id(OWN, PEER), PEER, (Endpoint.parse(f"{host}:1000"),), 1_000_500)
    machine.handle_start(start, Endpoint.parse("44.132.0.3:52527"), 1000.0)
    assert [action for _, action in run(machine, 1010.0) if isinstance(action, Punch)] == []


def test_the_introducer_starts_a_pair_once_in_eight_seconds_and_remembers_few() -> None:
    machine = Introducer(WallClock(), RULES)
    control = Endpoint.parse("44.131.0.2:52527")
    source = Endpoint.parse("44.130.0.1:52527")
    assert machine.handle_offer(Offer(OWN, PEER), source, THIRD, control, 0.0)
    assert machine.handle_offer(Offer(PEER, OWN), control, THIRD, source, START_COOLDOWN_S - 0.1) == []
    assert machine.handle_offer(Offer(PEER, OWN), control, THIRD, source, START_COOLDOWN_S + 0.1)
    for number in range(SESSIONS_MAX + 50):
        machine.handle_offer(Offer(PublicKey(number.to_bytes(32, "big")), PEER), source, THIRD, None, 20.0)
    assert machine.handle_offer(Offer(PEER, PublicKey((0).to_bytes(32, "big"))), control, THIRD, None, 21.0) == []


def test_the_introducer_prefers_the_mapping_that_it_has_seen_itself() -> None:
    machine = Introducer(WallClock(), RULES)
    seen = Endpoint.parse("44.131.0.2:40001")
    machine.heard(PEER, seen, 0.0)
    sends = machine.handle_offer(
        Offer(OWN, PEER), Endpoint.parse("44.130.0.1:52527"), THIRD, Endpoint.parse("44.131.0.2:52527"), 10.0
    )
    to_peer = next(each for each in sends if isinstance(each.body, Start) and each.body.peer == OWN)
    to_own = next(each for each in sends if isinstance(each.body, Start) and each.body.peer == PEER)
    assert to_peer.to == seen and isinstance(to_own.body, Start) and to_own.body.candidates[0] == seen
