"""Whether a peer that shows signs of life is kept from us, or we from it, and which UDP ports that is about.

Facts are told of everybody. What to do is told without an if only of a peer that has proven to hold its key: others
may be names that somebody has invented, and nobody should open a port for one.
"""

from __future__ import annotations

from collections.abc import Iterable

from wgmesh.core.model import CandidateSource, DiscoveryLayer, Peer
from wgmesh.node.liveness import Liveness, Verdict

PATIENCE_S = 15.0  # a first handshake takes milliseconds, and one that was lost is repeated after 5 s
EXCHANGE = "exchange"  # discovery's words for its rows and ways
_TOLD_BY_OTHERS = frozenset({"gossip", "known-peer", "dht-record"})


def suspicion(peer: Peer, verdict: Verdict, layers: Iterable[DiscoveryLayer], own_port: int, now: float) -> str:
    """Returns what seems to stand between, one clause; empty where nothing points at a firewall.

    `own_port` is where our WireGuard listens.
    """
    if verdict.liveness is Liveness.CONNECTED:
        return ""
    if peer.silence is None:
        return _deaf_wireguard(peer, verdict, own_port, now)
    is_on_lan = any(
        each.source is CandidateSource.LAN and each.observed_at > peer.silence.since for each in peer.candidates
    )
    is_told = peer.direct_seen_at is None and not _TOLD_BY_OTHERS.isdisjoint(peer.discovery_methods)
    if not (is_on_lan or is_told):
        return ""  # it may simply be off
    sign = "it is heard on the LAN" if is_on_lan else "others have reached it lately"
    what = "a firewall" if is_on_lan else "a firewall or a NAT"
    condition = "" if _has_proven_itself(peer) else "if it is one of yours, "
    has_heard = any(layer.name == EXCHANGE and layer.heard_at is not None for layer in layers)
    side = "there" if has_heard else "there or here"
    ports = f"UDP {peer.silence.endpoint.port} (exchange) and {_wireguard_port(peer)} (WireGuard)"
    return f"{sign} but silent at {peer.silence.endpoint}: {condition}{what} {side} probably drops {ports}"


def _deaf_wireguard(peer: Peer, verdict: Verdict, own_port: int, now: float) -> str:
    """What is said of a peer that answers our messages while no handshake comes about."""
    answers_at = peer.control_endpoint
    if verdict.liveness is not Liveness.CONNECTING or answers_at is None or now - peer.first_seen_at < PATIENCE_S:
        return ""
    ports = f"UDP {_wireguard_port(peer)} (WireGuard) there or {own_port} here"
    return f"it answers at {answers_at} all the same: a firewall probably drops {ports}"


def _has_proven_itself(peer: Peer) -> bool:
    return peer.possession_at is not None or peer.direct_seen_at is not None


def _wireguard_port(peer: Peer) -> int | str:
    return peer.candidates[0].endpoint.port if peer.candidates else "its port"
