from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.vectors import load_vectors
from wgmesh.core.errors import MalformedMessage, StaleMessage
from wgmesh.core.keys.keyschedule import derive
from wgmesh.core.keys.secret import Secret
from wgmesh.core.wire.envelope import (
    FRAME_BRACKETS_MAX,
    FRAME_COMMAS_MAX,
    MAX_TYPE_CHARACTERS,
    MessageType,
    Opened,
    encrypt,
    open_envelope,
    plaintext_of,
    plaintext_room,
    seal,
)

KEY = bytes(range(32))
NONCE = bytes(12)
NOW = 1_763_800_000
PEER = "LBPx9eYX555h/tl8Gdz3hJYtNV5TYNeSZ+FfULesll8="
BASE: dict[str, object] = {"protocol": "wgmesh-v1", "timestamp": NOW}
HELLO: dict[str, object] = {**BASE, "wg_pubkey": PEER, "mesh_ip": "10.8.1.2", "wg_endpoint": "192.0.2.1:51820"}
PAYLOADS: dict[str, dict[str, object]] = {
    "HELLO": HELLO,
    "REPLY": {**HELLO, "observed_endpoint": "192.0.2.9:5000"},
    "GOODBYE": {**BASE, "wg_pubkey": PEER},
    "RENDEZVOUS_OFFER": {**BASE, "from_pubkey": PEER, "target_pubkey": PEER, "pair_id": ""},
    "RENDEZVOUS_START": {**BASE, "peer_pubkey": PEER, "pair_id": "0", "start_at_unix_ms": 1},
}


def _from_go(message_type: str, payload: dict[str, object]) -> bytes:
    """A datagram as upstream sends it: without the sealed type."""
    return encrypt(message_type, json.dumps(payload).encode(), KEY, NONCE)


def _relabelled(datagram: bytes, message_type: str) -> bytes:
    return json.dumps({**json.loads(datagram), "type": message_type}).encode()


def test_sealing_gives_upstreams_datagrams_byte_for_byte() -> None:
    for case in load_vectors("envelopes")["seal"]:
        key, nonce = bytes.fromhex(case["gossip_key_hex"]), bytes.fromhex(case["nonce_hex"])
        datagram = encrypt(case["type"], case["payload_json"].encode(), key, nonce)
        assert datagram == bytes.fromhex(case["datagram_hex"]), case["name"]


def test_the_example_of_the_protocol_notes_opens() -> None:
    ciphertext = (
        "+ZgpQ30sw74FjcPCAHHT6ZPwWrDANUUg2zxUnMGO3fatqc3TDNlbKACPR0tW63CT9tUr2RUpXxRXUGwEa59a3CMfMeaogfhStMisEL+ljh/"
        "+HA6YCXbtcAarsApWx6zCnnfnjTa+Wa/l9k1hHRqdGiXlY8r3kKw8yXCFIPlPZKaqILxRSxFHYFMuDYhy6QVJ3qRe/pQMh7rde0m4zR4KZu"
        "awMIx0XvrLuaei3q47v8KwjGO5Fak="
    )
    datagram = json.dumps({"type": "HELLO", "nonce": "AAECAwQFBgcICQoL", "ciphertext": ciphertext}).encode()
    key = derive(Secret("wgmesh-envelope-compatibility-secret")).gossip_key
    assert open_envelope(datagram, key, 1_800_000_000).payload["mesh_ip"] == "10.214.97.176"


STRICTER_THAN_UPSTREAM = {
    "duplicate keys (last wins)": "a member appears twice",
    "null fields": "type: the members do not fit it",  # its wg_endpoint is null
}


def test_datagrams_open_and_fail_as_upstreams_do_except_where_we_are_stricter() -> None:
    refused_here: dict[str, str] = {}
    for case in load_vectors("envelopes")["open"]:
        key = bytes.fromhex(case.get("gossip_key_hex") or load_vectors("envelopes")["seal"][0]["gossip_key_hex"])
        try:
            opened = open_envelope(bytes.fromhex(case["datagram_hex"]), key, case["now_unix_ms"] / 1000)
        except MalformedMessage as error:
            if case["raw_error"] is None:
                refused_here[case["name"]] = str(error)
            continue
        assert case["raw_error"] is None, case["name"]
        assert opened.payload == json.loads(case["plaintext"])
    assert refused_here == STRICTER_THAN_UPSTREAM


@pytest.mark.parametrize("message_type", list(PAYLOADS))
def test_what_is_sealed_opens(message_type: str) -> None:
    datagram = seal(message_type, PAYLOADS[message_type], KEY, NONCE)
    opened = open_envelope(datagram, KEY, NOW)
    assert (opened.type, opened.nonce, opened.timestamp) == (message_type, NONCE, NOW)
    assert PAYLOADS[message_type].items() <= dict(opened.payload).items()


def test_a_goodbye_has_exactly_three_members() -> None:
    opened = open_envelope(seal("GOODBYE", PAYLOADS["GOODBYE"], KEY, NONCE), KEY, NOW)
    assert set(opened.payload) == {"protocol", "timestamp", "wg_pubkey"}


