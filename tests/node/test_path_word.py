"""The word for the path to a peer: what was observed, not what was announced."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

from wgmesh.core.model import Candidate, CandidateSource, Endpoint, ObservedPeer, Peer, PublicKey
from wgmesh.node.composition import path_word
from wgmesh.node.liveness import Liveness, Verdict

OTHER = PublicKey(bytes([120] * 32))
ENDPOINT = Endpoint.parse("192.0.2.7:51820")
NOW = 1_000_000.0
WORKS = Verdict(Liveness.CONNECTED, NOW)


def test_a_peer_reached_at_the_address_of_a_lan_sighting_is_on_the_lan() -> None:
    observed = ObservedPeer(OTHER, ENDPOINT, handshake_at=NOW)

    assert path_word(peer(CandidateSource.LAN), observed, WORKS) == "direct-lan"
    assert path_word(peer(CandidateSource.ANNOUNCED), observed, WORKS) == "direct"


def test_one_sighting_on_the_lan_among_other_candidates_is_enough_if_it_is_at_that_address() -> None:
    lan, announced = (
        Candidate(Endpoint.parse(text), source, NOW)
        for text, source in (("192.168.1.7:51820", CandidateSource.LAN), ("192.0.2.7:51820", CandidateSource.ANNOUNCED))
    )
    seen_twice = replace(peer(CandidateSource.LAN), candidates=(announced, lan))
    words = []
    for candidate in (lan, announced):
        observed = ObservedPeer(OTHER, candidate.endpoint, handshake_at=NOW)
        words.append(path_word(seen_twice, observed, WORKS))

    assert words == ["direct-lan", "direct"]


def test_without_a_working_tunnel_there_is_no_path() -> None:
    observed = ObservedPeer(OTHER, ENDPOINT, handshake_at=NOW)

    assert path_word(peer(CandidateSource.LAN), observed, Verdict(Liveness.STALE, NOW)) == "none"
    assert path_word(peer(CandidateSource.LAN), replace(observed, endpoint=None), WORKS) == "none"
    assert path_word(peer(CandidateSource.LAN), None, WORKS) == "none"


def peer(source: CandidateSource) -> Peer:
    return Peer(OTHER, ipaddress.IPv4Address("10.9.0.2"), candidates=(Candidate(ENDPOINT, source, NOW),))
