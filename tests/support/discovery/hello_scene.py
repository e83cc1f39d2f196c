"""One node that says HELLO, and what came of it."""

from __future__ import annotations

import ipaddress
import random
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

from support.discovery.discovery_wire import KEYS, SECRET, describe, kind
from wgmesh.core.clock import WallClock
from wgmesh.core.model import CandidateSource, Endpoint, IPAddress, PeerProof, PublicKey
from wgmesh.core.wire.advertised import AdvertisedEndpoint
from wgmesh.core.wire.announcement import Announcement, Extension, decode_announcement
from wgmesh.core.wire.envelope import MessageType, open_envelope
from wgmesh.discovery.assembly import Parts, Randomness, assemble
from wgmesh.discovery.bounds import Bounds
from wgmesh.discovery.events import Event
from wgmesh.discovery.exchange.transactions import Purpose
from wgmesh.discovery.host_interfaces import LanInterface
from wgmesh.discovery.members.contacts import Origin
from wgmesh.discovery.members.evidence import Evidence
from wgmesh.discovery.members.record import PeerFacts, PeerRecord
from wgmesh.discovery.messages.authentication import Standing
from wgmesh.discovery.messages.inbox import Message, Received, Rejected, Rejection
from wgmesh.discovery.messages.rate_limits import STRANGERS_BURST
from wgmesh.discovery.messages.replay import Novelty, Stamp
from wgmesh.discovery.settings import DiscoverySettings

NOW = 1_800_000_000.0
PORT = KEYS.gossip_port
STRANGER = Endpoint.of("198.51.100.77", PORT)
NETWORKS = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "192.168.1.0/24", "192.168.2.0/24", "10.0.0.0/24")
INTERFACE = LanInterface("eth0", 2, (ipaddress.ip_interface("192.168.1.1/24"),))


@dataclass
class Scene:
    """Node 1. `sent` and `events` have what came since they were last asked for.

    Every host has answered it before, unless `strangers`: what may be sent to them is another matter.
    """

    bounds: Bounds = field(default_factory=Bounds)
    strangers: bool = False

    def __post_init__(self) -> None:
        rng = random.Random(1)
        settings = DiscoverySettings(SECRET, "wg0", Path("/nonexistent"), "node-1")
        self.parts: Parts = assemble(
            settings, Randomness(rng.randbytes, lambda: 0.5), b"boot-own", self.bounds, WallClock()
        )
        self.hellos, self.members = self.parts.hellos, self.parts.members
        self.parts.own.describe(describe(1), NOW)
        self.parts.own.set_interfaces((INTERFACE,), NOW)
        self.members.set_own(describe(1))
        for network in () if self.strangers else NETWORKS:
            for host in ipaddress.ip_network(network):
                self.parts.unanswered.answered(host, NOW)

    def knows(self, number: int, *hosts: str, proven_at: float | None = None, **facts: object) -> PeerRecord:
        """Makes a peer known at these hosts; a Go node unless `native` is among the facts."""
        all_facts = {"hostname": f"node-{number}", "mesh_ipv4": describe(number).mesh_ipv4} | facts
        addresses = [Endpoint.of(host, 51820) for host in hosts]
        self.members.table.hear(key(number), PeerFacts(**all_facts), addresses, "exchange", NOW, Evidence.POSSESSION)  # type: ignore[arg-type]
        if proven_at is not None:
            self.members.table.prove([PeerProof(key(number), addresses[0], proven_at)], proven_at)
        record = self.members.table.get(key(number))
        assert record is not None
        return record

    def asks(self, target: Endpoint, purpose: Purpose = Purpose.CONTACT, number: int | None = None) -> None:
        assert self.hellos.ask(target, purpose, NOW, None if number is None else key(number))

    def sent(self) -> list[str]:
        """Where HELLOs have gone."""
        return [str(to) for to, _ in self.hellos_sent()]

    def hellos_sent(self) -> list[tuple[Endpoint, Announcement]]:
        found = []
        while (transmit := self.parts.outbox.poll_transmit()) is not None:
            assert kind(transmit) == "HELLO"
            payload = open_envelope(transmit.data, KEYS.gossip_key, NOW).payload
            found.append((transmit.to, decode_announcement(payload).announcement))
        return found

    def events(self) -> list[Event]:
        found = []
        while (event := self.parts.outbox.poll_event()) is not None:
            found.append(event)
        return found

    def repeats(self, until_s: float) -> list[float]:
        """After how many tenths of seconds something was sent again."""
        self.sent()
        times = []
        for tenths in range(1, round(until_s * 10) + 1):
            self.hellos.handle_timeout(NOW + tenths / 10)
            times += [tenths / 10] * len(self.sent())
        return times

    def answer(
        self,
        number: int,
        source: Endpoint,
        after_s: float = 1.0,
        stamp: int = int(NOW),
        standing: Standing = Standing.UNPROVEN,
        observed: Endpoint | None = None,
        native: bool = False,
    ) -> str:
        """Takes a REPLY; why it was refused, empty if it was not."""
        body = Announcement(
            key(number),
            describe(number).mesh_ipv4,
            hostname=f"node-{number}",
            endpoint=AdvertisedEndpoint(None, 7000),
            observed_endpoint=observed,
            extension=Extension(b"boot-two", 1) if native else None,
        )
        message = Message(MessageType.REPLY, key(number), body, Stamp(stamp), Novelty.NEW, native)
        try:
            self.hellos.take_reply(Received(message, 500, source), standing, NOW + after_s)
        except Rejected as rejected:
            return rejected.reason.value
        return ""

    def candidates(self, number: int) -> dict[str, CandidateSource]:
        record = self.members.table.get(key(number))
        assert record is not None
        return {str(each.endpoint): each.source for each in record.candidates.best_first(NOW)}

    def to_ask(self, at: float = NOW) -> dict[str, tuple[Origin, PublicKey | None]]:
        return {str(each.address): (each.origin, each.key) for each in self.parts.contacts.due(at)}

    def is_trusted(self, host: IPAddress, at: float) -> bool:
        """Whether a datagram from there gets through a flood of strangers."""
        for number in range(STRANGERS_BURST):
            self._reason(Endpoint(IPv4Address(0x0B000000 + number), 1), at)
        return self._reason(Endpoint(host, 1), at) is not Rejection.RATE_LIMITED

    def _reason(self, source: Endpoint, at: float) -> Rejection | None:
        """Why a datagram of nobody's is refused."""
        return self.parts.inbox.glance(b"{".ljust(200), source.host, at)


def refreshed(scene: Scene, number: int, at: float = NOW) -> list[tuple[Endpoint, Announcement]]:
    scene.members.refreshes.schedule(key(number), at - 1000.0)
    scene.hellos.refresh_peers(at)
    return scene.hellos_sent()


def key(number: int) -> PublicKey:
    return describe(number).public_key
