from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.announcements import json_values
from wgmesh.core.errors import MalformedMessage
from wgmesh.core.wire.jsonstrict import NESTING_MAX, Members, parse_json, to_json

LIMIT = 100_000


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"{} x",
        b"NaN",
        b"[Infinity]",
        b"[1e999]",
        b"[-1e999]",
        b"\xff",
        b"\xef\xbb\xbf{}",
        '{"a":1}'.encode("utf-16"),
        b'{"a":"\x01"}',
        b'{"a":1,"a":1}',
        b'{"x":{"a":1,"a":1}}',
        b"[" * 30_000,
        b"[" * 30_000 + b"]" * 30_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b"1" * 5_000,
    ],
)
def test_what_is_not_one_strict_json_text_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        parse_json(data, LIMIT)


def test_nesting_has_a_bound_that_no_interpreter_sets() -> None:
    def nested(depth: int) -> bytes:
        return b'{"a":[' * (depth // 2) + b'"["' + b"]}" * (depth // 2)

    assert parse_json(nested(NESTING_MAX), LIMIT)
    with pytest.raises(MalformedMessage, match="nested too deeply"):
        parse_json(nested(NESTING_MAX + 2), LIMIT)


def test_many_values_beside_each_other_are_not_deep() -> None:
    assert parse_json(b"[" + b"[{}]," * 1000 + b"[]]", LIMIT)
    assert parse_json(b'"' + b"[{" * 1000 + b'"', LIMIT)


def test_a_text_longer_than_the_bound_is_refused_before_parsing() -> None:
    assert parse_json(b"[1,2]", 5) == [1, 2]
    with pytest.raises(MalformedMessage, match="too large"):
        parse_json(b"[1,2]", 4)


@given(json_values)
def test_json_round_trips(value: object) -> None:
    assert parse_json(to_json(value), LIMIT) == value


@given(st.binary())
def test_any_bytes_are_a_value_or_malformed(data: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        parse_json(data, LIMIT)


def test_names_are_read_in_any_letter_case_as_go_does() -> None:
    assert Members({"WG_PubKey": "x"}).text("wg_pubkey") == "x"
    with pytest.raises(MalformedMessage, match="twice"):
        Members({"Timestamp": 1, "timestamp": 2})


def test_null_counts_as_absent_as_in_go() -> None:
    members = Members({"a": None})
    assert "a" not in members
    assert (members.text("a"), members.flag("a"), members.items("a")) == ("", False, [])


@pytest.mark.parametrize("value", [1.0, 1e9, True, "1", [], None, 2**63, -(2**63) - 1])
def test_only_integers_of_64_bits_are_integers(value: object) -> None:
    with pytest.raises(MalformedMessage, match="n: not an integer"):
        Members({"n": value}).integer("n")


@pytest.mark.parametrize("value", [1, {}, False])
def test_a_member_of_the_wrong_type_is_refused_by_its_name(value: object) -> None:
    with pytest.raises(MalformedMessage, match="m: not a string"):
        Members({"m": value}).text("m")
    with pytest.raises(MalformedMessage, match="m: not an array"):
        Members({"m": value}).items("m")
    with pytest.raises(MalformedMessage, match="m: not a boolean"):
        Members({"m": "true"}).flag("m")
