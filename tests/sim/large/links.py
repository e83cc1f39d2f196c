"""A modelled data plane for large meshes: what discovery notices of WireGuard, without its timers.

Kept: an initiation needs an address that leads to the peer, and a peer that knows the sender; a session is used by the
responder only once the initiator has used it; a restart forgets all sessions; a peer that moves is followed when its
packets arrive; packets take the network, with its losses. Left out: cookies, rekeying (a session lives while its path
does), and the datagrams of keepalives: `refresh` asks the network instead whether they would arrive.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from wgmesh.core.model import Endpoint, PeerProof, PresharedKey, PublicKey
from wgmesh.core.timer_queue import TimerQueue
from wgmesh.core.wireguard_times import REJECT_AFTER_S
from wgmesh.node.handshakes import PASSIVE_NATIVE_S, RETRY_GAP_S
from wgmesh.sim.frames import Frame, Initiation, Packet, Response, Transport

RETRY_GAPS_S = (0.5, 1.5, 4.0)  # the hurried tries of node/handshakes.py, roughly
SESSIONS_MAX = 3  # previous, current, next
HANDSHAKES_MAX = 4  # of a peer, begun or answered: two of each side may cross


@dataclass(slots=True)
class Link:
    """What one side has with a peer. Sessions are numbers; the last confirmed one is used for sending."""

    endpoint: Endpoint
    proven_at: float
    sessions: list[int] = field(default_factory=list)

    def confirm(self, session: int) -> None:
        if session in self.sessions:
            self.sessions.remove(session)
        self.sessions = [*self.sessions, session][-SESSIONS_MAX:]


class Links:
    """The links of one member.

    `candidates` gives the addresses at which a peer may be, and None for somebody who is no peer.
    """

    def __init__(
        self,
        own_key: PublicKey,
        preshared_key: PresharedKey,
        draw: Callable[[], int],
        send: Callable[[Frame, Endpoint], None],
        candidates: Callable[[PublicKey], Sequence[Endpoint] | None],
    ) -> None:
        self._own_key = own_key
        self._preshared_key = preshared_key
        self._draw = draw
        self._send = send
        self._candidates = candidates
        self._links: dict[PublicKey, Link] = {}
        self._sessions: dict[int, PublicKey] = {}
        self._tries: dict[PublicKey, int] = {}
        self._handshakes: dict[int, PublicKey] = {}
        self._numbers: dict[PublicKey, list[int]] = {}  # of each peer's handshakes, oldest first
        self._agenda: TimerQueue[PublicKey] = TimerQueue()
        self._fresh: set[PublicKey] = set()

    @property
    def connected(self) -> frozenset[PublicKey]:
        return frozenset(self._links)

    def is_connected(self, key: PublicKey) -> bool:
        return key in self._links

    def has_session(self, session: int) -> bool:
        return session in self._sessions

    def meet(self, key: PublicKey, now: float) -> None:
        """Begins to reach a new peer. Of two the one with the smaller key starts, as in node/handshakes.py."""
        if key not in self._links and key not in self._agenda:
            self._tries[key] = 0
            self._agenda.set(key, now if self._own_key < key else now + PASSIVE_NATIVE_S)

    def forget(self, key: PublicKey) -> None:
        """The peer is none any more."""
        self._drop_link(key)
        self._tries.pop(key, None)
        self._agenda.drop(key)
        for number in self._numbers.pop(key, ()):
            del self._handshakes[number]

    def handle_frame(self, frame: Frame, source: Endpoint, now: float) -> tuple[PublicKey, Packet] | None:
        """Takes what arrived at the WireGuard port. Returns the packet inside and who has sent it."""
        if isinstance(frame, Initiation):
            if frame.receiver == self._own_key and self._candidates(frame.sender) is not None:
                self._note_handshake(frame.handshake, frame.sender)
                self._send(Response(frame.sender, frame.handshake, self._preshared_key), source)
            return None
        if isinstance(frame, Response):
            key = self._handshakes.get(frame.handshake)
            if frame.receiver == self._own_key and key is not None and frame.preshared_key == self._preshared_key:
                self._establish(key, frame.handshake, source, now)
                self._send(Transport(frame.handshake), source)
            return None
        return self._handle_transport(frame, source, now)

    def send_packet(self, key: PublicKey, packet: Packet) -> None:
        """Sends through the tunnel. Without one the packet is lost."""
        link = self._links.get(key)
        if link is not None:
            self._send(Transport(link.sessions[-1], packet), link.endpoint)

    def refresh(self, now: float, is_open: Callable[[Endpoint, int], bool]) -> None:
        """Lets keepalives prove the links, and gives up those that have carried nothing for too long.

        `is_open` tells whether a peer with this session is at the endpoint, and hears us there.
        """
        for key, link in tuple(self._links.items()):
            if is_open(link.endpoint, link.sessions[-1]):
                link.proven_at = now
            elif now - link.proven_at >= REJECT_AFTER_S:
                self._drop_link(key)
                self.meet(key, now)

    def heard(self, session: int, source: Endpoint, now: float) -> None:
        """A keepalive has come: its sender may have moved."""
        link = self._links[self._sessions[session]]
        link.endpoint, link.proven_at = source, now

    def proofs(self) -> list[PeerProof]:
        """All that is proven."""
        self._fresh.clear()
        return [PeerProof(key, link.endpoint, link.proven_at) for key, link in self._links.items()]

    def fresh_proofs(self) -> list[PeerProof]:
        """What is proven of peers that were not connected at the last look."""
        fresh, self._fresh = self._fresh, set()
        return [
            PeerProof(key, self._links[key].endpoint, self._links[key].proven_at)
            for key in sorted(fresh)
            if key in self._links
        ]

    def handle_timeout(self, now: float) -> None:
        for key in self._agenda.take_all(now):
            candidates = self._candidates(key)
            if candidates is None:
                self.forget(key)
                continue
            count = self._tries[key]
            self._tries[key] = count + 1
            self._agenda.set(key, now + (RETRY_GAPS_S[count] if count < len(RETRY_GAPS_S) else RETRY_GAP_S))
            if candidates:
                handshake = self._draw()
                self._note_handshake(handshake, key)
                initiation = Initiation(self._own_key, key, handshake, now)
                self._send(initiation, candidates[max(0, count - 1) % len(candidates)])

    def poll_timeout(self) -> float | None:
        return self._agenda.next_at()

    def _handle_transport(self, frame: Transport, source: Endpoint, now: float) -> tuple[PublicKey, Packet] | None:
        key = self._sessions.get(frame.session)
        if key is None:
            key = self._handshakes.get(frame.session)  # the first use confirms the session of a responder
            if key is None or self._candidates(key) is None:
                return None
            self._establish(key, frame.session, source, now)
        else:
            self.heard(frame.session, source, now)
        return None if frame.packet is None else (key, frame.packet)

    def _establish(self, key: PublicKey, session: int, source: Endpoint, now: float) -> None:
        self._tries.pop(key, None)
        self._agenda.drop(key)
        link = self._links.get(key)
        if link is None:
            link = self._links[key] = Link(source, now)
            self._fresh.add(key)
        for known in link.sessions:
            del self._sessions[known]
        link.confirm(session)
        link.endpoint, link.proven_at = source, now
        for known in link.sessions:
            self._sessions[known] = key

    def _drop_link(self, key: PublicKey) -> None:
        link = self._links.pop(key, None)
        for session in link.sessions if link is not None else ():
            del self._sessions[session]

    def _note_handshake(self, number: int, key: PublicKey) -> None:
        self._handshakes[number] = key
        numbers = self._numbers.setdefault(key, [])
        numbers.append(number)
        if len(numbers) > HANDSHAKES_MAX:
            del self._handshakes[numbers.pop(0)]
