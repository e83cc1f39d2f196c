"""What an operator is told of the host around the device."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

from wgmesh.core.model import Endpoint, NatReport, ObservedDevice, Overlap
from wgmesh.node.addresses import OwnAddresses
from wgmesh.node.host_warnings import SHOWN_MAX, host_warnings, nat_warnings

OWN = OwnAddresses(ipaddress.IPv4Address("10.77.0.1"), ipaddress.IPv6Address("fd5a::1"))
DEVICE = ObservedDevice("wg0", "kernel", 51820)


def told(*overlaps: Overlap, problem: str = "") -> list[tuple[str, str]]:
    device = replace(DEVICE, overlaps=overlaps, guard_problem=problem)
    return [(warning.code, warning.text) for warning in host_warnings(device, OWN)]


def overlap(network: str, *, is_warning: bool = False) -> Overlap:
    return Overlap(ipaddress.ip_network(network), "is connected to eth1", is_warning)


def test_nothing_is_said_of_a_host_that_is_not_in_the_way() -> None:
    assert told() == [] == host_warnings(None, OWN)


def test_a_part_that_is_left_to_the_host_is_named_with_the_way_out() -> None:
    ((code, text),) = told(overlap("10.77.5.0/24"))
    assert code == "network-overlap"
    assert "10.77.5.0/24 is connected to eth1" in text and "members with addresses in it are not reached" in text
    assert "--mesh-subnet" in text


def test_a_network_that_holds_the_own_address_says_what_the_node_has_lost() -> None:
    ((_, text),) = told(overlap("10.77.0.0/16"))
    assert "10.77.0.1 of this node lies in it, so it has no IPv4 in the mesh" in text
    ((_, text),) = told(overlap("fd5a::/64"))
    assert "no IPv6 in the mesh" in text and "--mesh-subnet" not in text


def test_what_the_mesh_hides_is_told_without_a_claim_that_it_stepped_aside() -> None:
    ((_, text),) = told(overlap("10.77.0.53/32", is_warning=True))
    assert "the mesh hides a part of it" in text and "--mesh-subnet" in text


def test_many_overlaps_are_counted() -> None:
    found = told(*(overlap(f"10.77.{number}.0/24") for number in range(10, 30)))
    assert len(found) == SHOWN_MAX + 1
    assert found[-1][1].startswith(f"{20 - SHOWN_MAX} more networks")


def test_addresses_that_are_not_guarded_are_told() -> None:
    assert told(problem="This kernel has no nf_tables.") == [
        ("mesh-addresses-not-guarded", "This kernel has no nf_tables.")
    ]


def test_a_node_without_raw_sockets_says_so_once_and_what_to_do() -> None:
    seen = Endpoint.parse("44.64.1.2:51820")

    (warning,) = nat_warnings(NatReport(enabled=True, external_endpoint=seen))

    assert warning.code == "no-raw-sockets"
    assert "CAP_NET_RAW" in warning.text
    assert nat_warnings(NatReport(enabled=True, external_endpoint=seen, from_wireguard_port=True)) == []
    assert nat_warnings(NatReport(enabled=True)) == []
