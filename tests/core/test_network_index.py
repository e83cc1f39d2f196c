"""Which of many networks overlaps another."""

from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.model import IPNetwork
from wgmesh.core.network_index import NetworkIndex, host_network

# Few bits of both families, with the same numbers in both, so that networks meet.
_NETWORKS: st.SearchStrategy[IPNetwork] = st.builds(
    lambda number, length: ipaddress.ip_network((number << 28, length), strict=False),
    st.integers(0, 15),
    st.integers(0, 5),
) | st.builds(
    lambda number, length: ipaddress.ip_network((number << 124, length), strict=False),
    st.integers(0, 15),
    st.integers(0, 5),
)


def overlap(one: IPNetwork, other: IPNetwork) -> bool:
    return one.network_address in other or other.network_address in one


@given(st.lists(_NETWORKS, max_size=8), _NETWORKS)
def test_an_overlap_is_found_exactly_where_there_is_one(entries: list[IPNetwork], asked: IPNetwork) -> None:
    found = NetworkIndex((entry, str(entry)) for entry in entries).overlapped(asked)

    assert (found is not None) == any(overlap(entry, asked) for entry in entries)
    if found is not None:
        assert found[0] in entries and overlap(found[0], asked) and found[1] == str(found[0])


@given(st.lists(_NETWORKS, max_size=8), _NETWORKS)
def test_around_a_network_lie_those_that_hold_all_of_it(entries: list[IPNetwork], asked: IPNetwork) -> None:
    found = NetworkIndex((entry, None) for entry in entries).around(asked)
    holding = [each for each in entries if asked.network_address in each and each.prefixlen <= asked.prefixlen]

    assert (found[0] if found else None) == min(holding, key=lambda each: each.prefixlen, default=None)


def test_of_two_equal_networks_the_first_one_counts() -> None:
    network = ipaddress.ip_network("10.0.0.0/8")

    assert NetworkIndex([(network, 1), (network, 2)]).overlapped(network) == (network, 1)


def test_one_address_is_a_network_of_its_own() -> None:
    for text in ("10.0.0.7", "fd00::7"):
        network = host_network(ipaddress.ip_address(text))
        assert (network.num_addresses, str(network.network_address)) == (1, text)
