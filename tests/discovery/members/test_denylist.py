"""The file of banned peers: a ban is never lost without a word."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wgmesh.core.errors import CorruptState, InvalidInput, MeshError
from wgmesh.core.model import Ban, PublicKey
from wgmesh.discovery.members.denylist import (
    BANS_MAX,
    MAX_FILE_BYTES,
    REASON_CHARACTERS_MAX,
    DenyList,
    decode_denylist,
    encode_denylist,
)

ONE, TWO = (PublicKey(bytes([number]) * 32) for number in (1, 2))
GOLDEN = {"bans": [{"wg_pubkey": ONE.text, "banned_at": 1_700_000_000, "reason": "sold"}]}

reasons = st.text(max_size=REASON_CHARACTERS_MAX).filter(str.isprintable)
bans = st.builds(Ban, st.binary(min_size=32, max_size=32).map(PublicKey), st.integers(0, 2**40).map(float), reasons)


def denylist(*given: Ban) -> DenyList:
    made = DenyList()
    for ban in given:
        made = made.with_ban(ban)
    return made


@settings(max_examples=50)
@given(st.lists(bans, max_size=5))
def test_what_is_written_is_read_again(given: list[Ban]) -> None:
    written = denylist(*given)

    assert decode_denylist(encode_denylist(written), "file") == written


def test_the_form_of_the_file_stays_the_same_from_version_to_version() -> None:
    ban = Ban(ONE, 1_700_000_000.0, "sold")

    assert json.loads(encode_denylist(denylist(ban))) == GOLDEN
    assert decode_denylist(json.dumps(GOLDEN).encode(), "file").bans == {ONE: ban}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"{}",
        b'{"bans": null}',
        b'{"bans": {}}',
        b'{"bans": [], "bans": []}',
        b"\xff\xfe",
        b'{"bans": []' + b" " * MAX_FILE_BYTES + b"}",
        json.dumps({"bans": [{}] * (BANS_MAX + 1)}).encode(),
    ],
    ids=lambda data: data[:12].decode("latin1"),
)
def test_a_file_that_cannot_be_read_as_a_whole_is_never_an_empty_list(data: bytes) -> None:
    with pytest.raises(CorruptState, match=r"/state/wg0-banned\.json does not hold .* starts with nobody banned"):
        decode_denylist(data, "/state/wg0-banned.json")


@settings(max_examples=50)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_list_or_an_error(data: bytes) -> None:
    try:
        decode_denylist(data, "file")
    except CorruptState:
        return


@pytest.mark.parametrize(
    "entry", [{}, {"wg_pubkey": "short"}, {"wg_pubkey": 5}, None, [], "text", {"wg_pubkey": ONE.text + "="}]
)
def test_an_entry_that_names_no_key_is_counted_and_kept_and_harms_no_other(entry: object) -> None:
    found = decode_denylist(json.dumps({"bans": [entry, *GOLDEN["bans"]]}).encode(), "file")

    assert set(found.bans) == {ONE}
    assert found.unread == (entry,)
    again = decode_denylist(encode_denylist(found.with_ban(Ban(TWO, 5.0))), "file")
    assert set(again.bans) == {ONE, TWO}
    assert again.unread == (entry,)


@pytest.mark.parametrize(
    "wrong",
    [{"banned_at": "yesterday"}, {"banned_at": -1}, {"reason": 7}, {"reason": "x" * 5000}, {"reason": "\x1b[2J"}],
)
def test_a_key_is_banned_whatever_else_is_wrong_with_its_entry(wrong: dict[str, object]) -> None:
    found = decode_denylist(json.dumps({"bans": [{"wg_pubkey": ONE.text, **wrong}]}).encode(), "file")

    assert set(found.bans) == {ONE}
    assert found.bans[ONE].banned_at == 0.0
    assert found.bans[ONE].reason.isprintable()
    assert len(found.bans[ONE].reason) <= REASON_CHARACTERS_MAX


def test_a_second_ban_of_a_key_replaces_the_first_and_is_the_newest() -> None:
    made = denylist(Ban(ONE, 1.0, "old"), Ban(TWO, 2.0), Ban(ONE, 3.0, "new"))

    assert list(made.bans.values()) == [Ban(TWO, 2.0), Ban(ONE, 3.0, "new")]


def test_a_ban_that_is_taken_back_is_gone_and_another_one_stays() -> None:
    made = denylist(Ban(ONE, 1.0), Ban(TWO, 2.0)).without(ONE)

    assert list(made.bans) == [TWO]
    assert made.without(ONE) == made


@pytest.mark.parametrize("reason", ["x" * (REASON_CHARACTERS_MAX + 1), "two\nlines", "\x1b[2J"])
def test_a_reason_that_is_no_line_is_refused(reason: str) -> None:
    with pytest.raises(InvalidInput, match="one line of at most 200 characters"):
        denylist(Ban(ONE, 1.0, reason))


def test_a_full_list_takes_no_more_but_lets_a_ban_be_replaced() -> None:
    items = [{"wg_pubkey": PublicKey(number.to_bytes(32, "big")).text} for number in range(BANS_MAX)]
    full = decode_denylist(json.dumps({"bans": items}).encode(), "file")

    with pytest.raises(MeshError, match="4096 keys are banned"):
        full.with_ban(Ban(ONE, 1.0))
    assert len(full.with_ban(Ban(PublicKey(bytes(32)), 1.0, "again")).bans) == BANS_MAX
