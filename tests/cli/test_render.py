from __future__ import annotations

from typing import Any

import pytest
from support.doubles.fake_node import ALICE_TEXT, NOW, alice, bob, failing, status
from wgmesh.cli import render, units
from wgmesh.v1 import endpoint_pb2, peer_pb2
from wgmesh.v1 import nat_service_pb2 as nat_pb2
from wgmesh.v1 import node_service_pb2 as node_pb2

# Upstream's format: "%-20s %-19s %-15s %-25s %-10s %-10s %s"
UPSTREAM_HEADER = "{:<20} {:<19} {:<15} {:<25} {:<10} {:<10} {}".format(
    "HOSTNAME", "PUBLIC KEY", "MESH IP", "ENDPOINT", "LAST SEEN", "LATENCY", "DISCOVERED VIA"
)


def test_the_peer_columns_begin_with_upstreams() -> None:
    header, line, first, second = render.peers_table([alice(), bob()], NOW).plain().splitlines()

    assert header.startswith(UPSTREAM_HEADER)
    assert set(line) == {"-"}
    assert len(line) >= 130
    assert first.split() == [
        *("alice", f"{ALICE_TEXT[:16]}...", "10.55.1.2", "192.0.2.7:51820", "3s", "1.2ms", "lan,dht"),
        *("connected", "direct-lan", "10s", "12s", "1.5", "KiB", "92", "B"),
    ]
    assert second.startswith("a-host-name-of-mo... ")
    assert second.split()[3:] == [
        "-",
        "1h",
        "-",
        "gossip-transitive",
        "connecting",
        "none",
        "-",
        "-",
        "0",
        "B",
        "0",
        "B",
    ]


def test_wide_shows_whole_names_keys_and_more_columns() -> None:
    text = render.peers_table([alice(), bob()], NOW, wide=True).plain()

    assert ALICE_TEXT in text
    assert "a-host-name-of-more-than-twenty-signs" in text
    assert text.splitlines()[0].split()[-4:] == ["IPV6", "NAT", "INTRODUCER", "ROUTES"]
    assert text.splitlines()[2].split()[-4:] == ["fd00::2", "endpoint-independent", "yes", "192.168.77.0/24"]


def test_a_peer_without_a_name_is_called_by_its_key() -> None:
    peer = alice()
    peer.hostname = ""

    assert render.peers_table([peer], NOW).rows[0][0] == ALICE_TEXT[:16]


def test_a_peer_as_json_has_upstreams_members_first() -> None:
    value = render.peer_value(alice())

    assert value == {
        "pubkey": ALICE_TEXT,
        "hostname": "alice",
        "mesh_ip": "10.55.1.2",
        "endpoint": "192.0.2.7:51820",
        "last_seen": "2023-11-14T23:14:57Z",
        "discovered_via": ["lan", "dht"],
        "routable_networks": ["192.168.77.0/24"],
        "latency_ms": 1.25,
        "latency_measured": "2023-11-14T23:14:40Z",
        "mesh_ipv6": "fd00::2",
        "path": "direct-lan",
        "state": "connected",
        "reason": "",
        "handshake": "2023-11-14T23:14:48Z",
        "rx_bytes": 1536,
        "tx_bytes": 92,
        "nat_mapping": "endpoint-independent",
        "introducer": True,
        "native": True,
        "proven_at": "2023-11-14T23:14:50Z",
        "proven_by": "handshake",
    }
    assert list(value)[:8] == [
        *("pubkey", "hostname", "mesh_ip", "endpoint", "last_seen", "discovered_via", "routable_networks"),
        "latency_ms",
    ]


def test_what_is_not_known_is_null_and_never_zero() -> None:
    value = render.peer_value(bob())

    assert (value["latency_ms"], value["handshake"], value["endpoint"]) == (None, None, "")
    assert (value["proven_at"], value["proven_by"]) == (None, "")
    assert value["last_seen"] == "2023-11-14T22:15:00Z"


def test_one_peer_as_text() -> None:
    assert (
        render.peer_text(alice(), NOW)
        == f"""\
Public Key: {ALICE_TEXT}
Mesh IP: 10.55.1.2
Endpoint: 192.0.2.7:51820
Last Seen: 2023-11-14T23:14:57Z
Discovered Via: lan, dht
Routes: 192.168.77.0/24
Latency: 1.2 ms, measured 20s ago
Hostname: alice
Mesh IPv6: fd00::2
State: connected
Path: direct-lan
Handshake: 12s ago
Proven: 10s ago, by handshake
Transfer: 1.5 KiB received, 92 B sent
NAT: endpoint-independent (cone)
Introducer: yes"""
    )
    assert "State: connecting (no handshake yet)" in render.peer_text(bob(), NOW)


