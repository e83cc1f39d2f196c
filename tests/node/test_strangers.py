"""What the device sends to addresses that have never answered: little, however many peers are said to be there."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from wgmesh.core.model import Candidate, CandidateSource, Endpoint, ObservedPeer, Peer, PublicKey
from wgmesh.core.network_index import NetworkIndex
from wgmesh.node.handshakes import HURRY_GAPS_S, PASSIVE_FOREIGN_S, HandshakeTable
from wgmesh.node.strangers import (
    BACKOFF_MAX_S,
    BACKOFF_S,
    FREE_TRIES,
    JITTER,
    PLACES_MAX,
    POSSESSING_MAX,
    TRY_S,
    UNPROVEN_MAX,
    Strangers,
)

NOW = 1_000_000.0
OWN = PublicKey(bytes(32))
VICTIM = Endpoint.parse("192.0.2.9:51820")
WIREGUARD_RETRY_S = 5.0  # WireGuard paper, section 6.1, REKEY_TIMEOUT


def key(number: int) -> PublicKey:
    return PublicKey(b"\x80" + number.to_bytes(31, "big"))


def peer(
    number: int,
    *endpoints: Endpoint,
    possession: bool = False,
    answered: str | None = None,
    native: bool = True,
    methods: tuple[str, ...] = (),
    source: CandidateSource = CandidateSource.ANNOUNCED,
) -> Peer:
    return Peer(
        key(number),
        ipaddress.IPv4Address("10.1.2.3"),
        candidates=tuple(Candidate(endpoint, source, NOW) for endpoint in endpoints or (VICTIM,)),
        native=native,
        discovery_methods=methods,
        possession_at=NOW if possession else None,
        control_endpoint=Endpoint.parse(answered) if answered else None,
    )


def elsewhere(number: int) -> Endpoint:
    """An address that nobody else has."""
    return Endpoint(ipaddress.IPv4Address((198 << 24) + (18 << 16) + number), 51820)


@dataclass
class Wire:
    """A node's handshake table with a device that sends what WireGuard would send, in virtual time.

    A peer that appears with an endpoint is sent an initiation at once, and another every 5 s while it keeps it.
    """

    table: HandshakeTable = field(default_factory=lambda: HandshakeTable(OWN))
    device: dict[PublicKey, ObservedPeer] = field(default_factory=dict)
    retries: dict[PublicKey, float] = field(default_factory=dict)
    sent: list[tuple[float, PublicKey, Endpoint]] = field(default_factory=list)
    most_told: int = 0
    now: float = NOW

    def run(self, seconds: float, peers: Callable[[float], list[Peer]]) -> None:
        end, turns = self.now + seconds, 0
        while True:
            for _ in range(3):  # what is left out is put back by the turn after
                self.turn(peers(self.now))
            at = min([end, *self.retries.values(), self.table.next_at() or end])
            turns += 1
            assert turns < 100_000
            if at >= end:
                self.now = end
                return
            self.now = max(at, self.now + 1e-3)
            for each, retry_at in list(self.retries.items()):
                if retry_at <= self.now:
                    self._initiate(each)

    def turn(self, peers: list[Peer]) -> None:
        self.table.keep(each.public_key for each in peers)
        approaches = self.table.approaches(peers, self.device, self.now)
        for peer_key in self.device.keys() - approaches.keys():
            self._drop(peer_key)
        for peer_key, approach in approaches.items():
            if not approach.present:
                self._drop(peer_key)
                continue
            before = self.device.get(peer_key)
            endpoint = approach.endpoint or (before.endpoint if before else None)
            self.device[peer_key] = ObservedPeer(
                peer_key, endpoint, persistent_keepalive_s=approach.keepalive_s, handshake_at=None
            )
            if endpoint is not None and approach.keepalive_s and (before is None or before.endpoint != endpoint):
                self._initiate(peer_key)
        told = [each for each in self.device.values() if each.endpoint is not None]
        self.most_told = max(self.most_told, len(told))

    def _drop(self, peer_key: PublicKey) -> None:
        self.device.pop(peer_key, None)
        self.retries.pop(peer_key, None)

    def _initiate(self, peer_key: PublicKey) -> None:
        endpoint = self.device[peer_key].endpoint
        assert endpoint is not None
        self.sent.append((self.now, peer_key, endpoint))
        self.retries[peer_key] = self.now + WIREGUARD_RETRY_S

    def hosts(self) -> Counter[str]:
        return Counter(str(endpoint.host) for _, _, endpoint in self.sent)


@pytest.mark.parametrize("possession", [False, True])
def test_a_crowd_that_is_said_to_be_at_one_address_makes_two_initiations_and_then_ever_fewer(possession: bool) -> None:
    ghosts = [
        peer(number, Endpoint(VICTIM.host, 1000 + number), possession=possession, native=bool(number % 2))
        for number in range(300)
    ]
    wire = Wire()

    wire.run(PASSIVE_FOREIGN_S + 20, lambda now: ghosts)
    assert len(wire.sent) == FREE_TRIES

    wire.run(600, lambda now: ghosts)
    assert len(wire.sent) <= FREE_TRIES + 5  # after 30, 60, 120, 240 s ...
    waits = [later[0] - earlier[0] for earlier, later in pairwise(wire.sent[1:])]
    assert len(waits) >= 3 and all(later > 1.5 * earlier for earlier, later in pairwise(waits))
    assert BACKOFF_S <= waits[0] <= BACKOFF_S * (1 + JITTER) + TRY_S[1]


def test_an_address_that_never_answers_is_asked_again_at_last_every_ten_minutes() -> None:
    wire = Wire()

    wire.run(6 * 3600, lambda now: [peer(1)])

    last = wire.sent[-1][0] - wire.sent[-2][0]
    assert BACKOFF_MAX_S <= last <= BACKOFF_MAX_S * (1 + JITTER) + TRY_S[1] + 1


def test_at_most_eight_peers_without_any_proof_have_an_endpoint_at_a_time() -> None:
    ghosts = [peer(number, elsewhere(number)) for number in range(100)]
    wire = Wire()

    wire.run(10, lambda now: ghosts)

    assert wire.most_told == UNPROVEN_MAX
    assert max(wire.hosts().values()) <= FREE_TRIES


def test_everyone_gets_their_turn_and_the_least_tried_first() -> None:
    ghosts = [peer(number, elsewhere(number)) for number in range(60)]
    wire = Wire()

    wire.run(60 / UNPROVEN_MAX * TRY_S[0] + 1, lambda now: ghosts)

    assert len(wire.hosts()) == 60


@pytest.mark.parametrize("shown", [{"possession": True}, {"answered": "203.0.113.1:7"}, {"methods": ("cache",)}])
def test_a_newcomer_who_has_shown_something_goes_before_a_crowd_that_has_not(shown: dict[str, object]) -> None:
    """Where both come at once, and where the crowd has begun."""
    crowd = [peer(number, elsewhere(number)) for number in range(100)]
    honest = peer(900, elsewhere(900), **shown)  # type: ignore[arg-type]
    at_once, later = Wire(), Wire()

    at_once.run(0.01, lambda now: [*crowd, honest])
    later.run(5, lambda now: crowd)
    later.run(TRY_S[1], lambda now: [*crowd, honest])

    for wire in (at_once, later):
        assert key(900) in {each for _, each, _ in wire.sent}


def test_at_one_address_who_has_shown_a_key_goes_before_those_who_are_only_said_to_be_there() -> None:
    wire = Wire()

    wire.run(0.01, lambda now: [*(peer(number) for number in range(20)), peer(900, possession=True)])

    assert [each for _, each, _ in wire.sent] == [key(900)]


def test_keys_that_anybody_can_make_take_no_place_from_those_who_cannot_prove_theirs() -> None:
    """Upstream's nodes prove no key."""
    crowd = [peer(number, elsewhere(number), possession=True) for number in range(POSSESSING_MAX + 9)]
    wire = Wire()

    wire.run(0.01, lambda now: [*crowd, peer(900, elsewhere(900))])

    assert key(900) in {each for _, each, _ in wire.sent}


