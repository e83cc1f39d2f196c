"""What others tell of a member: hearsay, gossip, and records in a DHT."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest
from support.discovery.membership_scene import (
    FRESH_REVISION,
    NOW,
    PORT,
    SOURCE,
    Scene,
    announcement,
    at,
    key,
    known,
    mesh_ip,
    native,
)
from wgmesh.core.model import CandidateSource, Endpoint
from wgmesh.core.wire.advertised import AdvertisedEndpoint
from wgmesh.core.wire.announcement import KnownPeer
from wgmesh.core.wire.member_record import MemberRecord
from wgmesh.discovery.events import (
    DHT_RECORD,
    GOSSIP,
    KNOWN_PEER,
    PeerSighted,
)
from wgmesh.discovery.members.contacts import Origin
from wgmesh.discovery.members.membership import (
    CHECKS_BURST,
)
from wgmesh.discovery.members.record import SILENT_S
from wgmesh.discovery.members.tombstones import Departure
from wgmesh.discovery.messages.replay import Stamp


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_all_that_is_told_of_a_peer_is_kept_and_its_address_is_asked(scene: Scene) -> None:
    told = KnownPeer(
        key(1),
        mesh_ip(1),
        IPv6Address("fd00::1"),
        "one",
        AdvertisedEndpoint.of(at(1)),
        introducer=True,
        nat_type="cone",
    )
    scene.tell(told)
    record = scene.members.table.get(key(1))
    assert record is not None
    facts = record.facts
    assert (facts.mesh_ipv4, facts.mesh_ipv6, facts.hostname) == (mesh_ip(1), IPv6Address("fd00::1"), "one")
    assert (facts.introducer, facts.nat_type) == (True, "cone")
    assert scene.candidates(1) == {str(at(1)): CandidateSource.SECOND_HAND}
    assert scene.to_ask() == {f"{at(1).host}:{PORT}": (Origin.SECOND_HAND, key(1))}
    assert PeerSighted(key(1), KNOWN_PEER) not in scene.events() and scene.is_published()


def test_the_same_hearsay_again_asks_nobody(scene: Scene) -> None:
    scene.tell(known(1))
    scene.contacts.drop(Endpoint(at(1).host, PORT))
    scene.is_published()
    scene.tell(known(1))
    assert scene.to_ask() == {} and not scene.is_published()
    scene.tell(replace(known(1), endpoint=AdvertisedEndpoint.of(at(2))))
    assert list(scene.to_ask()) == [f"{at(2).host}:{PORT}"]


def test_hearsay_without_an_address_outside_the_tunnel_names_nobody_to_ask(scene: Scene) -> None:
    scene.tell(
        replace(known(1), endpoint=None),
        replace(known(2), endpoint=AdvertisedEndpoint(IPv4Address("10.1.0.2"), 51820)),
        replace(known(3), endpoint=AdvertisedEndpoint("host.example", 51820)),
    )
    for number in (1, 2, 3):
        assert scene.candidates(number) == {}
    assert scene.to_ask() == {}


def test_hearsay_of_a_peer_that_nobody_has_heard_for_ten_minutes_is_too_old(scene: Scene) -> None:
    scene.tell(replace(known(1), age_s=int(SILENT_S)), replace(known(2), age_s=int(SILENT_S) - 1))
    assert key(1) not in scene.members.table and key(2) in scene.members.table


def test_hearsay_of_who_is_banned_gone_or_ourselves_is_left_out(scene: Scene) -> None:
    scene.members.set_banned({key(1)}, NOW)
    scene.say(announcement(2), Stamp(int(NOW)))
    scene.members.depart(key(2), Departure.GOODBYE, NOW, int(NOW))
    scene.tell(known(1), known(2), known(99))
    assert [each.key for each in scene.members.table.records()] == [key(50)]


def test_hearsay_takes_no_address_from_its_holder_but_gives_it_to_the_key_that_derives_it(scene: Scene) -> None:
    scene.say(replace(announcement(1), mesh_ipv4=mesh_ip(2)))
    scene.tell(replace(known(3), mesh_ipv4=mesh_ip(2)), replace(known(4), mesh_ipv4=mesh_ip(99)), known(2))
    assert key(3) not in scene.members.table and key(4) not in scene.members.table
    assert key(2) in scene.members.table


def test_hearsay_of_a_peer_that_is_known_already_needs_no_free_address(scene: Scene) -> None:
    scene.tell(replace(known(1), mesh_ipv4=IPv4Address("10.1.9.9"), endpoint=None))
    scene.tell(replace(known(1), mesh_ipv4=IPv4Address("10.1.9.9")))
    assert list(scene.candidates(1)) == [str(at(1))]


def test_gossip_of_somebody_new_names_all_its_addresses(scene: Scene) -> None:
    told = replace(known(1), candidates=(at(2), Endpoint.of("10.1.0.3", 1), at(4)), exchange_port=60000)
    assert scene.members.learn_record(told, GOSSIP, NOW)
    assert set(scene.candidates(1)) == {str(at(number)) for number in (1, 2, 4)}
    asked = scene.to_ask()
    assert asked[f"{at(2).host}:60000"] == asked[f"{at(4).host}:60000"] == (Origin.SECOND_HAND, key(1))
    for number in (1, 2, 4):
        for port in (PORT, 60000):
            scene.contacts.drop(Endpoint(at(number).host, port))
    assert not scene.members.learn_record(told, GOSSIP, NOW) and scene.to_ask() == {}


def test_a_further_address_in_gossip_is_published_and_asked_at_the_meshs_port(scene: Scene) -> None:
    scene.members.learn_record(known(1), GOSSIP, NOW)
    scene.to_ask()
    scene.is_published()
    assert not scene.members.learn_record(replace(known(1), candidates=(at(2),)), GOSSIP, NOW)
    assert scene.is_published()
    assert scene.to_ask() == {f"{at(2).host}:{PORT}": (Origin.SECOND_HAND, key(1))}


def test_gossip_that_is_not_believed_leaves_no_addresses(scene: Scene) -> None:
    scene.members.set_banned({key(1)}, NOW)
    assert not scene.members.learn_record(replace(known(1), candidates=(at(2),)), GOSSIP, NOW)
    assert scene.to_ask() == {}


def test_a_member_of_which_gossip_has_newer_words_is_asked_itself_at_once(scene: Scene) -> None:
    scene.say(native(1, FRESH_REVISION))
    for revision in (None, FRESH_REVISION):
        assert not scene.members.learn_record(replace(known(1), revision=revision, hostname="lie"), GOSSIP, NOW)
    assert scene.members.refreshes.due(NOW, lambda key: False) == []
    assert not scene.members.learn_record(replace(known(1), revision=FRESH_REVISION + 1, hostname="lie"), GOSSIP, NOW)
    assert scene.members.refreshes.due(NOW, lambda key: True) == [key(1)]
    record = scene.members.table.get(key(1))
    assert record is not None and record.facts.hostname == "node-1"


def test_gossip_of_a_go_node_which_counts_no_revisions_has_nothing_newer(scene: Scene) -> None:
    scene.say(announcement(1))
    for revision in (None, 0):
        scene.members.learn_record(replace(known(1), revision=revision), GOSSIP, NOW)
    assert scene.members.refreshes.due(NOW, lambda key: False) == []


def test_claims_of_newer_words_cost_a_member_few_hellos_of_ours(scene: Scene) -> None:
    scene.say(native(1, FRESH_REVISION))
    asked = 0
    for count in range(1, 10):
        scene.members.learn_record(replace(known(1), revision=FRESH_REVISION + count), GOSSIP, NOW)
        asked += len(scene.members.refreshes.due(NOW, lambda key: False))
    assert asked == CHECKS_BURST


def test_a_record_in_a_dht_is_hearsay_with_all_its_addresses(scene: Scene) -> None:
    record = MemberRecord(
        key(1), mesh_ip(1), int(NOW), 5, (Endpoint.of("192.0.2.1", 7),), (at(1), at(2)), "one", "cone", introducer=True
    )
    scene.members.learn_member_record(record, NOW)
    found = scene.members.table.get(key(1))
    assert found is not None and not found.is_verified
    assert (found.facts.hostname, found.facts.nat_type, found.facts.introducer) == ("one", "cone", True)
    assert scene.candidates(1) == dict.fromkeys(map(str, (at(1), at(2))), CandidateSource.SECOND_HAND)
    assert found.methods == [DHT_RECORD]
    assert scene.events() == []
    assert scene.to_ask()["192.0.2.1:7"] == (Origin.SECOND_HAND, key(1))


def test_the_exchange_addresses_of_a_record_lie_outside_the_tunnel(scene: Scene) -> None:
    exchanges = (Endpoint.of("10.1.0.1", PORT), Endpoint.of("0.0.0.0", PORT), Endpoint.of("192.0.2.1", PORT))
    scene.members.learn_member_record(MemberRecord(key(1), mesh_ip(1), int(NOW), 5, exchanges), NOW)
    assert list(scene.to_ask()) == [f"192.0.2.1:{PORT}"]


def test_a_record_from_before_a_departure_brings_nobody_back(scene: Scene) -> None:
    scene.say(announcement(1))
    scene.members.depart(key(1), Departure.GOODBYE, NOW, int(NOW))
    later = NOW + 1000.0  # hearsay would be believed again
    record = MemberRecord(key(1), mesh_ip(1), int(NOW), 5, (SOURCE,), (at(1),))
    scene.members.learn_member_record(record, later)
    assert key(1) not in scene.members.table
    scene.members.learn_member_record(replace(record, issued_at=int(NOW) + 1), later)
    assert key(1) in scene.members.table


def test_a_record_of_a_peer_with_a_working_tunnel_asks_nobody(scene: Scene) -> None:
    scene.say(native(1, FRESH_REVISION))
    scene.prove(1)
    record = MemberRecord(key(1), mesh_ip(1), int(NOW), FRESH_REVISION + 1, (SOURCE,), (at(1),))
    scene.members.learn_member_record(record, NOW)
    assert scene.to_ask() == {}
    found = scene.members.table.get(key(1))
    assert found is not None and found.methods == ["exchange"]
    assert scene.members.refreshes.due(NOW, lambda key: False) == [key(1)]  # its newer words are worth a question


def test_a_record_of_a_known_peer_without_a_tunnel_is_one_more_way_to_it(scene: Scene) -> None:
    scene.say(announcement(1))
    scene.is_published()
    scene.members.learn_member_record(MemberRecord(key(1), mesh_ip(1), int(NOW), 0, (SOURCE,)), NOW)
    found = scene.members.table.get(key(1))
    assert found is not None and found.methods == ["exchange", DHT_RECORD] and scene.is_published()
    assert list(scene.to_ask()) == [str(SOURCE)]