def test_a_name_cannot_steer_the_terminal() -> None:
    peer = alice()
    peer.hostname = "x\x1b[2J\ny"

    for text in (render.peers_table([peer], NOW, wide=True).plain(), render.peer_text(peer, NOW)):
        assert "\x1b" not in text
        assert "x\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}y" in text


def test_bans_have_whole_keys_and_a_reason_cannot_steer_the_terminal() -> None:
    bans = [peer_pb2.Ban(public_key=alice().public_key, reason="sold\x1b[2J"), peer_pb2.Ban(public_key=bytes(32))]

    header, _, first, second = render.bans_table(bans, NOW).plain().splitlines()

    assert header.split() == ["PUBLIC", "KEY", "BANNED", "REASON"]
    assert first.split() == [ALICE_TEXT, "-", "sold\N{REPLACEMENT CHARACTER}[2J"]
    assert second.split()[1:] == ["-", "-"]
    assert render.bans_value(bans, 3)["unread"] == 3


def test_peers_are_counted_by_proof() -> None:
    peers = [alice(), bob()]

    assert render.counts_value(peers) == {"active": 1, "total": 2, "dead": 1}
    assert render.counts_text(peers) == ("Peer Count\n==========\nActive peers: 1\nTotal peers:  2\nDead peers:   1")


def test_a_running_node_as_text() -> None:
    assert (
        render.status_text(status(), NOW)
        == """\
Mesh Status
===========
Health: ok
Interface: wg7 (kernel)
Hostname: home
Public Key: AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
Mesh IP: 10.55.1.1
Mesh IPv6: fd00::1
Mesh Subnet: 10.55.0.0/16
Mesh IPv6 Prefix: fd00::/64
Mesh Fingerprint: 4c9777c36bfab7f3
Listen Port: 51820
Exchange Port: 51980
MTU: 1420
Version: 0.1.0
Uptime: 1h
Privileges: separated
Peers: 1 connected of 2 known
NAT: endpoint-independent (cone), seen as 203.0.113.9:40000, 1m ago
Port mapping: off
Advertised Routes: 192.168.9.0/24

Discovery:
  lan: running, heard 1s ago
  dht: unavailable (not in this version)

Services not answering:
  nat

Refused routes:
  10.0.0.0/8 from AgMEBQYH: overlaps the mesh subnet

Warnings:
  the secret looks easy to guess [weak-secret]"""
    )


def test_a_running_node_as_json_holds_everything_the_text_does() -> None:
    value = render.status_value(status(), NOW)

    assert value["uptime_seconds"] == 3700
    assert value["peers"] == {"active": 1, "suspect": 0, "total": 2, "dead": 1}
    assert value["health"] == {
        "state": "ok",
        "since": "2023-11-14T22:13:20Z",
        "reason": "",
        "advice": "",
        "device_seen": "2023-11-14T23:15:00Z",
    }
    assert value["layers"] == [
        {"name": "lan", "state": "running", "detail": "", "heard": "2023-11-14T23:14:59Z"},
        {"name": "dht", "state": "unavailable", "detail": "not in this version", "heard": None},
    ]
    assert value["privileges_separated"] is True
    unknown = {"state": None, "since_seconds": None, "attempt": 0}
    assert value["services"] == [
        {"name": "discovery", "connected": True, **unknown},
        {"name": "nat", "connected": False, **unknown},
    ]
    assert value["warnings"] == [{"code": "weak-secret", "text": "the secret looks easy to guess"}]
    assert value["nat"] == {
        "enabled": True,
        "mapping": "endpoint-independent",
        "external_endpoint": "203.0.113.9:40000",
        "from_wireguard_port": True,
        "answered": "2023-11-14T23:14:00Z",
        "detail": "",
        "sightings": [],
        "port_mapping": {
            "enabled": False,
            "protocol": "",
            "external_endpoint": "",
            "exchange_endpoint": "",
            "confirmed": False,
            "renews": None,
            "detail": "",
        },
    }


def test_a_node_that_cannot_do_its_work_says_so_first_with_the_age_of_what_is_shown() -> None:
    told = status()
    told.health.CopyFrom(failing())

    first = render.status_text(told, NOW).splitlines()[2]

    assert first == (
        "Health: failing for 1m: The key is another. What is shown of the device was seen 2m ago. Remove the interface."
    )


def test_suspect_peers_are_counted_beside_those_that_answer() -> None:
    told = status()
    told.suspect_peer_count = 1

    assert "Peers: 1 connected, 1 suspect of 2 known" in render.status_text(told, NOW).splitlines()


