"""The simulated WireGuard keeps the habits that the node's handshake policy is built for."""

from __future__ import annotations

import ipaddress

from wgmesh.core.model import Endpoint, PresharedKey, PublicKey
from wgmesh.sim.frames import Echo, Frame, Packet
from wgmesh.sim.scheduler import Scheduler
from wgmesh.sim.tunnel import Tunnel, TunnelPeer

DELAY_S = 0.01
PSK = PresharedKey(bytes(32))


class End:
    """A tunnel at a fixed address, with a wire to the other end."""

    def __init__(self, wire: Wire, number: int) -> None:
        self.key = PublicKey(bytes([number]) * 32)
        self.address = Endpoint.parse(f"192.0.2.{number}:51820")
        self.inside = ipaddress.ip_address(f"10.0.0.{number}")
        self.packets: list[Packet] = []
        self.sent: list[Frame] = []
        self._wire = wire
        self.tunnel = Tunnel(self.key, wire.number, lambda: 0.0, self._send, self.packets.append)

    def know(self, other: End, *, endpoint: bool, keepalive_s: int = 0, psk: PresharedKey = PSK) -> TunnelPeer:
        peer = TunnelPeer(other.key, psk, other.address if endpoint else None)
        self.tunnel.add_peer(peer)
        self.tunnel.give_networks(peer, frozenset({ipaddress.ip_network(other.inside)}))
        self.tunnel.set_keepalive(peer, keepalive_s, self._wire.now)
        return peer

    def ping(self, other: End) -> None:
        packet = Packet(Endpoint(self.inside, 7), Endpoint(other.inside, 7), Echo(1))
        self.tunnel.send_packet(packet, self._wire.now)

    def _send(self, frame: Frame, to: Endpoint) -> None:
        self.sent.append(frame)
        self._wire.carry(self, frame, to)


class Wire:
    """Carries frames between the ends, in virtual time."""

    def __init__(self) -> None:
        self.scheduler = Scheduler(1000.0)
        self.is_cut = False
        self._count = 0
        self.ends = [End(self, 1), End(self, 2)]

    @property
    def now(self) -> float:
        return self.scheduler.now

    def number(self) -> int:
        self._count += 1
        return self._count

    def carry(self, sender: End, frame: Frame, to: Endpoint) -> None:
        for end in self.ends:
            if end.address == to and not self.is_cut:
                self.scheduler.call_later(DELAY_S, lambda end=end: self._arrive(end, frame, sender.address))  # type: ignore[misc]

    def _arrive(self, end: End, frame: Frame, source: Endpoint) -> None:
        end.tunnel.handle_frame(frame, source, self.now)

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            due = [at for end in self.ends if (at := end.tunnel.poll_timeout()) is not None]
            self.scheduler.run_until(min([until, self.now + DELAY_S, *(max(at, self.now) for at in due)]))
            for end in self.ends:
                end.tunnel.handle_timeout(self.now)


def test_a_handshake_takes_one_round_trip_and_carries_the_waiting_packet() -> None:
    wire = Wire()
    one, two = wire.ends
    mine, theirs = one.know(two, endpoint=True), two.know(one, endpoint=False)
    one.ping(two)
    wire.run(0.1)
    assert mine.handshake_at == 1000.0 + 2 * DELAY_S
    assert theirs.handshake_at == 1000.0 + 3 * DELAY_S
    assert len(two.packets) == 1
    assert theirs.endpoint == one.address


def test_an_initiation_before_the_responder_knows_us_costs_five_seconds() -> None:
    wire = Wire()
    one, two = wire.ends
    mine = one.know(two, endpoint=True, keepalive_s=25)
    wire.run(0.1)
    two.know(one, endpoint=False)
    wire.run(4.8)
    assert mine.handshake_at is None
    wire.run(0.3)
    assert mine.handshake_at is not None


def test_initiations_that_cross_spoil_each_other() -> None:
    wire = Wire()
    one, two = wire.ends
    mine, theirs = one.know(two, endpoint=True, keepalive_s=25), two.know(one, endpoint=True, keepalive_s=25)
    wire.run(4.0)
    assert mine.handshake_at is None and theirs.handshake_at is None


def test_different_preshared_keys_never_complete_a_handshake() -> None:
    wire = Wire()
    one, two = wire.ends
    mine = one.know(two, endpoint=True, keepalive_s=25)
    theirs = two.know(one, endpoint=False, psk=PresharedKey(b"\x01" * 32))
    wire.run(100.0)
    assert mine.handshake_at is None and theirs.handshake_at is None


def test_sessions_are_renewed_before_they_expire() -> None:
    wire = Wire()
    one, two = wire.ends
    mine = one.know(two, endpoint=True, keepalive_s=25)
    two.know(one, endpoint=False)
    wire.run(1000.0)
    assert mine.handshake_at is not None and wire.now - mine.handshake_at < 180.0


def test_a_session_carries_nothing_after_three_minutes_and_a_new_handshake_after_the_cut() -> None:
    wire = Wire()
    one, two = wire.ends
    mine, theirs = one.know(two, endpoint=True, keepalive_s=25), two.know(one, endpoint=False)
    wire.run(1.0)
    wire.is_cut = True
    wire.run(300.0)
    assert mine.sending_session(wire.now) is None and theirs.sending_session(wire.now) is None
    wire.is_cut = False
    wire.run(6.0)
    assert mine.sending_session(wire.now) is not None


def test_a_packet_from_an_address_that_is_not_the_peers_is_dropped() -> None:
    wire = Wire()
    one, two = wire.ends
    one.know(two, endpoint=True)
    theirs = two.know(one, endpoint=False)
    two.tunnel.give_networks(theirs, frozenset())
    one.ping(two)
    wire.run(0.1)
    assert theirs.handshake_at is not None and two.packets == []


def test_an_allowed_ip_moves_to_the_peer_that_got_it_last() -> None:
    wire = Wire()
    one, two = wire.ends
    first = one.know(two, endpoint=True)
    other = TunnelPeer(PublicKey(b"\x09" * 32), PSK)
    one.tunnel.add_peer(other)
    one.tunnel.give_networks(other, first.allowed_ips)
    assert first.allowed_ips == frozenset() and len(other.allowed_ips) == 1