def test_a_newcomer_that_has_shown_nothing_waits_no_longer_than_one_try_of_others() -> None:
    tried = [peer(number, elsewhere(number)) for number in range(UNPROVEN_MAX * 3)]
    wire = Wire()
    wire.run(20, lambda now: tried)

    wire.run(TRY_S[1] + 0.1, lambda now: [*tried, peer(900, elsewhere(900))])

    assert key(900) in {each for _, each, _ in wire.sent}


def test_fifty_who_prove_their_keys_at_once_are_all_tried_at_once() -> None:
    wire = Wire()

    wire.run(0.01, lambda now: [peer(number, elsewhere(number), possession=True) for number in range(50)])

    assert len(wire.sent) == 50


def test_also_keys_that_prove_themselves_are_tried_only_so_many_at_a_time() -> None:
    crowd = [peer(number, elsewhere(number), possession=True) for number in range(300)]
    wire = Wire()

    wire.run(20, lambda now: crowd)

    assert wire.most_told == POSSESSING_MAX


def test_who_answers_is_hurried_from_then_on_as_if_that_had_been_so_from_the_beginning() -> None:
    answered = f"{VICTIM.host}:7"
    wire = Wire()
    wire.run(0.01, lambda now: [peer(1)])

    wire.run(10, lambda now: [peer(1, answered=answered)])

    gaps = [later[0] - earlier[0] for earlier, later in pairwise(wire.sent)]
    assert gaps[: len(HURRY_GAPS_S) - 1] == pytest.approx(HURRY_GAPS_S[:-1], abs=0.02)
    assert len(wire.sent) > FREE_TRIES + 2


