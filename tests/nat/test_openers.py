"""When openers are sent, how far they go, and how few any member can aim at anybody."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import replace
from itertools import count, pairwise

from wgmesh.core.model import (
    Candidate,
    CandidateSource,
    Endpoint,
    Mapping,
    NatReport,
    Peer,
    PublicKey,
    Sighting,
    Silence,
)
from wgmesh.core.wireguard_times import REJECT_AFTER_S
from wgmesh.nat.openers import (
    AT_ONCE,
    CANDIDATES_MAX,
    GAP_S,
    PAUSE_MAX_S,
    PAUSE_S,
    PAUSE_STRANGE_MAX_S,
    PER_S,
    STRANGE_BURSTS,
    TTLS,
    Opener,
    Openers,
)

NOW = 1_000_000.0
HOUR_S = 3600.0
OWN, THEIRS = PublicKey(bytes(32)), PublicKey(bytes([1] * 32))
AWAY = Endpoint.parse("44.64.2.2:51820")
BEHIND_A_NAT = NatReport(
    enabled=True, mapping=Mapping.ENDPOINT_INDEPENDENT, sightings=(Sighting(Endpoint.parse("44.64.1.2:51820")),)
)
NOT_BEHIND_A_NAT = replace(BEHIND_A_NAT, mapping=Mapping.NONE)


def test_a_burst_begins_at_once_and_its_first_openers_die_behind_our_own_router() -> None:
    openers = opening([peer()])

    assert sent(openers, until=PAUSE_S - 1) == [(GAP_S * number, Opener(AWAY, ttl)) for number, ttl in enumerate(TTLS)]
    assert TTLS[0] == 2


def test_no_opener_lives_more_than_four_hops() -> None:
    assert max(TTLS) == 4


def test_between_bursts_there_is_time_for_a_nat_to_forget() -> None:
    answered = replace(peer(), control_endpoint=Endpoint(AWAY.host, 52000))

    for each in (peer(), answered):
        times = [at for at, _ in sent(opening([each]), until=HOUR_S)]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert all(gap == GAP_S or gap > 30.0 for gap in gaps)


def test_pauses_grow_to_a_minute_where_the_peer_has_answered() -> None:
    answered = replace(peer(), control_endpoint=Endpoint(AWAY.host, 52000))

    begun = [at for at, _ in sent(opening([answered]), until=HOUR_S)][:: len(TTLS)]

    assert begun[:2] == [0.0, PAUSE_S]
    assert begun[-1] - begun[-2] == PAUSE_MAX_S


def test_pauses_grow_to_ten_minutes_where_nobody_has_answered() -> None:
    silent = replace(
        peer(), control_endpoint=Endpoint(AWAY.host, 52000), silence=Silence(Endpoint(AWAY.host, 52000), NOW)
    )

    for each in (peer(), silent):
        times = [at for at, _ in sent(opening([each]), until=2 * HOUR_S)]
        assert len(times) > 2 * len(TTLS)
        assert len([at for at in times if at > HOUR_S]) <= HOUR_S / PAUSE_STRANGE_MAX_S * STRANGE_BURSTS * len(TTLS)


def test_all_that_members_invent_at_one_address_costs_it_two_bursts() -> None:
    ports = [Endpoint(AWAY.host, port) for port in range(1000, 1300)]
    invented = [peer(key=key(number), at=[port]) for number, port in enumerate(ports)]
    prefix = int(ipaddress.ip_address("2a00:1::"))
    same_site = [
        peer(key=key(number), at=[Endpoint(ipaddress.ip_address(prefix + number), 51820)]) for number in range(300)
    ]

    for peers in (invented, same_site):
        assert len(sent(opening(peers), until=PAUSE_S - 1)) == STRANGE_BURSTS * len(TTLS)


def test_a_guessed_port_does_not_keep_the_true_one_waiting() -> None:
    true = Endpoint(AWAY.host, 40000)
    openers = opening([peer()])
    openers.take_due(NOW)

    openers.set_peers([peer(at=[true, AWAY])], OWN, NOW + 0.1)

    assert openers.take_due(NOW + 0.1) == [Opener(true, TTLS[0])]


def test_of_several_at_one_address_each_has_its_turn() -> None:
    ports = [Endpoint(AWAY.host, 1000 + number) for number in range(2 * STRANGE_BURSTS)]
    openers = opening([peer(key=key(number), at=[each]) for number, each in enumerate(ports, 1)])

    assert {opener.to for _, opener in sent(openers, until=PAUSE_S + 1)} == set(ports)


def test_at_most_eight_addresses_of_a_peer_are_opened() -> None:
    named = [Endpoint.of(f"44.64.{number}.2", 51820) for number in range(16)]

    assert {opener.to for _, opener in sent(opening([peer(at=named)]), until=60)} == set(named[:CANDIDATES_MAX])


def test_a_node_sends_few_openers_a_second_however_many_peers_there_are() -> None:
    far = [Endpoint.of(f"44.{number >> 8}.{number & 255}.9", 51820) for number in range(999)]
    peers = [peer(key=key(number), at=[each]) for number, each in enumerate(far)]

    times = [at for at, _ in sent(opening(peers), until=20)]

    assert len([at for at in times if at == 0.0]) == AT_ONCE
    assert AT_ONCE + 15 * PER_S < len(times) <= AT_ONCE + 20 * PER_S
    assert len(set(times)) < 60  # they are sent together, and the process sleeps in between


def test_a_peer_with_a_fresh_handshake_gets_nothing_and_with_a_lost_one_at_once() -> None:
    openers = opening([peer()])
    sent(openers, until=10)
    connected = replace(peer(), candidates=(replace(candidate(AWAY), proven_at=NOW + 10),))
    openers.set_peers([connected], OWN, NOW + 10)
    assert not sent(openers, start=10, until=60)

    openers.set_peers([connected], OWN, NOW + 10 + REJECT_AFTER_S)

    assert openers.take_due(NOW + 10 + REJECT_AFTER_S) == [Opener(AWAY, TTLS[0])]


def test_a_tunnel_that_worked_ends_the_long_pauses() -> None:
    times = [at for at, _ in sent(opening([peer()]), until=HOUR_S)]
    last, following = max(pairwise(times), key=lambda pair: pair[1] - pair[0])
    assert following > last + REJECT_AFTER_S
    openers = opening([peer()])
    sent(openers, until=last)
    connected = replace(peer(), candidates=(replace(candidate(AWAY), proven_at=NOW + last),))
    openers.set_peers([connected], OWN, NOW + last)

    openers.set_peers([connected], OWN, NOW + last + REJECT_AFTER_S)

    assert openers.take_due(NOW + last + REJECT_AFTER_S) == [Opener(AWAY, TTLS[0])]


def test_a_host_without_nat_opens_nothing_and_one_that_does_not_know_neither() -> None:
    for report in (NOT_BEHIND_A_NAT, NatReport(enabled=True), NatReport()):
        openers = opening([peer()], report)
        assert openers.next_due_at() is None
        assert openers.take_due(NOW) == []


def test_a_nat_that_is_found_later_is_opened_then() -> None:
    openers = opening([peer()], NatReport(enabled=True))
    openers.take_due(NOW)

    openers.set_report(BEHIND_A_NAT)

    assert openers.take_due(NOW + 1) == [Opener(AWAY, TTLS[0])]


def test_neighbours_private_addresses_and_our_own_entry_get_nothing() -> None:
    neighbour = replace(peer(), candidates=(replace(candidate(AWAY), source=CandidateSource.LAN),))
    inside = peer(at=[Endpoint.parse("192.168.1.2:51820"), Endpoint.parse("[fd00::2]:51820")])

    for each in (neighbour, inside, replace(peer(), public_key=OWN)):
        assert not sent(opening([each]), until=60)


def test_a_peer_that_is_gone_gets_nothing_more() -> None:
    openers = opening([peer()])
    openers.take_due(NOW)

    openers.set_peers([], OWN, NOW + 1)

    assert openers.next_due_at() is None
    assert openers.take_due(NOW + GAP_S) == []


def test_a_snapshot_without_news_changes_nothing() -> None:
    openers = opening([peer()])
    openers.take_due(NOW)

    openers.set_peers([peer()], OWN, NOW + 1)

    assert openers.take_due(NOW + 1) == []
    assert openers.next_due_at() == NOW + GAP_S


def key(number: int) -> PublicKey:
    return PublicKey(number.to_bytes(32, "big"))


def candidate(endpoint: Endpoint) -> Candidate:
    return Candidate(endpoint, CandidateSource.SECOND_HAND, NOW)


def peer(key: PublicKey = THEIRS, at: Iterable[Endpoint] = (AWAY,)) -> Peer:
    return Peer(key, ipaddress.IPv4Address("10.9.0.2"), candidates=tuple(candidate(each) for each in at))


def opening(peers: Iterable[Peer], report: NatReport = BEHIND_A_NAT) -> Openers:
    openers = Openers()
    openers.set_report(report)
    openers.set_peers(peers, OWN, NOW)
    return openers


def sent(openers: Openers, until: float, start: float = 0.0) -> list[tuple[float, Opener]]:
    """All openers with their times, from a machine that is asked exactly when it wants to be."""
    found: list[tuple[float, Opener]] = []
    at = NOW + start
    for _ in count():
        found += [(at - NOW, opener) for opener in openers.take_due(at)]
        due_at = openers.next_due_at()
        if due_at is None or due_at > NOW + until:
            return found
        assert due_at > at, "a machine that is always due keeps the processor busy"
        at = due_at
    raise AssertionError
