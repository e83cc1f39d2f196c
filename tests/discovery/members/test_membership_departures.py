"""Who is saved for the next run, who leaves, and who is banned."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest
from support.discovery.membership_scene import (
    FRESH_REVISION,
    NET,
    NOW,
    PORT,
    Scene,
    announcement,
    at,
    cached,
    key,
    known,
    mesh_ip,
    native,
)
from wgmesh.core.model import CandidateSource, Endpoint, PeerProof
from wgmesh.core.peer_cache import CachedPeer
from wgmesh.core.wire.advertised import AdvertisedEndpoint
from wgmesh.discovery.bounds import Bounds
from wgmesh.discovery.events import (
    PeerLeft,
)
from wgmesh.discovery.members.contacts import Origin
from wgmesh.discovery.members.pending_goodbyes import CONFIRM_S
from wgmesh.discovery.members.record import SILENT_S
from wgmesh.discovery.members.tombstones import Departure
from wgmesh.discovery.messages.replay import Stamp


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_go_node_which_gives_no_proof_is_saved_and_known_to_the_next_run(scene: Scene) -> None:
    body = replace(
        announcement(1),
        mesh_ipv6=IPv6Address("fd00::1"),
        introducer=True,
        routable_networks=(NET,),
        nat_type="cone",
    )
    scene.say(body, now=NOW + 0.7)
    (cached,) = scene.members.cached_peers(NOW + 1)
    assert cached == CachedPeer(
        key(1),
        mesh_ip(1),
        int(NOW),
        IPv6Address("fd00::1"),
        "node-1",
        AdvertisedEndpoint.of(at(1)),
        introducer=True,
        routable_networks=(NET,),
        nat_type="cone",
        possession_at=None,
    )
    before = scene.members.table.get(key(1))
    next_run = Scene()
    next_run.members.restore(cached, NOW + 10)
    after = next_run.members.table.get(key(1))
    assert before is not None and after is not None and after.facts == before.facts
    assert next_run.members.possessions.at(key(1)) is None
    assert next_run.candidates(1) == {str(at(1)): CandidateSource.CACHE}
    assert next_run.to_ask() == {f"{at(1).host}:{PORT}": (Origin.CACHE, key(1))}
    assert next_run.events() == [] and next_run.is_published()  # only a name until it answers


def test_the_best_address_of_a_peer_is_saved_and_none_where_there_is_none(scene: Scene) -> None:
    scene.say(native(1, candidates=(at(2),)))
    scene.members.table.prove([PeerProof(key(1), at(2), NOW)], NOW)
    scene.say(replace(announcement(3), endpoint=None))
    first, second = sorted(scene.members.cached_peers(NOW), key=lambda each: each.public_key)
    assert first.endpoint == AdvertisedEndpoint.of(at(2)) and second.endpoint is None


def test_hearsay_is_not_saved_and_a_proof_of_possession_is(scene: Scene) -> None:
    scene.tell(known(1))
    scene.members.note_proof(key(50), NOW + 0.5)
    (cached,) = scene.members.cached_peers(NOW)
    assert (cached.public_key, cached.possession_at) == (key(50), int(NOW))
    next_run = Scene()
    next_run.members.restore(cached, NOW + 10)
    assert next_run.members.possessions.at(key(50)) == int(NOW)


def test_a_cached_peer_that_is_banned_or_of_another_mesh_is_left_out(scene: Scene) -> None:
    scene.members.set_banned({key(1)}, NOW)
    for peer in (cached(1), replace(cached(2), mesh_ipv4=IPv4Address("10.9.0.2"))):
        scene.members.restore(replace(peer, possession_at=int(NOW)), NOW)
        assert scene.members.possessions.at(peer.public_key) is None
    assert len(scene.members.table) == 0 and scene.to_ask() == {}


def test_a_cached_peer_without_an_address_outside_is_known_and_not_asked(scene: Scene) -> None:
    hosts = (None, "host.example", IPv4Address("10.1.0.7"))
    for number, host in enumerate(hosts, 1):
        scene.members.restore(replace(cached(number), endpoint=AdvertisedEndpoint(host, 51820)), NOW)
    scene.members.restore(replace(cached(4), endpoint=None), NOW)
    assert len(scene.members.table) == 4 and scene.to_ask() == {}
    assert all(scene.candidates(number) == {} for number in range(1, 5))


def test_a_cached_loopback_address_is_asked_again(scene: Scene) -> None:
    scene.members.restore(replace(cached(1), endpoint=AdvertisedEndpoint(IPv4Address("127.0.0.1"), 51821)), NOW)
    assert list(scene.to_ask()) == [f"127.0.0.1:{PORT}"]


def test_a_cached_peer_that_has_spoken_already_is_not_asked_at_its_old_address(scene: Scene) -> None:
    scene.say(announcement(1))
    scene.members.restore(replace(cached(1), endpoint=AdvertisedEndpoint.of(at(7))), NOW)
    assert scene.to_ask() == {} and list(scene.candidates(1)) == [str(at(1))]


def test_an_address_that_a_peer_was_seen_at_is_noted_unless_it_cannot_be_one(scene: Scene) -> None:
    scene.say(announcement(1))
    scene.is_published()
    scene.members.add_candidate(key(1), Endpoint.of("10.1.0.1", 51820), CandidateSource.OBSERVED, NOW)
    assert not scene.is_published()
    for host in ("192.0.2.1", "127.0.0.1"):
        scene.members.add_candidate(key(1), Endpoint.of(host, 51820), CandidateSource.OBSERVED, NOW)
        assert scene.is_published()
    assert set(scene.candidates(1)) == {str(at(1)), "192.0.2.1:51820", "127.0.0.1:51820"}


def test_a_departure_takes_all_that_hangs_on_the_peer_with_it(scene: Scene) -> None:
    scene.say(native(1, FRESH_REVISION))
    scene.say(announcement(2))
    for number in (1, 2):
        scene.contacts.add(at(number), Origin.HEARD, NOW, key(number))
        scene.members.pending_goodbyes.suspect(key(number), int(NOW), NOW)
    scene.events()
    scene.is_published()
    assert scene.members.depart(key(1), Departure.GOODBYE, NOW, int(NOW))
    assert scene.events() == [PeerLeft(key(1), "goodbye")] and scene.is_published()
    assert list(scene.to_ask()) == [str(at(2))]
    assert scene.members.refreshes.due(NOW + 1000, lambda key: False) == [key(2)]
    assert [key for key, _ in scene.members.pending_goodbyes.due(NOW + CONFIRM_S)] == [key(2)]
    assert not scene.members.depart(key(1), Departure.GOODBYE, NOW, int(NOW)) and scene.events() == []


def test_who_fell_silent_with_a_clock_that_is_behind_comes_back_with_its_next_word(scene: Scene) -> None:
    scene.say(announcement(1), Stamp(100))
    scene.members.expire(NOW + SILENT_S)
    assert scene.events()[-1] == PeerLeft(key(1), "silent")
    assert not scene.say(announcement(1), Stamp(100), now=NOW + SILENT_S)
    assert scene.say(announcement(1), Stamp(101), now=NOW + SILENT_S)


def test_who_was_only_told_of_and_left_is_believed_whatever_its_clock_says(scene: Scene) -> None:
    scene.tell(known(1))
    scene.members.expire(NOW + SILENT_S)
    assert scene.say(announcement(1), Stamp(1), now=NOW + SILENT_S)


def test_the_record_of_who_fell_silent_is_believed_once_it_is_newer_than_the_silence(scene: Scene) -> None:
    scene.say(announcement(1), Stamp(100))
    gone_at = NOW + SILENT_S
    scene.members.expire(gone_at)
    assert scene.members.tombstones.refuses_record(key(1), int(gone_at), gone_at)
    assert not scene.members.tombstones.refuses_record(key(1), int(gone_at) + 1, gone_at)


def test_the_record_of_who_said_goodbye_is_believed_once_it_is_newer_than_the_goodbye(scene: Scene) -> None:
    scene.say(announcement(1), Stamp(100))
    scene.members.depart(key(1), Departure.GOODBYE, NOW, left_at=105)
    assert scene.members.tombstones.refuses_record(key(1), 105, NOW)
    assert not scene.members.tombstones.refuses_record(key(1), 106, NOW)


def test_an_address_that_is_too_old_is_published_although_nobody_leaves(scene: Scene) -> None:
    scene.say(announcement(1))
    scene.members.add_candidate(key(1), at(7), CandidateSource.LAN, NOW)
    scene.is_published()
    scene.members.expire(NOW + 25)
    assert scene.is_published() and list(scene.candidates(1)) == [str(at(1))]


def test_a_ban_removes_a_peer_and_its_addresses_until_it_is_lifted(scene: Scene) -> None:
    scene.say(announcement(1))
    scene.contacts.add(at(1), Origin.HEARD, NOW, key(1))
    scene.contacts.add(at(2), Origin.HEARD, NOW, key(2))  # has not answered yet, so it is no peer
    assert scene.members.set_banned({key(1), key(2)}, NOW)
    assert scene.to_ask() == {} and scene.events()[-1] == PeerLeft(key(1), "banned")
    assert not scene.members.set_banned({key(1), key(2)}, NOW)
    assert scene.members.set_banned({key(2)}, NOW) and scene.members.banned == {key(2)}
    assert scene.say(announcement(1))


def test_a_change_of_the_bans_is_one_whether_somebody_is_added_or_freed(scene: Scene) -> None:
    assert scene.members.set_banned({key(1)}, NOW)
    assert scene.members.set_banned({key(1), key(2)}, NOW)
    assert scene.members.set_banned({key(2)}, NOW)
    assert not scene.members.set_banned({key(2)}, NOW)


def test_hearsay_of_who_was_banned_is_believed_once_the_ban_is_lifted(scene: Scene) -> None:
    scene.say(announcement(1))
    scene.members.set_banned({key(1)}, NOW)
    scene.members.set_banned(frozenset(), NOW)
    scene.tell(known(1))
    assert key(1) in scene.members.table


def test_a_peer_that_gives_way_in_a_full_table_has_not_left_and_may_come_back() -> None:
    scene = Scene(Bounds(peers=2))
    for number in (1, 2):
        scene.say(announcement(number))
    scene.events()
    assert scene.say(announcement(3), source=Endpoint.of("203.0.113.3", PORT))
    assert PeerLeft(key(1), Departure.DISPLACED) in scene.events()
    assert not scene.members.tombstones.refuses_second_hand(key(1), NOW)
    assert key(1) not in scene.members.table and key(2) in scene.members.table
