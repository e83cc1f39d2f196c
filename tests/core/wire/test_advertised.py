from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.announcements import advertised
from wgmesh.core.errors import MalformedMessage
from wgmesh.core.model import Endpoint
from wgmesh.core.wire.advertised import AdvertisedEndpoint, parse_advertised_endpoint


@pytest.mark.parametrize("text", ["0.0.0.0:51820", "[::]:51820", ":51820"])
def test_a_wildcard_host_names_no_address(text: str) -> None:
    endpoint = parse_advertised_endpoint("e", text)
    assert endpoint == AdvertisedEndpoint(None, 51820)
    assert endpoint.literal is None


def test_a_literal_host_stands_for_itself() -> None:
    endpoint = parse_advertised_endpoint("e", "[2001:db8::1]:80")
    assert endpoint is not None
    assert endpoint.literal == Endpoint.of("2001:db8::1", 80)


def test_a_host_name_is_kept_and_never_resolved() -> None:
    endpoint = parse_advertised_endpoint("e", "vpn.example:80")
    assert endpoint == AdvertisedEndpoint("vpn.example", 80)
    assert endpoint.literal is None


def test_the_empty_text_is_no_endpoint() -> None:
    assert parse_advertised_endpoint("e", "") is None


@pytest.mark.parametrize(
    "text",
    ["x", "1.2.3.4", "1.2.3.4:0", "1.2.3.4:65536", "1.2.3.4:8_0", "1.2.3.4:٣", "::1:80", "[x:80", "[x]:80", "a b:1"],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(MalformedMessage, match=r"^e: "):
        parse_advertised_endpoint("e", text)


@given(advertised)
def test_an_endpoint_round_trips(endpoint: AdvertisedEndpoint) -> None:
    assert parse_advertised_endpoint("e", str(endpoint)) == endpoint


@given(st.text())
def test_any_text_is_an_endpoint_or_malformed(text: str) -> None:
    with contextlib.suppress(MalformedMessage):
        parse_advertised_endpoint("e", text)
