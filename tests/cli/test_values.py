from __future__ import annotations

import ipaddress
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wgmesh.cli import values
from wgmesh.core.settings import PRIVATE_NETWORKS

NETWORKS = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.integers(min_value=0, max_value=32)),
    st.tuples(st.ip_addresses(v=6), st.integers(min_value=0, max_value=128)),
).map(lambda parts: f"{parts[0]}/{parts[1]}")


def test_routes_are_normalised_and_repeats_dropped() -> None:
    routes = values.parse_routes("192.168.1.77/24, 2001:db8:1::5/48,192.168.1.0/24,")

    assert [str(route) for route in routes] == ["192.168.1.0/24", "2001:db8:1::/48"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("0.0.0.0/0", "default route"),
        ("::/0", "default route"),
        ("10.0.0.0/33", "not a network"),
        ("10.0.0.0/255.0.0.0", "not a network"),
        ("10.0.0.1", "not a network"),
        ("garbage", "not a network"),
        ("::ffff:10.0.0.0/104", "not a network"),
        ("127.0.0.0/8", "loopback"),
        ("128.0.0.0/1", "multicast"),
        ("169.254.3.0/24", "link-local"),
        ("224.1.0.0/16", "multicast"),
        ("fe80::/64", "link-local"),
        ("2001:db8::%eth0/64", "not a network"),
        ("::1/128", "loopback"),
    ],
)
def test_networks_that_no_node_may_offer_are_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        values.parse_routes(f"192.168.1.0/24,{text}")


@given(st.lists(NETWORKS, max_size=5))
def test_what_routes_accept_is_normal_and_stays_so(texts: list[str]) -> None:
    try:
        routes = values.parse_routes(",".join(texts))
    except ValueError:
        return
    assert values.parse_routes(",".join(map(str, routes))) == routes
    assert all(route.prefixlen > 0 and not route.network_address.is_loopback for route in routes)


def test_words_stand_for_lists_of_accepted_routes() -> None:
    assert values.parse_accepted_routes("none") == ()
    assert {network.prefixlen for network in values.parse_accepted_routes("all")} == {0}
    assert values.parse_accepted_routes("private, 198.51.100.9/24,10.0.0.0/8") == (
        *PRIVATE_NETWORKS,
        ipaddress.ip_network("198.51.100.0/24"),
    )


def test_a_mesh_subnet_loses_its_host_bits() -> None:
    assert values.parse_mesh_subnet("10.55.1.2/16") == ipaddress.ip_network("10.55.0.0/16")
    assert values.parse_mesh_subnet("100.64.0.0/10") == ipaddress.ip_network("100.64.0.0/10")
    assert values.parse_mesh_subnet("192.168.3.0/30") == ipaddress.ip_network("192.168.3.0/30")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("fd00::/64", "IPv6"),
        ("::ffff:10.0.0.0/104", "IPv6"),
        ("10.0.0.0/31", "too small"),
        ("10.0.0.0", "not an IPv4 network"),
        ("0.0.0.0/0", "reserved"),
        ("224.0.0.0/8", "reserved"),
        ("10.0.0/8", "not an IPv4 network"),
        ("", "not an IPv4 network"),
    ],
)
def test_mesh_subnets_that_cannot_work_are_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        values.parse_mesh_subnet(text)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("192.0.2.1", "192.0.2.1:7"),
        ("192.0.2.1:9", "192.0.2.1:9"),
        ("node.example.org:9", "node.example.org:9"),
        ("my_host", "my_host:7"),
        ("[2001:db8::1]:9", "[2001:db8::1]:9"),
        ("[2001:db8::1]", "[2001:db8::1]:7"),
        ("2001:db8::1", "[2001:db8::1]:7"),
    ],
)
def test_addresses_get_their_default_port(text: str, normal: str) -> None:
    assert values.parse_host_port(text, 7) == normal


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            ":9",
            "host:",
            "host:0",
            "host:65536",
            "host:22xyz",
            "host:٣",
            "host:9:9",
            "256.1.1.1",
            "1.2.3:9",
            "a b:9",
        ),
        *("256.1.1.1", "[::1", "[::1]9", "[::1]:", "[host]:9", "::gg", "-x:9", "a..b:9", "x" * 64),
    ],
)
def test_addresses_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        values.parse_host_port(text, 7)


@given(st.text(max_size=40))
def test_an_accepted_address_is_accepted_again(text: str) -> None:
    try:
        normal = values.parse_host_port(text, 7)
    except ValueError:
        return
    assert values.parse_host_port(normal, 8) == normal


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        (":9090", "127.0.0.1:9090"),
        ("9090", "127.0.0.1:9090"),
        ("0.0.0.0:9090", "0.0.0.0:9090"),
        ("[::]:9090", "[::]:9090"),
    ],
)
def test_a_port_alone_listens_on_loopback(text: str, normal: str) -> None:
    assert values.parse_listen_address(text) == normal


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("collector:4317", "http://collector:4317"),
        ("https://collector.example.org:4317/", "https://collector.example.org:4317"),
        ("[2001:db8::1]:4317", "http://[2001:db8::1]:4317"),
    ],
)
def test_an_otlp_endpoint_is_a_url(text: str, normal: str) -> None:
    assert values.parse_otlp_endpoint(text) == normal


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (values.parse_port, "0"),
        (values.parse_port, "65536"),
        (values.parse_port, "-1"),
        (values.parse_port, "22xyz"),
        (values.parse_port, "99999999999999999999"),
        (values.parse_port, "٣"),
        (values.parse_mtu, "1279"),
        (values.parse_mtu, "65456"),
        (values.parse_switch, "maybe"),
        (values.parse_hostname, ""),
        (values.parse_hostname, "-"),
        (values.parse_hostname, "\n"),
        (values.parse_log_level, "loud"),
        (values.parse_log_format, "xml"),
        (values.parse_path, ""),
        (values.parse_path, "a\0b"),
        (values.parse_listen_address, "localhost"),
        (values.parse_otlp_endpoint, "ftp://x:1"),
        (values.parse_otlp_endpoint, "collector"),
    ],
)
def test_single_values_out_of_range_are_refused(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)


def test_log_levels_have_one_name_each() -> None:
    assert values.parse_log_level("WARN") == values.parse_log_level("warning") == "warning"
