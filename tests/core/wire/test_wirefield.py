from __future__ import annotations

import ipaddress
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.announcements import networks
from wgmesh.core.errors import MalformedMessage
from wgmesh.core.model import IPNetwork
from wgmesh.core.wire import wirefield

PARSERS: list[Callable[[str, str], object]] = [
    wirefield.parse_public_key,
    wirefield.parse_hostname,
    wirefield.parse_address,
    wirefield.parse_mesh_ipv4,
    wirefield.parse_mesh_ipv6,
    wirefield.parse_network,
    wirefield.parse_endpoint,
]


@pytest.mark.parametrize("parse", PARSERS)
@given(text=st.text() | st.text("0123456789abcdef:./%[]"))
def test_any_text_is_a_value_or_malformed_by_name(parse: Callable[[str, str], object], text: str) -> None:
    try:
        parse("field", text)
    except MalformedMessage as error:
        assert str(error).startswith("field: ")


@given(networks)
def test_a_network_round_trips(network: IPNetwork) -> None:
    assert wirefield.parse_network("n", str(network)) == network


def test_mapped_addresses_and_networks_become_ipv4() -> None:
    assert wirefield.parse_address("a", "::ffff:10.1.2.3") == ipaddress.ip_address("10.1.2.3")
    assert wirefield.parse_network("n", "::ffff:10.0.0.0/104") == ipaddress.ip_network("10.0.0.0/8")


def test_a_key_whose_spare_bits_are_set_is_the_same_key() -> None:
    canonical = "/" * 42 + "8="
    assert wirefield.parse_public_key("k", "/" * 42 + "9=").text == canonical


@given(st.text())
def test_a_wire_hostname_is_always_acceptable(text: str) -> None:
    assert wirefield.parse_hostname("h", wirefield.wire_hostname(text)) == wirefield.wire_hostname(text)


@pytest.mark.parametrize("value", [-1, wirefield.REVISION_LIMIT, 2**63 - 1])
def test_a_revision_that_could_not_be_told_on_is_malformed(value: int) -> None:
    """One member with such a revision made every comparison of views fail at all who knew it."""
    assert wirefield.parse_revision("rev", wirefield.REVISION_LIMIT - 1) == wirefield.REVISION_LIMIT - 1
    with pytest.raises(MalformedMessage, match="rev: not a revision"):
        wirefield.parse_revision("rev", value)
