"""What the rendezvous machine is told of peers, and what it asks to be done."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.core.wire.rendezvous import Offer, Start
from wgmesh.discovery.members.candidates import TUNNEL_LOST_S


@dataclass(frozen=True, slots=True)
class PeerView:
    """One known peer, as far as rendezvous is concerned.

    `control_endpoint` is where it listens for exchange messages outside the tunnel, proven or presumed. `is_vouched`
    says that it has answered there, and proven who it is. `proven_at` is when WireGuard last reached it. `is_lost`: its
    tunnel does not answer any more, so nobody is led to it.
    """

    key: PublicKey
    control_endpoint: Endpoint | None = None
    introducer: bool = False
    proven_at: float | None = None
    is_vouched: bool = False
    is_lost: bool = False

    def is_proven(self, now: float) -> bool:
        """Whether there is a tunnel, for all we know. BUG 39: one that stood before the punch is a success as well."""
        return not self.is_lost and self.proven_at is not None and now - self.proven_at < TUNNEL_LOST_S


@dataclass(frozen=True, slots=True)
class Send:
    """Seal this and send it, outside the tunnel."""

    to: Endpoint
    body: Offer | Start


@dataclass(frozen=True, slots=True)
class Punch:
    """Say HELLO to all these addresses now, each in a fresh burst: behind one of them is the peer."""

    key: PublicKey
    addresses: tuple[Endpoint, ...]


class Outcome(StrEnum):
    """What an attempt to reach a peer has come to. The words label a counter, so there are few."""

    OPEN = "open"
    """A tunnel carries traffic."""
    ANSWERED = "answered"
    """The peer has answered a HELLO, and no tunnel has followed."""
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class PunchEnded:
    """An event: an attempt to reach a peer is over."""

    public_key: PublicKey
    outcome: Outcome


Action = Send | Punch | PunchEnded