@pytest.mark.parametrize("real", list(PAYLOADS))
@pytest.mark.parametrize("claimed", [*MessageType])
def test_no_message_of_ours_opens_under_another_type(real: str, claimed: str) -> None:
    if real == claimed:
        return
    with pytest.raises(MalformedMessage, match=r"^type: "):
        open_envelope(_relabelled(seal(real, PAYLOADS[real], KEY, NONCE), claimed), KEY, NOW)


@pytest.mark.parametrize("real", list(PAYLOADS))
@pytest.mark.parametrize("claimed", [*MessageType])
def test_a_go_message_opens_under_another_type_only_where_the_member_sets_are_equal(real: str, claimed: str) -> None:
    interchangeable = {real, claimed} <= {"HELLO", "ANNOUNCE"}
    datagram = _relabelled(_from_go(real, PAYLOADS[real]), claimed)
    if real == claimed or interchangeable:
        assert open_envelope(datagram, KEY, NOW).type == claimed
    else:
        with pytest.raises(MalformedMessage, match=r"^type: "):
            open_envelope(datagram, KEY, NOW)


def test_a_go_hello_bounced_as_reply_is_refused() -> None:
    with pytest.raises(MalformedMessage, match="members do not fit"):
        open_envelope(_relabelled(_from_go("HELLO", HELLO), "REPLY"), KEY, NOW)


def test_our_own_reply_may_leave_out_the_observed_endpoint() -> None:
    assert open_envelope(seal("REPLY", HELLO, KEY, NONCE), KEY, NOW).type == "REPLY"


# What a message of each type has, and what it cannot have, so that none is taken for another (protocol notes, 7.8).
MEMBERS = {
    "HELLO": ({"wg_pubkey", "mesh_ip", "wg_endpoint"}, {"observed_endpoint"}),
    "ANNOUNCE": ({"wg_pubkey", "mesh_ip", "wg_endpoint"}, {"observed_endpoint"}),
    "REPLY": ({"wg_pubkey", "mesh_ip", "wg_endpoint", "observed_endpoint"}, set()),
    "GOODBYE": ({"wg_pubkey"}, {"mesh_ip", "wg_endpoint", "known_peers"}),
    "RENDEZVOUS_OFFER": ({"from_pubkey", "target_pubkey", "pair_id"}, {"wg_pubkey"}),
    "RENDEZVOUS_START": ({"peer_pubkey", "pair_id", "start_at_unix_ms"}, {"wg_pubkey"}),
    "PROBE": ({"msg_type", "token"}, set()),
    "PROBE_REPLY": ({"msg_type", "token", "wg_pubkey"}, set()),
    "GOSSIP": ({"msg_type", "wg_pubkey", "wgmesh"}, {"mesh_ip"}),
}


def _message(message_type: str, members: set[str]) -> bytes:
    return _from_go(message_type, {**BASE, **{name: message_type for name in members}})


@pytest.mark.parametrize("message_type", [*MessageType])
def test_a_message_has_all_members_of_its_type_and_none_that_tell_another_one(message_type: str) -> None:
    needed, forbidden = MEMBERS[message_type]

    assert open_envelope(_message(message_type, needed), KEY, NOW).type == message_type
    for unfit in [*(needed - {name} for name in needed), *(needed | {name} for name in forbidden)]:
        with pytest.raises(MalformedMessage, match="type: the members do not fit it"):
            open_envelope(_message(message_type, unfit), KEY, NOW)


def test_an_unknown_type_opens_for_the_caller_to_drop() -> None:
    assert open_envelope(seal("LATER", BASE, KEY, NONCE), KEY, NOW).type == "LATER"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"type": None}, None),
        ({"type": 7}, "type: not a string"),
        ({"type": "x" * 33}, "type: not a short word"),
        ({"type": "HEL\nLO"}, "type: not a short word"),
        ({"type": "HÉLLO"}, "type: not a short word"),
        ({"nonce": ""}, "nonce: not 12 bytes"),
        ({"nonce": "AAAAAAAAAAAAAAA"}, "nonce: not base64"),
        ({"nonce": "____" * 4}, "nonce: not base64"),
        ({"ciphertext": "AAAA"}, "not sealed with this mesh's key"),
        ({"ciphertext": "A A="}, "ciphertext: not base64"),
    ],
)
def test_a_damaged_envelope_is_refused_with_a_stable_reason(change: dict[str, Any], reason: str | None) -> None:
    envelope = {**json.loads(_from_go("LATER", BASE)), **change}
    data = json.dumps(envelope).encode()
    if reason is None:
        assert open_envelope(data, KEY, NOW).type == ""
        return
    with pytest.raises(MalformedMessage) as caught:
        open_envelope(data, KEY, NOW)
    assert str(caught.value) == reason


def test_a_type_may_have_as_many_characters_as_a_short_word() -> None:
    word = "x" * MAX_TYPE_CHARACTERS
    assert open_envelope(_from_go(word, BASE), KEY, NOW).type == word


