"""What travels in the simulation besides plain bytes: packets inside the tunnel, and WireGuard's messages.

The frames hold what the real ones encrypt. Who may read a field is the receiver's duty to respect (tunnel.py).
"""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass

from wgmesh.core.model import Endpoint, PresharedKey, PublicKey

# WireGuard paper, section 5.4
INITIATION_BYTES = 148
RESPONSE_BYTES = 92
TRANSPORT_OVERHEAD_BYTES = 32

IPV4_UDP_BYTES = 28
IPV6_UDP_BYTES = 48
ECHO_BYTES = 56  # the data of an ordinary ping


@dataclass(frozen=True, slots=True)
class Packet:
    """An IP packet inside the tunnel."""

    source: Endpoint
    to: Endpoint
    payload: Sized

    def __len__(self) -> int:
        return len(self.payload) + (IPV4_UDP_BYTES if self.to.host.version == 4 else IPV6_UDP_BYTES)


@dataclass(frozen=True, slots=True)
class Echo:
    """A ping, or its answer."""

    number: int
    is_reply: bool = False

    def __len__(self) -> int:
        return ECHO_BYTES


@dataclass(frozen=True, slots=True)
class Initiation:
    """The first handshake message. `sent_at` stands for its TAI64N time, which must grow."""

    sender: PublicKey
    receiver: PublicKey
    handshake: int
    sent_at: float

    def __len__(self) -> int:
        return INITIATION_BYTES


@dataclass(frozen=True, slots=True)
class Response:
    """The second handshake message. Only who has the same preshared key can use it."""

    receiver: PublicKey
    handshake: int
    preshared_key: PresharedKey

    def __len__(self) -> int:
        return RESPONSE_BYTES


@dataclass(frozen=True, slots=True)
class Transport:
    """Data under the session that a handshake made; an empty one is a keepalive."""

    session: int
    packet: Packet | None = None

    def __len__(self) -> int:
        return TRANSPORT_OVERHEAD_BYTES + (len(self.packet) if self.packet else 0)


Frame = Initiation | Response | Transport
