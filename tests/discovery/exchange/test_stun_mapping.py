"""Where STUN servers see the exchange socket: each is heard, none alone is believed against another."""

from __future__ import annotations

from collections.abc import Mapping

from wgmesh.core.model import Endpoint
from wgmesh.core.stun import codec as stun
from wgmesh.discovery.exchange.stun_mapping import FRESH_S, ExchangeMapping

A, B = Endpoint.parse("44.128.1.1:3478"), Endpoint.parse("44.129.1.1:3478")
STRANGER = Endpoint.parse("44.140.1.1:3478")
OUTSIDE, LIE = Endpoint.parse("44.130.0.9:40000"), Endpoint.parse("44.150.0.66:53")
NOW = 1000.0


def asked() -> tuple[ExchangeMapping, dict[Endpoint, bytes]]:
    """A mapping that has just asked both servers, and the transaction of each."""
    mapping = ExchangeMapping(bytes)
    mapping.set_servers([A, B], NOW)
    requests = {}
    while (transmit := mapping.poll_transmit()) is not None:
        requests[transmit.to] = stun.decode(transmit.data).transaction_id
    return mapping, requests


def answer(transaction: bytes, mapped: Endpoint) -> bytes:
    attribute = stun.Attribute(stun.AttributeType.XOR_MAPPED_ADDRESS, mapped)
    return stun.encode(stun.Message(stun.MessageType.BINDING_SUCCESS, transaction, (attribute,)))


def heard(said: Mapping[Endpoint, Endpoint]) -> ExchangeMapping:
    mapping, requests = asked()
    for server, mapped in said.items():
        mapping.handle_datagram(answer(requests[server], mapped), server, NOW)
    return mapping


def test_servers_that_agree_name_one_address_and_for_a_while_only() -> None:
    mapping = heard({A: OUTSIDE, B: OUTSIDE})

    assert mapping.mappings(NOW) == (OUTSIDE,)
    assert mapping.mappings(NOW + FRESH_S) == ()


def test_a_lying_server_of_two_takes_nothing_from_what_the_honest_one_says() -> None:
    assert heard({A: OUTSIDE, B: LIE}).mappings(NOW) == (OUTSIDE, LIE)


def test_an_answer_counts_only_from_the_server_asked_and_with_its_transaction() -> None:
    mapping, requests = asked()

    mapping.handle_datagram(answer(requests[A], LIE), STRANGER, NOW)
    mapping.handle_datagram(answer(bytes([1]) * 12, LIE), A, NOW)
    assert mapping.mappings(NOW) == ()

    mapping.handle_datagram(answer(requests[A], OUTSIDE), A, NOW)
    mapping.handle_datagram(answer(requests[A], LIE), A, NOW)  # a second answer to the same question
    assert mapping.mappings(NOW) == (OUTSIDE,)
