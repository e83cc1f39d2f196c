"""What is said of peers that show signs of life and are not reached."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

from wgmesh.core.model import Candidate, CandidateSource, DiscoveryLayer, Endpoint, LayerState, Peer, PublicKey, Silence
from wgmesh.node.firewalls import PATIENCE_S, suspicion
from wgmesh.node.liveness import Liveness, Verdict

NOW = 1_000_000.0
EXCHANGE = Endpoint.parse("192.168.1.7:52527")
WIREGUARD = Endpoint.parse("192.168.1.7:51820")
ON_LAN = Candidate(WIREGUARD, CandidateSource.LAN, NOW - 1.0)
SILENT = Silence(EXCHANGE, NOW - 10.0)
PEER = Peer(PublicKey(b"p" * 32), ipaddress.IPv4Address("10.1.2.3"), candidates=(ON_LAN,), first_seen_at=NOW - 60.0)
PROVEN = replace(PEER, possession_at=NOW - 30.0, direct_seen_at=NOW - 30.0)
CONNECTING = Verdict(Liveness.CONNECTING, None, "no handshake has completed yet")
HEARD = (DiscoveryLayer("exchange", LayerState.RUNNING, heard_at=NOW),)
DEAF = (DiscoveryLayer("exchange", LayerState.RUNNING),)
PORTS = "UDP 52527 (exchange) and 51820 (WireGuard)"


def said(peer: Peer, verdict: Verdict = CONNECTING, layers: tuple[DiscoveryLayer, ...] = HEARD) -> str:
    return suspicion(peer, verdict, layers, 51821, NOW)


def test_a_proven_peer_that_is_heard_and_silent_is_called_firewalled_with_its_ports() -> None:
    expected = f"it is heard on the LAN but silent at {EXCHANGE}: a firewall there probably drops {PORTS}"
    assert said(replace(PROVEN, silence=SILENT)) == expected


def test_who_has_never_heard_anybody_is_told_that_it_may_be_this_side() -> None:
    assert "a firewall there or here probably drops" in said(replace(PROVEN, silence=SILENT), layers=DEAF)


def test_for_a_name_that_proves_nothing_there_is_no_advice_without_an_if() -> None:
    assert f": if it is one of yours, a firewall there probably drops {PORTS}" in said(replace(PEER, silence=SILENT))


def test_a_peer_that_was_not_heard_after_it_was_asked_may_be_off() -> None:
    gone = replace(ON_LAN, observed_at=SILENT.since)
    elsewhere = replace(ON_LAN, source=CandidateSource.ANNOUNCED)
    for candidate in (gone, elsewhere):
        assert said(replace(PROVEN, silence=SILENT, candidates=(candidate,))) == ""


def test_one_that_others_have_reached_may_be_behind_a_nat_until_it_was_reached_from_here() -> None:
    told = replace(PEER, silence=SILENT, candidates=(), discovery_methods=("gossip",))
    assert said(told).startswith(f"others have reached it lately but silent at {EXCHANGE}: if it is one of yours, ")
    assert "a firewall or a NAT there probably drops" in said(told)
    assert said(replace(told, direct_seen_at=NOW - 400.0)) == ""


def test_one_that_answers_without_a_handshake_names_the_wireguard_ports_of_both_sides() -> None:
    answering = replace(PROVEN, control_endpoint=EXCHANGE)
    advice = "a firewall probably drops UDP 51820 (WireGuard) there or 51821 here"
    assert said(answering) == f"it answers at {EXCHANGE} all the same: {advice}"
    assert said(replace(answering, first_seen_at=NOW - PATIENCE_S + 1.0)) == ""


def test_of_a_connected_peer_nothing_is_said() -> None:
    assert said(replace(PROVEN, silence=SILENT), Verdict(Liveness.CONNECTED, NOW)) == ""
