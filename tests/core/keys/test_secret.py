from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.vectors import load_vectors
from wgmesh.core.errors import InvalidSecret
from wgmesh.core.keys.secret import STRONG_BITS, Secret


def test_every_raw_value_parses_to_the_key_material_that_upstream_uses() -> None:
    for case in load_vectors("derive")["cases"]:
        raw = bytes.fromhex(case["raw_hex"]).decode("utf-8", "surrogateescape")
        if case["error"]:
            with pytest.raises(InvalidSecret):
                Secret.parse(raw)
            continue
        secret = Secret.parse(raw)
        assert secret.reveal_bytes() == bytes.fromhex(case["parsed_hex"]), case["raw"]
        assert case.get("not_utf8") or secret.uri() == case["uri"]


@pytest.mark.parametrize(
    ("raw", "parsed"),
    [
        ("wgmesh://v1/0123456789abcdef?x=1", "0123456789abcdef"),
        ("wgmesh://v2/0123456789/abcdef?c", "0123456789/abcdef"),
        ("wgmesh://0123456789abcdef?x=1", "0123456789abcdef?x=1"),
        ("wgmesh://v1/0123456789abcdef#f", "0123456789abcdef#f"),
        ("WGMESH://v1/0123456789abcdef", "WGMESH://v1/0123456789abcdef"),
        ("  0123456789abcdef  ", "0123456789abcdef"),
        ("0123456789abcdef?x", "0123456789abcdef?x"),
    ],
)
def test_the_forms_of_the_protocol_notes_parse_as_join_parses_them(raw: str, parsed: str) -> None:
    assert Secret.parse(raw).reveal() == parsed


def test_an_unknown_uri_version_is_told_and_not_refused() -> None:
    assert Secret.parse("wgmesh://v2/0123456789abcdef").uri_version == "v2"
    assert not Secret.parse("wgmesh://v2/0123456789abcdef").is_known_version
    assert Secret.parse("wgmesh://v1/0123456789abcdef").is_known_version
    assert Secret.parse("0123456789abcdef").is_known_version


def test_the_length_is_counted_in_bytes_of_utf8() -> None:
    assert Secret.parse("ąąąąąąąą").reveal() == "ąąąąąąąą"
    with pytest.raises(InvalidSecret):
        Secret.parse("ąąąąąąą")


def test_neither_repr_nor_errors_show_the_secret() -> None:
    assert "hunter2" not in repr(Secret("hunter2-hunter2-hunter2"))
    with pytest.raises(InvalidSecret) as caught:
        Secret.parse("hunter2")
    assert "hunter2" not in str(caught.value)


def test_text_that_no_encoding_gives_is_refused() -> None:
    with pytest.raises(InvalidSecret):
        Secret.parse("\ud800" * 20)


def test_a_generated_secret_survives_its_uri_and_is_strong() -> None:
    secret = Secret.generate(lambda count: bytes(range(7, 7 + 5 * count, 5)))
    assert len(secret.reveal()) == 43
    assert Secret.parse(secret.uri()) == secret
    assert secret.estimated_entropy_bits > 2 * STRONG_BITS


@pytest.mark.parametrize("weak", ["a" * 40, "0123456789abcdef", "password12345678", "correct horse battery"])
def test_secrets_that_people_make_up_are_estimated_as_weak(weak: str) -> None:
    assert Secret(weak).estimated_entropy_bits < STRONG_BITS


@given(st.text())
def test_any_text_is_a_secret_or_refused(text: str) -> None:
    try:
        secret = Secret.parse(text)
    except InvalidSecret:
        return
    assert len(secret.reveal_bytes()) >= 16
    assert secret.estimated_entropy_bits >= 0


@given(st.text(alphabet=st.characters(exclude_characters="/?", exclude_categories=["Cs", "Z", "Cc"]), min_size=16))
def test_a_secret_round_trips_through_its_uri(text: str) -> None:
    assert Secret.parse(Secret(text).uri()).reveal() == text