@pytest.mark.parametrize(
    ("mapping", "external", "seen", "text"),
    [
        (
            "ENDPOINT_INDEPENDENT",
            "a",
            {"a": ("s", "t")},
            "endpoint-independent (cone), seen as 192.0.2.1:7 by 2 servers",
        ),
        ("UNSPECIFIED", "a", {"a": ("s",)}, "unknown, seen as 192.0.2.1:7 by one server"),
        (
            "UNSPECIFIED",
            None,
            {"a": ("s",), "b": ("t",)},
            "unknown, STUN servers disagree: 192.0.2.8:3478 says 192.0.2.1:7; 192.0.2.9:3478 says 192.0.2.2:8",
        ),
        (
            "ADDRESS_DEPENDENT",
            None,
            {"a": ("s",), "b": ("t",)},
            "address-dependent (symmetric), seen differently: "
            "192.0.2.8:3478 says 192.0.2.1:7; 192.0.2.9:3478 says 192.0.2.2:8",
        ),
        (
            "ENDPOINT_INDEPENDENT",
            "a",
            {"a": ("s", "t"), "b": ("t",)},
            "endpoint-independent (cone), seen as 192.0.2.1:7 by 2 servers, but 192.0.2.9:3478 says 192.0.2.2:8",
        ),
    ],
)
def test_who_says_where_the_outside_sees_a_node_is_shown(
    mapping: str, external: str | None, seen: dict[str, tuple[str, ...]], text: str
) -> None:
    places = {
        "a": endpoint_pb2.Endpoint(host="192.0.2.1", port=7),
        "b": endpoint_pb2.Endpoint(host="192.0.2.2", port=8),
        "s": endpoint_pb2.Endpoint(host="192.0.2.8", port=3478),
        "t": endpoint_pb2.Endpoint(host="192.0.2.9", port=3478),
    }
    shown = status()
    shown.nat.CopyFrom(
        nat_pb2.NatReport(
            enabled=True,
            mapping=nat_pb2.Mapping.Value(f"MAPPING_{mapping}"),
            external_endpoint=places[external] if external else None,
            answer_time=shown.nat.answer_time,
            sightings=[
                nat_pb2.Sighting(endpoint=places[each], servers=[places[server] for server in servers])
                for each, servers in seen.items()
            ],
        )
    )

    assert f"NAT: {text}, 1m ago" in render.status_text(shown, NOW)


@pytest.mark.parametrize(
    ("mapping", "text"),
    [
        ({"enabled": False}, "off"),
        ({"enabled": True, "detail": "not asked: no NAT is known of"}, "none (not asked: no NAT is known of)"),
        (
            {"enabled": True, "protocol": "PCP", "confirmed": True, "renew": 3500},
            "PCP 198.51.100.7:51820, renewed in 58m",
        ),
        ({"enabled": True, "protocol": "PCP", "confirmed": True}, "PCP 198.51.100.7:51820, being renewed"),
        (
            {"enabled": True, "protocol": "NAT-PMP", "detail": "STUN does not see this host there", "renew": 60},
            "NAT-PMP 198.51.100.7:51820, unconfirmed: STUN does not see this host there, renewed in 1m",
        ),
    ],
)
def test_what_the_router_forwards_is_shown_or_why_it_does_not(mapping: dict[str, Any], text: str) -> None:
    shown = status()
    told = shown.nat.port_mapping
    told.enabled, told.protocol = mapping["enabled"], mapping.get("protocol", "")
    told.confirmed, told.detail = mapping.get("confirmed", False), mapping.get("detail", "")
    if told.protocol:
        told.external_endpoint.CopyFrom(endpoint_pb2.Endpoint(host="198.51.100.7", port=51820))
    if "renew" in mapping:
        told.renew_time.FromSeconds(int(NOW) + mapping["renew"])

    assert f"Port mapping: {text}" in render.status_text(shown, NOW).splitlines()


def test_a_node_that_is_just_starting_can_be_shown() -> None:
    text = render.status_text(node_pb2.GetStatusResponse(interface="wg0"), NOW)

    assert "Interface: wg0 (no device yet)" in text
    assert "Public Key: -" in text
    assert "NAT: not looked at" in text
    assert "Port mapping: not looked at" in text


def test_a_word_from_a_newer_node_stays_a_number() -> None:
    peer = alice()
    peer.state = 77  # type: ignore[assignment]

    assert render.state_word(peer) == "77"


@pytest.mark.parametrize(
    ("span_s", "text"), [(-5, "0s"), (0.9, "0s"), (59, "59s"), (60, "1m"), (3599, "59m"), (7200, "2h"), (86400, "1d")]
)
def test_ages_have_one_unit(span_s: float, text: str) -> None:
    assert units.span(span_s) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 << 20, "5.0 MiB"), (3 << 40, "3.0 TiB")]
)
def test_bytes_have_binary_units(count: int, text: str) -> None:
    assert units.byte_count(count) == text
