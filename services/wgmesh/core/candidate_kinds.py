"""What an address of a peer is: whether the peer has answered there, and whether a NAT may stand before it."""

from __future__ import annotations

from wgmesh.core.model import Candidate, CandidateSource, Peer


def has_answered(peer: Peer, candidate: Candidate) -> bool:
    """Whether this peer has answered us from the address of this candidate, or has had a handshake there."""
    control = peer.control_endpoint
    return candidate.proven_at is not None or (control is not None and control.host == candidate.endpoint.host)


def is_reflexive(candidate: Candidate) -> bool:
    """Whether it may be an address at which the outside sees the peer. 100.64.0.0/10 counts: carriers' NATs use it."""
    return candidate.source is not CandidateSource.LAN and not candidate.endpoint.host.is_private
