"""The announcement of a new secret, against upstream's own."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from support.vectors import load_vectors
from wgmesh.core.errors import MalformedMessage
from wgmesh.core.keyschedule import derive
from wgmesh.core.rotation import announce_rotation, decode_rotation, encode_rotation, is_authentic
from wgmesh.core.secret import Secret

CASES = load_vectors("rotation")["announcements"]


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_an_announcement_equals_upstreams_byte_for_byte(case: dict[str, object]) -> None:
    key = bytes.fromhex(str(case["old_membership_key_hex"]))
    if len(str(case["old_secret"]).encode()) >= 16:
        assert derive(Secret(str(case["old_secret"]))).membership_key == key
    text = str(case["json"])
    expected = decode_rotation(json.loads(text))
    assert expected.new_secret_hash.hex() == case["new_secret_hash_hex"]
    assert expected.signature.hex() == case["signature_hex"]
    assert json.dumps(encode_rotation(expected), separators=(",", ":")) == text
    if len(str(case["new_secret"]).encode()) >= 16:
        new = Secret(str(case["new_secret"]))
        made = announce_rotation(key, new, expected.grace_s, expected.timestamp)
        assert made == expected and expected.is_of(new)
    assert is_authentic(expected, key, expected.timestamp)


def test_what_was_changed_or_is_old_is_not_authentic() -> None:
    key, new = bytes(range(32)), Secret("a-new-secret-of-enough-length")
    made = announce_rotation(key, new, 86400, 1_800_000_000)
    assert is_authentic(made, key, 1_800_003_600) and not is_authentic(made, key, 1_800_003_601)
    for other in (
        replace(made, grace_s=0),
        replace(made, timestamp=1_800_000_001),
        replace(made, new_secret_hash=bytes(32)),
        replace(made, signature=bytes(32)),
    ):
        assert not is_authentic(other, key, 1_800_000_000)
    assert not is_authentic(made, bytes(32), 1_800_000_000)
    assert not made.is_of(Secret("another-secret-of-enough-length"))


@pytest.mark.parametrize(
    "change", [{"new_secret_hash": "short"}, {"signature": ""}, {"grace_period": 1.5}, {"timestamp": "now"}]
)
def test_what_is_no_announcement_is_refused(change: dict[str, object]) -> None:
    payload = encode_rotation(announce_rotation(bytes(32), Secret("a-new-secret-of-enough-length"), 0, 0))
    with pytest.raises(MalformedMessage):
        decode_rotation(payload | change)