def test_a_message_of_another_protocol_is_refused() -> None:
    with pytest.raises(MalformedMessage, match="protocol: not wgmesh-v1"):
        open_envelope(_from_go("HELLO", {**HELLO, "protocol": "wgmesh-v2"}), KEY, NOW)


def _with_members(members: str) -> bytes:
    """A datagram with members that this version does not know, as a later one may send."""
    return _from_go("HELLO", HELLO)[:-1] + f",{members}}}".encode()


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_a_frame_with_more_brackets_than_a_later_version_may_need_is_not_even_parsed(opening: str) -> None:
    def nested(depth: int) -> bytes:
        return _with_members('"later":' + opening * depth + "0" + ("]" if opening == "[" else "}") * depth)

    assert open_envelope(nested(FRAME_BRACKETS_MAX - 1), KEY, NOW).type == "HELLO"
    with pytest.raises(MalformedMessage, match="not an envelope"):
        open_envelope(nested(FRAME_BRACKETS_MAX), KEY, NOW)


def test_a_frame_with_more_members_than_a_later_version_may_need_is_not_even_parsed() -> None:
    def with_commas(count: int) -> bytes:
        return _with_members(",".join(f'"m{number}":0' for number in range(count - 2)))

    assert open_envelope(with_commas(FRAME_COMMAS_MAX), KEY, NOW).type == "HELLO"
    with pytest.raises(MalformedMessage, match="not an envelope"):
        open_envelope(with_commas(FRAME_COMMAS_MAX + 1), KEY, NOW)


def test_line_breaks_inside_base64_are_tolerated_as_in_go() -> None:
    envelope = json.loads(_from_go("HELLO", HELLO))
    envelope["ciphertext"] = "\r\n".join(
        base64.b64encode(base64.b64decode(envelope["ciphertext"])).decode().partition("A")
    )
    assert open_envelope(json.dumps(envelope).encode(), KEY, NOW).type == "HELLO"


def test_a_message_is_fresh_for_exactly_ten_minutes_either_way() -> None:
    datagram = _from_go("HELLO", HELLO)
    for now in (NOW - 600, NOW + 600):
        assert open_envelope(datagram, KEY, now).timestamp == NOW
    with pytest.raises(MalformedMessage, match="too old"):
        open_envelope(datagram, KEY, NOW + 600.001)
    with pytest.raises(MalformedMessage, match="in the future"):
        open_envelope(datagram, KEY, NOW - 600.001)


@pytest.mark.parametrize("ahead_s", [-700.0, 700.0])
def test_a_message_from_another_time_says_how_far_its_clock_is_ahead_of_ours(ahead_s: float) -> None:
    with pytest.raises(StaleMessage) as caught:
        open_envelope(_from_go("HELLO", HELLO), KEY, NOW - ahead_s)
    assert caught.value.offset_s == ahead_s


@pytest.mark.parametrize("timestamp", [NOW + 0.0, str(NOW), True, 2**64])
def test_a_timestamp_that_is_no_integer_is_refused(timestamp: object) -> None:
    with pytest.raises(MalformedMessage, match="timestamp: not an integer"):
        open_envelope(_from_go("HELLO", {**HELLO, "timestamp": timestamp}), KEY, NOW)


@pytest.mark.parametrize("message_type", ["HELLO", "GOODBYE", "SOMETHING_LATER"])
@given(size=st.integers(200, 3000))
def test_plaintext_room_is_the_exact_inverse_of_growth(message_type: str, size: int) -> None:
    room = plaintext_room(message_type, size)
    assert len(encrypt(message_type, bytes(room), KEY, NONCE)) <= size
    assert len(encrypt(message_type, bytes(room + 1), KEY, NONCE)) > size


def test_plaintext_of_is_what_seal_encrypts() -> None:
    assert seal("HELLO", HELLO, KEY, NONCE) == encrypt("HELLO", plaintext_of("HELLO", HELLO), KEY, NONCE)


def test_the_repr_of_an_opened_message_hides_its_payload() -> None:
    assert PEER not in repr(Opened("HELLO", HELLO, NONCE, NOW))


@given(st.binary())
def test_any_datagram_opens_or_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        open_envelope(data, KEY, NOW)


@given(st.sampled_from([*MessageType, "X"]), st.binary())
def test_any_sealed_plaintext_opens_or_is_malformed(message_type: str, plaintext: bytes) -> None:
    with pytest.raises(MalformedMessage):
        open_envelope(encrypt(message_type, plaintext, KEY, NONCE), KEY, NOW)


@given(st.integers(0, 400), st.binary(min_size=1, max_size=4))
def test_an_altered_datagram_never_gives_another_message(position: int, noise: bytes) -> None:
    original = _from_go("HELLO", HELLO)
    altered = original[:position] + noise + original[position + len(noise) :]
    try:
        opened = open_envelope(altered, KEY, NOW)
    except MalformedMessage:
        return
    assert dict(opened.payload) == HELLO
