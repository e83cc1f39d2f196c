from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.announcements import announcements, json_values, known_peers, public_keys
from support.vectors import load_vectors
from wgmesh.core.errors import MalformedMessage
from wgmesh.core.wire.announcement import (
    DATAGRAM_BUDGET_BYTES,
    Announcement,
    Extension,
    Goodbye,
    KnownPeer,
    decode_announcement,
    decode_goodbye,
    encode_announcement,
    encode_goodbye,
    fit_known_peers,
)
from wgmesh.core.wire.envelope import MessageType, open_envelope, seal
from wgmesh.core.wire.wirefield import REVISION_LIMIT

NOW = 1_763_800_000
KEY, NONCE = bytes(32), bytes(12)
MINIMAL: dict[str, Any] = {
    "protocol": "wgmesh-v1",
    "wg_pubkey": "LBPx9eYX555h/tl8Gdz3hJYtNV5TYNeSZ+FfULesll8=",
    "mesh_ip": "10.77.1.2",
    "wg_endpoint": "0.0.0.0:51820",
    "timestamp": NOW,
}
STRICTER_THAN_UPSTREAM = {
    'mesh_ip "fd00::1"': "mesh_ip: not an IPv4 host address",
    'mesh_ip "0.0.0.0"': "mesh_ip: not an IPv4 host address",
    'mesh_ip "::"': "mesh_ip: not an IPv4 host address",
    'wg_endpoint "a b:80"': "wg_endpoint: not a host and port",
}
LISTS = ("routable_networks", "known_peers", "101 routable_networks")


def test_sender_fields_are_validated_as_upstream_does_except_where_we_are_stricter() -> None:
    refused_here: dict[str, str] = {}
    for case in load_vectors("envelopes")["validate"]:
        if case["name"].startswith(LISTS):
            continue
        try:
            decode_announcement(json.loads(case["payload_json"]))
        except MalformedMessage as error:
            if case["error"] is None:
                refused_here[case["name"]] = str(error)
            continue
        assert case["error"] is None, case["name"]
    assert refused_here == STRICTER_THAN_UPSTREAM


def test_a_bad_route_or_known_peer_is_dropped_alone_where_upstream_refuses_the_whole_message() -> None:
    checked = 0
    for case in load_vectors("envelopes")["validate"]:
        if not case["name"].startswith(LISTS):
            continue
        payload = json.loads(case["payload_json"])
        decoded = decode_announcement(payload)
        assert len(decoded.dropped) == (case["error"] is not None), case["name"]
        kept = len(decoded.announcement.routable_networks) + len(decoded.announcement.known_peers)
        given_count = len(payload.get("routable_networks", [])) + len(payload.get("known_peers", []))
        assert kept == given_count - len(decoded.dropped), case["name"]
        checked += 1
    assert checked >= 18


def test_upstreams_sealed_announcements_decode_to_every_member() -> None:
    case = next(case for case in load_vectors("envelopes")["seal"] if case["name"] == "full reply")
    opened = open_envelope(bytes.fromhex(case["datagram_hex"]), bytes.fromhex(case["gossip_key_hex"]), NOW)
    announcement = decode_announcement(opened.payload).announcement
    payload = json.loads(case["payload_json"])
    assert encode_announcement(announcement, NOW) == payload


@given(announcements)
def test_an_announcement_round_trips_through_a_sealed_reply(announcement: Announcement) -> None:
    payload = encode_announcement(announcement, NOW)
    decoded = decode_announcement(open_envelope(seal("REPLY", payload, KEY, NONCE), KEY, NOW).payload)
    assert (decoded.announcement, decoded.dropped) == (announcement, ())


def test_a_hostname_of_any_characters_leaves_as_one_that_every_node_accepts() -> None:
    announcement = replace(_minimal(), hostname="ž\n" + "a" * 300)
    payload = encode_announcement(announcement, NOW)
    assert payload["hostname"] == "--" + "a" * 251


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("wg_pubkey", ""),
        ("wg_pubkey", 5),
        ("mesh_ip", "127.0.0.1"),
        ("mesh_ip", "224.0.0.1"),
        ("mesh_ipv6", "10.0.0.1"),
        ("mesh_ipv6", "::1"),
        ("wg_endpoint", "1.2.3.4"),
        ("wg_endpoint", "host:70000"),
        ("hostname", "a\x00"),
        ("introducer", "yes"),
        ("routable_networks", "10.0.0.0/8"),
        ("known_peers", {}),
        ("nat_type", 1),
    ],
)
def test_a_bad_sender_field_refuses_the_message_by_its_name(member: str, value: object) -> None:
    with pytest.raises(MalformedMessage, match=rf"^{member}: "):
        decode_announcement({**MINIMAL, member: value})