def test_who_answers_while_waiting_is_tried_at_once() -> None:
    wire = Wire()
    wire.run(20, lambda now: [peer(1)])
    before = len(wire.sent)

    wire.run(0.01, lambda now: [peer(1, answered=f"{VICTIM.host}:7")])

    assert len(wire.sent) == before + 1


def test_where_one_address_has_answered_the_peer_is_tried_there_while_another_must_wait() -> None:
    known = elsewhere(7)
    wire = Wire()

    wire.run(120, lambda now: [peer(1, VICTIM, known, answered=f"{known.host}:7")])

    assert wire.hosts()[str(VICTIM.host)] <= FREE_TRIES + 2
    assert wire.hosts()[str(known.host)] > 10


def test_an_answer_from_elsewhere_opens_no_other_address() -> None:
    """A member that answers from its own address may still name a victim's as where its tunnel ends."""
    wire = Wire()

    wire.run(25, lambda now: [peer(number, possession=True, answered="203.0.113.1:7") for number in range(30)])

    assert wire.hosts()[str(VICTIM.host)] == FREE_TRIES


def test_one_link_of_ipv6_is_one_place_unless_its_members_were_heard_on_it() -> None:
    def crowd(source: CandidateSource) -> list[Peer]:
        hosts = [Endpoint.parse(f"[2001:db8::{number:x}]:51820") for number in range(1, 30)]
        return [peer(number, host, possession=True, source=source) for number, host in enumerate(hosts)]

    announced, heard = Wire(), Wire()
    announced.run(20, lambda now: crowd(CandidateSource.ANNOUNCED))
    heard.run(20, lambda now: crowd(CandidateSource.LAN))

    assert len(announced.sent) == FREE_TRIES
    assert len(heard.hosts()) == 29


def test_between_two_tries_a_peer_is_configured_so_that_it_can_come_in_and_is_sent_nothing() -> None:
    wire = Wire()
    wire.run(15, lambda now: [peer(1)])

    assert (wire.device[key(1)].endpoint, wire.device[key(1)].persistent_keepalive_s) == (None, 0)


def test_an_endpoint_that_an_earlier_life_left_on_the_device_is_taken_away() -> None:
    """This life knows nothing of those peers; where they are said to be it has tried others just now."""
    wire = Wire()
    wire.run(15, lambda now: [peer(1)])
    ghosts = [peer(number) for number in range(2, 20)]
    wire.device = {each.public_key: ObservedPeer(each.public_key, VICTIM, frozenset(), 25) for each in ghosts}

    wire.run(1, lambda now: ghosts)

    assert wire.device.keys() == {each.public_key for each in ghosts}
    assert all(each.endpoint is None for each in wire.device.values())


def test_an_endpoint_that_the_peer_gave_the_device_by_coming_in_is_left_alone() -> None:
    table, coming = HandshakeTable(OWN), ObservedPeer(key(1), VICTIM)
    busy = [peer(1), *(peer(number, Endpoint(VICTIM.host, number)) for number in range(2, 5))]
    for after in (0.0, 0.5, 3.0, 3.1, 4.0):
        table.approaches(busy, {}, NOW + after)

    approaches = table.approaches(busy, {key(1): coming}, NOW + 5)

    assert approaches[key(1)].present and approaches[key(1)].endpoint is None


def test_a_candidate_inside_a_network_that_the_device_routes_is_passed_over() -> None:
    inside, outside = Endpoint.parse("10.66.0.9:51820"), elsewhere(1)
    routed = NetworkIndex([(ipaddress.ip_network("10.66.0.0/24"), None)])
    for candidates, tried in (((inside, outside), outside), ((inside,), None)):
        known = peer(1, *candidates)
        known = replace(known, candidates=tuple(replace(each, proven_at=NOW) for each in known.candidates))

        approach = HandshakeTable(OWN).approaches([known], {}, NOW, routed)[key(1)]

        assert approach.endpoint == tried and approach.present


def test_places_are_remembered_up_to_a_bound() -> None:
    strangers = Strangers(OWN)
    for number in range(PLACES_MAX + 10):
        (candidate,) = peer(number, elsewhere(number)).candidates
        strangers.note_try(peer(number), candidate, NOW)
        strangers.note_try(peer(number), candidate, NOW)

    late = NOW + TRY_S[1] + 1
    (oldest,), (newest,) = (peer(1, elsewhere(number)).candidates for number in (0, PLACES_MAX + 9))
    assert strangers.may_try(peer(1), oldest, late) and not strangers.may_try(peer(1), newest, late)


def test_two_nodes_that_hear_the_same_lie_do_not_knock_together_again() -> None:
    (candidate,) = peer(1).candidates
    due = set()
    for own in (OWN, key(77)):
        strangers = Strangers(own)
        for _ in range(FREE_TRIES):
            strangers.note_try(peer(1), candidate, NOW)
        due.add(strangers.due_at(peer(1), candidate, NOW))

    assert len(due) == 2
