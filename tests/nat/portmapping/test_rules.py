from __future__ import annotations

import ipaddress
import sys
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from support.doubles.router import GATEWAY, OUTSIDE, WANTED, WIREGUARD, Home, Router
from wgmesh.core.model import Endpoint, Mapping, NatReport, Sighting
from wgmesh.nat.portmapping.epoch import EpochMemory
from wgmesh.nat.portmapping.external import agrees, problem_with
from wgmesh.nat.portmapping.report import ASKING, port_mapping
from wgmesh.nat.portmapping.site import default_gateway, is_behind_nat, is_private

MESH = (ipaddress.ip_network("44.99.0.0/16"),)
SEEN = NatReport(
    enabled=True,
    mapping=Mapping.ADDRESS_DEPENDENT,
    answered_at=1.0,
    sightings=(Sighting(Endpoint(OUTSIDE, 7)), Sighting(Endpoint(OUTSIDE, 8)), Sighting(Endpoint.of("44.1.1.1", 9))),
)


@pytest.mark.parametrize(
    "host",
    [
        "192.168.1.1",
        "10.0.0.1",
        "100.64.0.7",
        "127.0.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "239.1.1.1",
        "255.255.255.255",
        "44.99.1.1",
    ],
)
def test_an_external_address_where_nobody_reaches_us_is_refused(host: str) -> None:
    assert host in problem_with(IPv4Address(host), MESH)


def test_a_public_address_is_taken() -> None:
    assert problem_with(OUTSIDE, MESH) == ""


def test_stun_agrees_only_about_an_address_that_others_are_told_anyway() -> None:
    assert agrees(Endpoint(OUTSIDE, 51820), SEEN)
    assert not agrees(Endpoint.of("44.1.1.1", 51820), SEEN)  # the third sighting is told to nobody
    assert not agrees(Endpoint(OUTSIDE, 51820), NatReport(enabled=True))
    believed = replace(SEEN, external_endpoint=Endpoint.of("44.2.2.2", 7))
    assert agrees(Endpoint.of("44.2.2.2", 51820), believed)
    assert not agrees(Endpoint(OUTSIDE, 51820), believed)


def test_a_mapping_that_stun_does_not_agree_with_is_said_to_be_unconfirmed() -> None:
    place = Home(Router({"pcp"}))
    assert port_mapping(place.mapper, WANTED, SEEN).detail == ASKING
    place.want(WANTED)

    confirmed = port_mapping(place.mapper, WANTED, SEEN)
    doubted = port_mapping(place.mapper, WANTED, replace(SEEN, external_endpoint=Endpoint.of("44.2.2.2", 7)))

    assert (confirmed.is_confirmed, confirmed.detail, confirmed.protocol) == (True, "", "PCP")
    assert confirmed.external_endpoint == Endpoint(OUTSIDE, WIREGUARD)
    assert confirmed.renew_at == place.mapper.renew_at is not None
    assert (doubted.is_confirmed, doubted.detail) == (False, f"STUN does not see this host at {OUTSIDE}")


def test_a_node_is_behind_a_nat_only_where_stun_says_so() -> None:
    assert is_behind_nat(SEEN, False)
    assert not is_behind_nat(replace(SEEN, mapping=Mapping.NONE), True)
    assert not is_behind_nat(replace(SEEN, sightings=(Sighting(Endpoint.of("2001:db8::1", 7)),)), True)


@pytest.mark.parametrize("before", [True, False])
def test_while_stun_says_nothing_it_is_as_before(before: bool) -> None:
    assert is_behind_nat(replace(SEEN, answered_at=None, sightings=()), before) is before


HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"


def row(gateway: str, flags: int = 3, metric: int = 0, destination: str = "0.0.0.0", mask: str = "0.0.0.0") -> str:
    def word(address: str) -> str:
        return f"{int.from_bytes(IPv4Address(address).packed, sys.byteorder):08X}"

    return f"eth0\t{word(destination)}\t{word(gateway)}\t{flags:04X}\t0\t0\t{metric}\t{word(mask)}\t0\t0\t0\n"


def test_the_gateway_is_that_of_the_best_default_route() -> None:
    table = HEAD + row("192.168.9.1", metric=600) + row("192.168.7.1", metric=100)
    table += row("10.0.0.1", destination="10.0.0.0", mask="255.0.0.0") + row("0.0.0.0", flags=1)

    assert default_gateway(table) == GATEWAY


@pytest.mark.parametrize(
    "table", ["", HEAD, HEAD + row("0.0.0.0", flags=1), HEAD + row("10.0.0.1", mask="128.0.0.0"), HEAD + "eth0\t0\n"]
)
def test_without_a_gateway_there_is_none(table: str) -> None:
    assert default_gateway(table) is None


def test_a_public_or_link_local_gateway_is_not_private() -> None:
    assert [
        is_private(ipaddress.ip_address(host)) for host in ("192.168.1.1", "100.64.0.1", "44.1.1.1", "169.254.0.1")
    ] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("first", "then", "after_s", "lost"),
    [
        (1000, 1100, 100, False),
        (1000, 0, 100, True),
        (1000, 999, 0, False),
        (1000, 998, 0, True),
        (1000, 1010, 100, True),  # it counts from a later start than it should
        (1000, 1091, 100, True),
        (1000, 1093, 100, False),
        (1000, 1200, 100, True),
        (1000, 1106, 100, False),
        (1000, 4600, 3600, False),
    ],
)
def test_a_router_whose_epoch_does_not_go_on_with_time_has_lost_its_mappings(
    first: int, then: int, after_s: float, lost: bool
) -> None:
    memory = EpochMemory()
    assert not memory.hear(first, 50.0)

    assert memory.hear(then, 50.0 + after_s) is lost


def test_after_a_change_of_the_router_the_epoch_is_a_new_one() -> None:
    memory = EpochMemory()
    memory.hear(1000, 50.0)
    memory.clear()

    assert not memory.hear(3, 60.0)