@pytest.mark.parametrize(
    "entry", [None, 7, "x", [], {}, {"wg_pubkey": "x"}, {**MINIMAL, "mesh_ip": "x"}, {**MINIMAL, "rev": REVISION_LIMIT}]
)
def test_a_bad_known_peer_leaves_the_good_ones(entry: object) -> None:
    decoded = decode_announcement({**MINIMAL, "known_peers": [MINIMAL, entry, MINIMAL]})
    assert len(decoded.announcement.known_peers) == 2
    assert len(decoded.dropped) == 1 and decoded.dropped[0].startswith("known_peers: ")


def test_no_more_known_peers_are_read_than_upstream_allows() -> None:
    decoded = decode_announcement({**MINIMAL, "known_peers": [MINIMAL] * 1001})
    assert len(decoded.announcement.known_peers) == 1000
    assert decoded.dropped == ("known_peers: more than 1000",)


def test_a_wrong_extension_is_dropped_and_the_rest_stands() -> None:
    run = {"v": 1, "boot": "00" * 8}
    wrong: list[object] = [{"v": 1}, {"v": 1, "boot": "zz", "seq": 1}, run | {"seq": -1}, [], 3]
    wrong += [run | {"seq": 1, "rev": revision} for revision in (-1, REVISION_LIMIT)]
    for extension in wrong:
        decoded = decode_announcement({**MINIMAL, "wgmesh": extension})
        assert decoded.announcement.extension is None
        assert decoded.dropped and decoded.dropped[0].startswith("wgmesh: ")


def test_an_extension_of_a_later_version_is_read_as_far_as_it_is_known() -> None:
    extension = {"v": 2, "boot": "00" * 8, "seq": 5, "later": {"a": 1}}
    decoded = decode_announcement({**MINIMAL, "wgmesh": extension})
    assert decoded.announcement.extension == Extension(bytes(8), 5, version=2)


def test_a_nat_type_of_a_later_version_is_unknown() -> None:
    assert decode_announcement({**MINIMAL, "nat_type": "carrier-grade"}).announcement.nat_type == "unknown"


@given(
    st.dictionaries(st.sampled_from([*MINIMAL, "hostname", "known_peers", "wgmesh", "observed_endpoint"]), json_values)
)
def test_any_payload_decodes_or_is_malformed(noise: dict[str, object]) -> None:
    with contextlib.suppress(MalformedMessage):
        decode_announcement({**MINIMAL, **noise})


@given(public_keys)
def test_a_goodbye_round_trips(key: Any) -> None:
    payload = encode_goodbye(Goodbye(key), NOW)
    assert decode_goodbye(open_envelope(seal("GOODBYE", payload, KEY, NONCE), KEY, NOW).payload) == Goodbye(key)


@settings(max_examples=60)
@given(announcements, st.lists(known_peers, max_size=30), st.sampled_from([MessageType.HELLO, MessageType.ANNOUNCE]))
def test_known_peers_fill_the_datagram_and_never_exceed_it(
    announcement: Announcement, peers: list[KnownPeer], message_type: MessageType
) -> None:
    fitted = fit_known_peers(message_type, announcement, peers)
    size = len(seal(message_type, encode_announcement(fitted, NOW), KEY, NONCE))
    assert size <= DATAGRAM_BUDGET_BYTES or not fitted.known_peers
    left_out = [peer for peer in peers if peer not in fitted.known_peers]
    for peer in left_out:
        fuller = replace(fitted, known_peers=(*fitted.known_peers, peer))
        assert len(seal(message_type, encode_announcement(fuller, NOW), KEY, NONCE)) > DATAGRAM_BUDGET_BYTES


def test_a_known_peer_is_taken_along_exactly_when_its_datagram_keeps_the_budget() -> None:
    peers = [KnownPeer(_minimal().public_key, _minimal().mesh_ipv4, hostname="node")] * 2
    for count in (1, 2):
        full = replace(_minimal(), known_peers=tuple(peers[:count]))
        needed = len(seal("HELLO", encode_announcement(full, NOW), KEY, NONCE))
        for budget in range(needed - 8, needed + 8):
            fitted = fit_known_peers("HELLO", _minimal(), peers[:count], budget)
            assert (fitted == full) is (budget >= needed)


def test_some_known_peers_fit_beside_an_ordinary_announcement() -> None:
    entries = [decode_announcement(MINIMAL).announcement] * 20
    peers = [KnownPeer(entry.public_key, entry.mesh_ipv4, hostname=f"node-{n}") for n, entry in enumerate(entries)]
    assert 3 <= len(fit_known_peers(MessageType.HELLO, _minimal(), peers).known_peers) < 20


def _minimal() -> Announcement:
    return decode_announcement(MINIMAL).announcement
