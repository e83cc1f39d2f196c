"""What a node knows of itself: its addresses as it has them and as others see them, and how new its own words are."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest
from wgmesh.core.clock import WallClock
from wgmesh.core.model import Endpoint, IPAddress, PublicKey, SelfDescription
from wgmesh.core.wire.announcement import MAX_CANDIDATES
from wgmesh.core.wire.wirefield import REVISION_LIMIT
from wgmesh.discovery.exchange.own_record import own_record
from wgmesh.discovery.host_interfaces import LanInterface
from wgmesh.discovery.members.address_rules import AddressRules
from wgmesh.discovery.members.candidates import HEARD_FRESH_S
from wgmesh.discovery.members.record import Witness
from wgmesh.discovery.own import OUTSIDE_FRESH_S, OUTSIDE_HOSTS_MAX, WITNESSES_MAX, Own

NOW = 1_800_000_000.0
REVISION = int(NOW * 1000)
MESH = ipaddress.ip_network("10.1.0.0/16")
KEY = PublicKey(bytes(32))
DESCRIPTION = SelfDescription(KEY, IPv4Address("10.1.0.1"), IPv6Address("fd00::1"), 51820)


def node(*seen: Witness, ipv6: bool = True, lan: bool = True) -> Own:
    """A node that peers have seen at these places."""
    return Own(WallClock(), AddressRules((MESH,), ipv6), 52527, b"boot-own", lambda: seen, lan)


def interface(*addresses: str, name: str = "eth0", announces: bool = True) -> LanInterface:
    return LanInterface(name, 2, tuple(map(ipaddress.ip_interface, addresses)), announces)


def test_nothing_can_be_said_before_the_node_is_told_who_it_is() -> None:
    own = node()
    with pytest.raises(AssertionError):
        _ = own.key
    own.describe(DESCRIPTION, NOW)
    assert (own.key, own.described, own.boot) == (KEY, DESCRIPTION, b"boot-own")


def test_a_run_begins_when_it_is_described_for_the_first_time() -> None:
    own = node()
    assert own.started_at > NOW * 1000
    own.describe(DESCRIPTION, NOW)
    own.describe(replace(DESCRIPTION, hostname="renamed"), NOW + 5)
    assert own.started_at == NOW and own.described.hostname == "renamed"


def test_all_that_others_should_hear_makes_the_nodes_words_newer() -> None:
    own = node()
    assert own.revision == 0
    own.describe(DESCRIPTION, NOW)
    assert own.revision == REVISION
    own.set_interfaces((interface("192.168.1.1/24"),), NOW)
    assert own.revision == REVISION + 1
    own.set_exchange_port(60000, NOW)
    assert own.revision == REVISION + 2
    assert own.interfaces == (interface("192.168.1.1/24"),) and own.exchange_port == 60000


def test_a_clock_that_was_set_back_does_not_make_the_nodes_words_older() -> None:
    own = node()
    own.revise(NOW)
    own.revise(NOW - 1000)
    assert own.revision == REVISION + 1
    own.revise(NOW - 1000, beyond=REVISION + 500)
    assert own.revision == REVISION + 501
    own.revise(NOW + 1000, beyond=REVISION)
    assert own.revision == REVISION + 1_000_000


def test_nobody_drives_our_revision_to_its_end_where_nothing_that_we_say_is_new() -> None:
    own = node()
    for beyond in (REVISION_LIMIT // 2, REVISION_LIMIT - 2, REVISION_LIMIT - 1):
        own.revise(NOW, beyond=beyond)
    assert own.revision == REVISION + 2
    own.revise(NOW, beyond=REVISION_LIMIT // 2 - 1)
    own.revise(NOW)
    assert own.revision == REVISION_LIMIT // 2 + 1, "a clock that was wrong by centuries is gone beyond"


def test_a_port_is_told_only_where_it_is_not_the_meshs_own() -> None:
    own = node()
    assert own.exchange_port == 52527 and own.unusual_exchange_port is None
    own.set_exchange_port(60000, NOW)
    assert own.unusual_exchange_port == 60000


def test_strangers_are_told_the_port_that_the_outside_sees() -> None:
    own = node()
    own.set_exchange_port(60000, NOW)
    assert own.outside_port == 60000
    own.set_mappings((Endpoint.parse("203.0.113.1:7000"),), NOW)
    assert own.outside_port == 7000


def test_only_a_mapping_that_differs_is_news_and_its_host_is_ours_for_an_hour() -> None:
    own = node()
    assert not own.set_mappings((), NOW)
    assert own.set_mappings((Endpoint.parse("203.0.113.1:7000"),), NOW)
    assert not own.set_mappings((Endpoint.parse("203.0.113.1:7000"),), NOW + 10)
    assert own.set_mappings((), NOW + 20) and own.mappings == ()
    assert own.hosts(NOW + OUTSIDE_FRESH_S - 1) == {IPv4Address("203.0.113.1")}
    assert own.hosts(NOW + OUTSIDE_FRESH_S) == frozenset()


def test_where_stun_servers_disagree_both_are_told_to_who_may_try_several_and_none_is_believed() -> None:
    """One lying server of two displaced what the honest one said."""
    honest, lie = Endpoint.parse("203.0.113.1:7000"), Endpoint.parse("198.51.100.66:53")
    own = node()
    own.describe(replace(DESCRIPTION, external_endpoints=(lie, honest)), NOW)
    own.set_exchange_port(60000, NOW)

    own.set_mappings((lie, honest), NOW)

    assert own.outside_port == 60000
    assert own.hosts(NOW) == frozenset()
    assert own_record(own, (), NOW).exchanges[:2] == (lie, honest)
    assert own.candidates() == (lie, honest)


def test_a_server_that_names_an_address_of_the_mesh_has_said_nothing() -> None:
    own = node()
    assert not own.set_mappings((Endpoint.parse("10.1.0.9:7000"),), NOW)
    assert own.mappings == () and own.hosts(NOW) == frozenset()


def test_ports_that_differ_for_every_destination_leave_the_address_ours() -> None:
    own = node()
    own.set_mappings((Endpoint.parse("203.0.113.1:7000"), Endpoint.parse("203.0.113.1:7001")), NOW)
    assert own.hosts(NOW) == {IPv4Address("203.0.113.1")}


def test_one_lying_member_does_not_make_the_address_of_another_ours() -> None:
    """What the DHT names at one of our addresses counts as ourselves and is not dialled."""
    honest, lie = Endpoint.parse("203.0.113.2:1"), Endpoint.parse("198.51.100.66:1")
    assert node(Witness(honest, NOW), Witness(lie, NOW)).hosts(NOW) == frozenset()
    assert node(Witness(honest, NOW), Witness(lie, NOW), Witness(honest, NOW)).hosts(NOW) == {honest.host}


def test_of_many_peers_that_see_us_at_one_address_some_are_named() -> None:
    endpoint = Endpoint.parse("203.0.113.2:1")
    own = node(*[Witness(endpoint, NOW)] * 500, Witness(Endpoint.parse("203.0.113.3:1"), NOW))
    assert own.observed_endpoints(NOW) == (*[endpoint] * WITNESSES_MAX, Endpoint.parse("203.0.113.3:1"))


def test_the_outside_address_that_was_seen_longest_ago_is_forgotten_first() -> None:
    own = node()
    hosts: list[IPAddress] = [IPv4Address(f"203.0.113.{number}") for number in range(OUTSIDE_HOSTS_MAX + 1)]
    for host in (*hosts[:-1], hosts[0]):
        own.note_outside_host(host, NOW)
    assert own.hosts(NOW) == set(hosts[:-1])
    own.note_outside_host(hosts[-1], NOW)
    assert own.hosts(NOW) == {hosts[0], *hosts[2:]}


def test_a_node_announces_itself_on_its_lans_unless_it_may_not() -> None:
    interfaces = (interface("192.168.1.1/24"), interface("10.0.0.1/8", name="ppp0", announces=False))
    for lan in (True, False):
        own = node(lan=lan)
        own.set_interfaces(interfaces, NOW)
        assert own.lan_interfaces == (interfaces[:1] if lan else ())


def test_link_local_addresses_and_unwanted_ipv6_are_offered_to_nobody() -> None:
    interfaces = (interface("192.168.1.1/24", "fe80::1/64", "2001:db8::1/64"),)
    for ipv6, expected in ((True, ["192.168.1.1", "2001:db8::1"]), (False, ["192.168.1.1"])):
        own = node(ipv6=ipv6)
        own.set_interfaces(interfaces, NOW)
        assert [str(host) for host in own.local_hosts()] == expected


def test_every_address_of_the_host_is_its_own_wherever_it_is_known_from() -> None:
    own = node(Witness(Endpoint.parse("203.0.113.2:1"), NOW - 1e6))
    own.set_interfaces((interface("192.168.1.1/24"),), NOW)
    own.note_outside_host(IPv4Address("203.0.113.3"), NOW)
    known = {"192.168.1.1", "203.0.113.2", "203.0.113.3"}
    assert {str(host) for host in own.hosts(NOW)} == known
    own.describe(replace(DESCRIPTION, external_endpoints=(Endpoint.parse("203.0.113.4:51820"),)), NOW)
    assert {str(host) for host in own.hosts(NOW)} == known | {"203.0.113.4"}


def test_what_most_peers_see_at_present_comes_first() -> None:
    rare, common, old = (Endpoint.parse(f"203.0.113.{number}:7") for number in (1, 2, 3))
    seen_at = NOW - HEARD_FRESH_S
    own = node(
        Witness(rare, seen_at + 1),
        *[Witness(common, seen_at + 1)] * 2,
        *[Witness(old, seen_at)] * 3,
    )
    assert own.observed_endpoints(NOW) == (common, common, rare)
    assert own.seen_endpoints() == [rare, common, common, old, old, old]


def test_outside_addresses_are_offered_before_those_of_the_host_and_each_once() -> None:
    own = node()
    outside = tuple(map(Endpoint.parse, ("203.0.113.4:7000", "10.1.0.9:51820", "192.168.1.1:51820")))
    own.describe(replace(DESCRIPTION, external_endpoints=outside), NOW)
    own.set_interfaces((interface("192.168.1.1/24", "192.168.2.1/24"),), NOW)
    assert [str(each) for each in own.candidates()] == ["203.0.113.4:7000", "192.168.1.1:51820", "192.168.2.1:51820"]


def test_strangers_use_the_port_that_the_router_forwards_and_the_record_names_it_first() -> None:
    own = node()
    own.describe(DESCRIPTION, NOW)
    seen = Endpoint.parse("203.0.113.4:40000")
    own.set_mappings((seen,), NOW)
    assert own.outside_port == 40000
    mapped = Endpoint.parse("203.0.113.4:52000")
    own.describe(replace(DESCRIPTION, mapped_exchange=mapped), NOW)
    assert own.outside_port == 52000
    assert own_record(own, (), NOW).exchanges[:2] == (mapped, seen)


def test_no_more_addresses_are_offered_than_an_announcement_may_hold() -> None:
    own = node()
    own.describe(DESCRIPTION, NOW)
    own.set_interfaces((interface(*(f"192.168.{number}.1/24" for number in range(MAX_CANDIDATES + 1))),), NOW)
    assert len(own.candidates()) == MAX_CANDIDATES


def test_a_neighbour_is_told_our_address_on_its_own_subnet() -> None:
    own = node()
    own.set_interfaces((interface("192.168.1.1/24", "2001:db8::1/64"), interface("192.168.2.1/24", name="eth1")), NOW)
    for neighbour, ours in (
        ("192.168.1.9:1", "192.168.1.1"),
        ("192.168.2.9:1", "192.168.2.1"),
        ("[2001:db8::9]:1", "2001:db8::1"),
        ("192.168.3.9:1", "None"),
        ("[2001:db8:1::9]:1", "None"),
    ):
        assert str(own.host_beside(Endpoint.parse(neighbour))) == ours
