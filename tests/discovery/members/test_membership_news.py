"""What a member says of itself: in the table, among the addresses to ask, and in what is told to others."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address

import pytest
from support.discovery.membership_scene import (
    FRESH_REVISION,
    NET,
    NOW,
    PORT,
    SOURCE,
    Scene,
    announcement,
    at,
    cached,
    key,
    known,
    mesh_ip,
    native,
)
from wgmesh.core.model import CandidateSource, Endpoint
from wgmesh.core.wire.advertised import AdvertisedEndpoint
from wgmesh.core.wire.announcement import Announcement, Extension
from wgmesh.core.wire.envelope import MessageType
from wgmesh.discovery.bounds import Bounds
from wgmesh.discovery.events import (
    LayerHeard,
    PeerSighted,
)
from wgmesh.discovery.members.contacts import Origin
from wgmesh.discovery.members.evidence import Evidence
from wgmesh.discovery.members.membership import (
    NEWS_S,
    wireguard_port,
)
from wgmesh.discovery.members.tombstones import Departure
from wgmesh.discovery.messages.inbox import Message
from wgmesh.discovery.messages.replay import Novelty, Stamp


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_all_that_a_member_says_of_itself_is_kept(scene: Scene) -> None:
    body = Announcement(
        key(1),
        mesh_ip(1),
        IPv6Address("fd00::1"),
        "one",
        AdvertisedEndpoint.of(at(1)),
        introducer=True,
        routable_networks=(NET,),
        nat_type="cone",
        extension=Extension(b"boot-one", 1, (at(2), at(3)), exchange_port=60000, revision=FRESH_REVISION),
    )
    assert scene.say(body)
    record = scene.members.table.get(key(1))
    assert record is not None
    facts = record.facts
    assert (facts.mesh_ipv4, facts.mesh_ipv6, facts.hostname) == (mesh_ip(1), IPv6Address("fd00::1"), "one")
    assert (facts.introducer, facts.nat_type, facts.routable_networks) == (True, "cone", (NET,))
    assert (facts.native, facts.exchange_port, facts.revision) == (True, 60000, FRESH_REVISION)
    assert scene.candidates(1) == dict.fromkeys(map(str, (at(1), at(2), at(3))), CandidateSource.ANNOUNCED)
    assert (scene.members.exchange_port_of(record), scene.members.exchange_port_in(body)) == (60000, 60000)


def test_a_go_node_is_no_native_and_listens_at_the_meshs_port(scene: Scene) -> None:
    body = announcement(1)
    scene.say(body)
    record = scene.members.table.get(key(1))
    assert record is not None and not record.facts.native and record.facts.revision == 0
    assert (scene.members.exchange_port_of(record), scene.members.exchange_port_in(body)) == (PORT, PORT)
    assert wireguard_port(replace(body, endpoint=None)) == 51820
    assert wireguard_port(replace(body, endpoint=AdvertisedEndpoint(None, 7))) == 7


def test_what_a_member_says_is_published_and_labelled_with_the_way_it_came(scene: Scene) -> None:
    assert scene.say(announcement(1), method="lan")
    assert scene.events() == [LayerHeard("lan"), PeerSighted(key(1), "lan")]
    assert scene.members.heard_at == {"lan": NOW} and scene.is_published()
    scene.say(announcement(1), now=NOW + 5, method="lan")
    assert scene.events() == [LayerHeard("lan")]
    assert scene.members.heard_at == {"lan": NOW + 5} and not scene.is_published()


@pytest.mark.parametrize(
    ("origin", "way"),
    [(Origin.STATIC, "static"), (Origin.CACHE, "cache"), (Origin.DHT, "dht"), (Origin.SECOND_HAND, "exchange")],
)
def test_what_has_named_the_address_of_a_member_that_speaks_has_found_it(
    scene: Scene, origin: Origin, way: str
) -> None:
    scene.contacts.add(SOURCE, origin, NOW)
    scene.say(announcement(1), method="exchange")
    assert scene.events() == [LayerHeard("exchange"), PeerSighted(key(1), way)]
    record = scene.members.table.get(key(1))
    assert record is not None and record.methods == list(dict.fromkeys([way, "exchange"]))


def test_on_the_lan_the_lan_itself_has_found_a_member_whatever_has_named_its_address(scene: Scene) -> None:
    scene.contacts.add(SOURCE, Origin.CACHE, NOW)
    scene.say(announcement(1), method="lan")
    assert scene.events() == [LayerHeard("lan"), PeerSighted(key(1), "lan")]


def test_a_second_way_in_which_a_member_is_heard_is_published(scene: Scene) -> None:
    scene.contacts.add(SOURCE, Origin.CACHE, NOW)
    scene.members.restore(replace(cached(1), endpoint=None), NOW)
    scene.say(announcement(1), method="lan")
    scene.is_published()
    scene.say(announcement(1), method="exchange")
    assert scene.is_published()


def test_a_member_that_has_spoken_hears_from_us_at_its_turn(scene: Scene) -> None:
    scene.say(announcement(1))
    turn_at = scene.members.refreshes.poll_timeout()
    assert turn_at is not None and turn_at > NOW
    scene.say(announcement(1), now=NOW + 30)
    assert scene.members.refreshes.poll_timeout() == turn_at


def test_a_loopback_address_is_believed_of_who_speaks_over_loopback_only(scene: Scene) -> None:
    body = announcement(1, endpoint=Endpoint.of("127.0.0.1", 51820))
    scene.say(body)
    assert scene.candidates(1) == {}
    message = Message(MessageType.HELLO, key(1), body, Stamp(int(NOW)), Novelty.NEW)
    scene.members.learn(message, body, "exchange", Endpoint.of("127.0.0.1", PORT), NOW, Evidence.POSSESSION)
    assert list(scene.candidates(1)) == ["127.0.0.1:51820"]


def test_a_banned_member_whose_message_waited_for_its_key_is_not_learned(scene: Scene) -> None:
    scene.members.set_banned({key(1)}, NOW)
    assert not scene.say(announcement(1))
    assert key(1) not in scene.members.table and scene.members.heard_at == {}


def test_a_full_table_learns_nothing_from_a_stranger() -> None:
    scene = Scene(Bounds(peers=1))
    scene.say(announcement(1))
    scene.events()
    assert not scene.say(replace(announcement(2), known_peers=(known(3),)))
    assert scene.events() == [] and scene.news == [key(1)]
    assert scene.members.clocks.newest(key(2)) is None


def test_what_was_said_before_a_departure_is_not_believed_and_what_is_said_after_it_is(scene: Scene) -> None:
    scene.say(announcement(1), Stamp(100))
    scene.members.depart(key(1), Departure.GOODBYE, NOW, left_at=105)
    assert not scene.say(announcement(1), Stamp(105))
    assert scene.say(announcement(1), Stamp(106))
    assert not scene.members.tombstones.refuses_second_hand(key(1), NOW)


def test_a_new_run_is_believed_within_the_second_in_which_the_old_one_left(scene: Scene) -> None:
    scene.say(native(1), Stamp(100, b"boot-one", 1))
    scene.members.depart(key(1), Departure.GOODBYE, NOW, left_at=100)
    assert not scene.say(native(1), Stamp(100, b"boot-one", 2))
    assert scene.say(native(1), Stamp(100, b"boot-two", 1))


def test_the_goodbye_of_the_run_before_does_not_remove_the_new_run(scene: Scene) -> None:
    scene.say(native(1), Stamp(100, b"boot-one", 1))
    scene.members.pending_goodbyes.suspect(key(1), 101, NOW)
    scene.say(native(1), Stamp(100, b"boot-one", 2))
    assert scene.members.pending_goodbyes.poll_timeout() is not None
    scene.say(native(1), Stamp(102, b"boot-two", 1))
    assert scene.members.pending_goodbyes.poll_timeout() is None


def test_others_are_told_of_a_member_that_is_new_or_has_new_words(scene: Scene) -> None:
    scene.say(native(1, FRESH_REVISION))
    assert scene.news == [key(1)]
    scene.say(native(1, FRESH_REVISION))
    assert scene.news == [key(1)]
    scene.say(native(1, FRESH_REVISION + 1))
    assert scene.news == [key(1)] * 2


def test_words_that_have_long_reached_everybody_are_no_news(scene: Scene) -> None:
    scene.say(native(1, FRESH_REVISION - int(NEWS_S * 1000)))
    assert scene.news == []
    scene.say(native(2, FRESH_REVISION - int(NEWS_S * 1000) + 1))
    assert scene.news == [key(2)]


def test_a_go_node_is_news_once(scene: Scene) -> None:
    for _ in range(2):
        scene.say(announcement(1))
    assert scene.news == [key(1)]


def test_who_was_known_by_hearsay_is_news_when_it_speaks(scene: Scene) -> None:
    scene.tell(known(1))
    assert scene.news == [key(50)]
    scene.say(announcement(1))
    assert scene.news == [key(50), key(1)]


def test_only_a_known_peer_is_noted_as_the_owner_of_its_key(scene: Scene) -> None:
    scene.members.note_proof(key(1), NOW)
    assert scene.members.possessions.at(key(1)) is None
    scene.say(announcement(1))
    scene.is_published()
    scene.members.note_proof(key(1), NOW)
    record = scene.members.table.get(key(1))
    assert record is not None and record.possession_at == scene.members.possessions.at(key(1)) == NOW
    assert scene.is_published()
