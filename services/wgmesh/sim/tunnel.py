"""The behaviour of WireGuard that a mesh depends on: handshakes, sessions, roaming, cryptokey routing, timers.

Faithful in what costs time: an initiation that comes before the responder knows the initiator is lost and repeated only
after 5 s; two initiations that cross spoil each other, because a device follows one handshake per peer at a time; a
responder may send only after the first packet of the initiator. Left out: cookies, passive keepalives.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from wgmesh.core.model import Endpoint, IPAddress, IPNetwork, ObservedPeer, PresharedKey, PublicKey
from wgmesh.core.wireguard_times import REJECT_AFTER_S, REKEY_AFTER_S
from wgmesh.sim.frames import Frame, Initiation, Packet, Response, Transport

# WireGuard paper, section 6.1
REKEY_TIMEOUT_S = 5.0
REKEY_JITTER_S = 0.333
REKEY_ATTEMPT_S = 90.0

STAGED_MAX = 128  # packets that the kernel keeps for a peer without session
SESSIONS_MAX = 3  # previous, current, next


@dataclass(slots=True)
class Session:
    """One key pair. The responder may send once it is confirmed."""

    number: int
    created_at: float
    is_initiator: bool
    is_confirmed: bool


@dataclass(slots=True)
class TunnelPeer:
    """One peer of a device: configuration first, then what WireGuard keeps by itself."""

    public_key: PublicKey
    preshared_key: PresharedKey
    endpoint: Endpoint | None = None
    allowed_ips: frozenset[IPNetwork] = frozenset()
    keepalive_s: int = 0
    sessions: list[Session] = field(default_factory=list)
    staged: deque[Packet] = field(default_factory=lambda: deque(maxlen=STAGED_MAX))
    handshake: int | None = None
    attempt_until: float = 0.0
    retry_at: float | None = None
    keepalive_at: float | None = None
    heard_initiation_at: float = 0.0
    handshake_at: float | None = None
    rx_bytes: int = 0
    tx_bytes: int = 0

    def observed(self) -> ObservedPeer:
        return ObservedPeer(
            self.public_key,
            self.endpoint,
            self.allowed_ips,
            self.keepalive_s,
            self.handshake_at,
            self.rx_bytes,
            self.tx_bytes,
            self.preshared_key,
        )

    def sending_session(self, now: float) -> Session | None:
        usable = [each for each in self.sessions if each.is_confirmed and now - each.created_at < REJECT_AFTER_S]
        return usable[-1] if usable else None


class Tunnel:
    """The WireGuard part of one device. `send` puts a frame on the network, `deliver` hands a packet to the host."""

    def __init__(
        self,
        public_key: PublicKey,
        number: Callable[[], int],
        unit: Callable[[], float],
        send: Callable[[Frame, Endpoint], None],
        deliver: Callable[[Packet], None],
    ) -> None:
        """`number` gives fresh session numbers, `unit` floats in 0..1."""
        self._public_key = public_key
        self._number = number
        self._unit = unit
        self._send = send
        self._deliver = deliver
        self.peers: dict[PublicKey, TunnelPeer] = {}

    def add_peer(self, peer: TunnelPeer) -> None:
        self.peers[peer.public_key] = peer

    def give_networks(self, owner: TunnelPeer, networks: frozenset[IPNetwork]) -> None:
        """Replaces a peer's allowed IPs; a network that another peer had moves over, as in the kernel."""
        for other in self.peers.values():
            other.allowed_ips = other.allowed_ips - networks
        owner.allowed_ips = networks

    def set_keepalive(self, peer: TunnelPeer, interval_s: int, now: float) -> None:
        """Sets the interval; turning it on sends one at once, which starts a handshake where there is no session."""
        is_turned_on = interval_s > 0 and peer.keepalive_s == 0
        peer.keepalive_s = interval_s
        peer.keepalive_at = now + interval_s if interval_s else None
        if is_turned_on:
            self._transmit(peer, None, now)

    def send_packet(self, packet: Packet, now: float) -> bool:
        """Sends a packet to the peer that its destination belongs to. False where it belongs to none."""
        peer = self._owner(packet.to.host)
        if peer is None:
            return False
        self._transmit(peer, packet, now)
        return True

    def handle_frame(self, frame: Frame, source: Endpoint, now: float) -> None:
        match frame:
            case Initiation():
                self._on_initiation(frame, source, now)
            case Response():
                self._on_response(frame, source, now)
            case Transport():
                self._on_transport(frame, source, now)

    def handle_timeout(self, now: float) -> None:
        for peer in list(self.peers.values()):
            if peer.retry_at is not None and now >= peer.retry_at:
                self._retry(peer, now)
            if peer.keepalive_at is not None and now >= peer.keepalive_at:
                peer.keepalive_at = now + peer.keepalive_s
                self._transmit(peer, None, now)

    def poll_timeout(self) -> float | None:
        times = [at for peer in self.peers.values() for at in (peer.retry_at, peer.keepalive_at) if at is not None]
        return min(times, default=None)

    def _transmit(self, peer: TunnelPeer, packet: Packet | None, now: float) -> None:
        session = peer.sending_session(now)
        if session is None:
            if packet is not None:
                peer.staged.append(packet)
            self._begin(peer, now)
            return
        self._send_frame(peer, Transport(session.number, packet))
        if peer.keepalive_s:
            peer.keepalive_at = now + peer.keepalive_s
        if session.is_initiator and now - session.created_at > REKEY_AFTER_S:
            self._begin(peer, now)

    def _begin(self, peer: TunnelPeer, now: float) -> None:
        if peer.retry_at is None:
            peer.attempt_until = now + REKEY_ATTEMPT_S
            self._initiate(peer, now)

    def _retry(self, peer: TunnelPeer, now: float) -> None:
        if now >= peer.attempt_until:
            peer.retry_at, peer.handshake = None, None
            peer.staged.clear()
        else:
            self._initiate(peer, now)

    def _initiate(self, peer: TunnelPeer, now: float) -> None:
        if peer.endpoint is None:
            return
        peer.handshake = self._number()
        peer.retry_at = now + REKEY_TIMEOUT_S + self._unit() * REKEY_JITTER_S
        self._send_frame(peer, Initiation(self._public_key, peer.public_key, peer.handshake, now))

    def _on_initiation(self, frame: Initiation, source: Endpoint, now: float) -> None:
        peer = self.peers.get(frame.sender)
        if frame.receiver != self._public_key or peer is None or frame.sent_at <= peer.heard_initiation_at:
            return
        peer.heard_initiation_at = frame.sent_at
        peer.handshake = None  # one handshake per peer: the own one in flight is overwritten, its response will not fit
        self._hear(peer, frame, source)
        self._add_session(peer, Session(frame.handshake, now, is_initiator=False, is_confirmed=False))
        self._send_frame(peer, Response(peer.public_key, frame.handshake, peer.preshared_key))

    def _on_response(self, frame: Response, source: Endpoint, now: float) -> None:
        peer = next((each for each in self.peers.values() if each.handshake == frame.handshake), None)
        if frame.receiver != self._public_key or peer is None or frame.preshared_key != peer.preshared_key:
            return
        self._hear(peer, frame, source)
        self._add_session(peer, Session(frame.handshake, now, is_initiator=True, is_confirmed=True))
        self._complete(peer, now)
        if not peer.staged:
            self._transmit(peer, None, now)  # the confirmation that the responder waits for
        self._flush(peer, now)

    def _on_transport(self, frame: Transport, source: Endpoint, now: float) -> None:
        for peer in self.peers.values():
            session = next((each for each in peer.sessions if each.number == frame.session), None)
            if session is not None and now - session.created_at < REJECT_AFTER_S:
                break
        else:
            return
        self._hear(peer, frame, source)
        if not session.is_confirmed:
            session.is_confirmed = True
            self._complete(peer, now)
            self._flush(peer, now)
        packet = frame.packet
        if packet is not None and any(_holds(network, packet.source.host) for network in peer.allowed_ips):
            self._deliver(packet)

    def _complete(self, peer: TunnelPeer, now: float) -> None:
        peer.handshake, peer.retry_at, peer.handshake_at = None, None, now

    def _flush(self, peer: TunnelPeer, now: float) -> None:
        while peer.staged and peer.sending_session(now) is not None:
            self._transmit(peer, peer.staged.popleft(), now)

    def _hear(self, peer: TunnelPeer, frame: Frame, source: Endpoint) -> None:
        peer.rx_bytes += len(frame)
        peer.endpoint = source  # roaming: an authentic frame is the best knowledge of where the peer is

    def _send_frame(self, peer: TunnelPeer, frame: Frame) -> None:
        if peer.endpoint is not None:
            peer.tx_bytes += len(frame)
            self._send(frame, peer.endpoint)

    def _add_session(self, peer: TunnelPeer, session: Session) -> None:
        peer.sessions = [*peer.sessions, session][-SESSIONS_MAX:]

    def _owner(self, address: IPAddress) -> TunnelPeer | None:
        """The peer with the longest matching allowed IP."""
        best: TunnelPeer | None = None
        longest = -1
        for peer in self.peers.values():
            for network in peer.allowed_ips:
                if network.prefixlen > longest and _holds(network, address):
                    best, longest = peer, network.prefixlen
        return best


def _holds(network: IPNetwork, address: IPAddress) -> bool:
    return network.version == address.version and address in network
