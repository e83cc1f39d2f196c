"""What both kinds of node must compute alike to meet, checked against upstream's own values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.announcements import endpoints, public_keys
from support.vectors import load_vectors
from wgmesh.core.errors import MalformedMessage
from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.core.wire.announcement import DATAGRAM_BUDGET_BYTES
from wgmesh.core.wire.envelope import MessageType, encrypt, open_envelope, seal
from wgmesh.core.wire.jsonstrict import to_json
from wgmesh.core.wire.rendezvous import (
    IPV6_SLOT,
    RENDEZVOUS_SLOT,
    Offer,
    Slot,
    Start,
    choose_introducers,
    decode_offer,
    decode_start,
    encode_offer,
    encode_start,
    is_likely_public,
    normalised,
    pair_id,
    pair_seed,
    spread,
)

VECTORS = load_vectors("rendezvous")
WINDOW = range(1_763_800_000, 1_763_800_040)
KEY, NOW = bytes(range(32)), 1_800_000_000
A, B = PublicKey(bytes([1]) * 32), PublicKey(bytes([2]) * 32)


@pytest.mark.parametrize("case", VECTORS["pairs"], ids=range(len(VECTORS["pairs"])))
def test_pairs_and_their_slots_are_upstreams(case: dict[str, object]) -> None:
    one, other = PublicKey.parse(str(case["local"])), PublicKey.parse(str(case["remote"]))
    seed = pair_seed(one, other)
    assert str(seed) == case["pair_seed"] and pair_id(one, other) == case["pair_id"]
    assert pair_seed(other, one) == seed
    for slot, name in ((RENDEZVOUS_SLOT, "rendezvous_true_at"), (IPV6_SLOT, "ipv6_sync_true_at")):
        assert [at for at in WINDOW if slot.is_open(seed, at)] == case[name]


@given(st.sampled_from([RENDEZVOUS_SLOT, IPV6_SLOT]), st.integers(0, 2**64 - 1), st.floats(1.7e9, 2e9))
def test_a_slot_opens_next_within_a_window_and_is_open_then(slot: Slot, seed: int, now: float) -> None:
    at = slot.next_opening(seed, now)
    assert now <= at <= now + slot.window_s
    assert slot.is_open(seed, at)


@pytest.mark.parametrize("case", VECTORS["candidates"], ids=range(len(VECTORS["candidates"])))
def test_candidates_are_put_in_order_and_spread_as_upstream_does(case: dict[str, list[str] | None]) -> None:
    given_texts = case["in"] or []
    known = [Endpoint.parse(text) for text in given_texts if _is_literal(text)]
    assert texts(normalised(known)) == _plain(case["normalized"])
    assert texts(spread(normalised(known))) == _plain(case["expanded_spread_2"])


@pytest.mark.parametrize("case", VECTORS["endpoints"], ids=[each["endpoint"] for each in VECTORS["endpoints"]])
def test_what_is_likely_public_is_upstreams_for_addresses(case: dict[str, object]) -> None:
    text = str(case["endpoint"])
    if not _is_literal(text) or "%" in text:
        return  # names, and zones that are taken for names: they would make us ask a resolver at a stranger's word
    assert is_likely_public(Endpoint.parse(text).host) == case["is_likely_public"]


@pytest.mark.parametrize("case", VECTORS["introducers"], ids=range(len(VECTORS["introducers"])))
def test_introducers_are_chosen_in_upstreams_order_from_those_that_offer_it(case: dict[str, object]) -> None:
    local, remote = PublicKey.parse(str(case["local"])), PublicKey.parse(str(case["remote"]))
    candidates = case["candidates"]
    assert isinstance(candidates, list)
    able = [
        PublicKey.parse(each["pubkey"])
        for each in candidates
        if each["introducer"]
        and any(label.startswith("dht") for label in each["discovered_via"])
        and is_likely_public(Endpoint.parse(each["endpoint"]).host)
    ]
    chosen = choose_introducers(local, remote, able, int(str(case["max"])))
    expected = case["chosen_pubkey_endpoint_control"]
    assert isinstance(expected, list)
    assert [key.text for key in chosen] == [each[0] for each in expected]


offers = st.builds(Offer, public_keys, public_keys, st.lists(endpoints, max_size=16, unique=True).map(tuple)).filter(
    lambda offer: offer.requester != offer.target
)
starts = st.builds(
    Start,
    st.integers(0, 2**64 - 1).map(lambda number: f"{number:016x}"),
    public_keys,
    st.lists(endpoints, max_size=16, unique=True).map(tuple),
    st.integers(-(2**40), 2**45),
    st.none() | public_keys,
)


@given(offers)
def test_an_offer_is_read_as_it_was_written(offer: Offer) -> None:
    datagram = seal(MessageType.RENDEZVOUS_OFFER, encode_offer(offer, NOW), KEY, bytes(12))
    assert len(datagram) <= DATAGRAM_BUDGET_BYTES
    assert decode_offer(open_envelope(datagram, KEY, NOW).payload) == offer


@given(starts)
def test_a_start_is_read_as_it_was_written(start: Start) -> None:
    datagram = seal(MessageType.RENDEZVOUS_START, encode_start(start, NOW), KEY, bytes(12))
    assert len(datagram) <= DATAGRAM_BUDGET_BYTES
    assert decode_start(open_envelope(datagram, KEY, NOW).payload) == start


def test_an_offer_has_the_members_that_upstream_needs_and_its_own_opens_here() -> None:
    payload = encode_offer(Offer(A, B), NOW)
    assert payload == {
        "protocol": "wgmesh-v1",
        "timestamp": NOW,
        "from_pubkey": A.text,
        "target_pubkey": B.text,
        "pair_id": pair_id(A, B),
    }
    go = encrypt(MessageType.RENDEZVOUS_OFFER, to_json(payload | {"pair_id": ""}), KEY, bytes(12))  # no sealed type
    assert decode_offer(open_envelope(go, KEY, NOW).payload) == Offer(A, B)


@pytest.mark.parametrize(
    "change",
    [
        {"from_pubkey": "x"},
        {"target_pubkey": ""},
        {"target_pubkey": A.text},
        {"pair_id": "0000000000000000"},
        {"candidates": "none"},
    ],
)
def test_what_is_no_offer_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(MalformedMessage):
        decode_offer(encode_offer(Offer(A, B), NOW) | change)


@pytest.mark.parametrize(
    "change",
    [{"peer_pubkey": "x"}, {"pair_id": "xyz"}, {"start_at_unix_ms": 1.5}, {"peer_candidates": {}}, {"pair_id": ""}],
)
def test_what_is_no_start_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(MalformedMessage):
        decode_start(encode_start(Start(pair_id(A, B), B, (), 1), NOW) | change)


def test_names_wildcards_and_too_many_candidates_are_left_out_singly() -> None:
    many = [f"198.51.100.{number}:1" for number in range(1, 100)]
    payload = encode_offer(Offer(A, B), NOW) | {"candidates": ["host.example:1", "0.0.0.0:1", 7, *many]}
    found = decode_offer(payload).candidates
    assert len(found) <= 16 and found[0] == Endpoint.parse("198.51.100.1:1")


def texts(candidates: tuple[Endpoint, ...]) -> list[str]:
    return [str(each) for each in candidates]


def _plain(expected: list[str] | None) -> list[str]:
    """Upstream keeps a port's leading zero as text; a number has none."""
    return [str(Endpoint.parse(each)) for each in expected or []]


def _is_literal(text: str) -> bool:
    try:
        Endpoint.parse(text)
    except ValueError:
        return False
    return True
