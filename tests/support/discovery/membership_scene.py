"""The members of one node, and what else hangs on them."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address

from wgmesh.core.clock import WallClock
from wgmesh.core.model import CandidateSource, Endpoint, PeerProof, PublicKey, SelfDescription
from wgmesh.core.peer_cache import CachedPeer
from wgmesh.core.wire.advertised import AdvertisedEndpoint
from wgmesh.core.wire.announcement import Announcement, Extension, KnownPeer
from wgmesh.core.wire.envelope import MessageType
from wgmesh.discovery.bounds import Bounds
from wgmesh.discovery.events import (
    Event,
)
from wgmesh.discovery.members.address_rules import AddressRules
from wgmesh.discovery.members.contacts import Contacts, Origin
from wgmesh.discovery.members.evidence import Evidence
from wgmesh.discovery.members.membership import (
    Membership,
)
from wgmesh.discovery.messages.inbox import Message
from wgmesh.discovery.messages.replay import Novelty, Stamp
from wgmesh.discovery.outbox import Outbox

NOW = 1_800_000_000.0
PORT = 52527
MESH = ipaddress.ip_network("10.1.0.0/16")
NET = ipaddress.ip_network("192.168.77.0/24")
SOURCE = Endpoint.of("198.51.100.200", PORT)
FRESH_REVISION = int(NOW * 1000)


@dataclass
class Scene:
    """The members of node 99, and what else hangs on them."""

    bounds: Bounds = field(default_factory=Bounds)
    wall: WallClock = field(default_factory=WallClock)

    def __post_init__(self) -> None:
        self.contacts, self.outbox = Contacts(lambda: 0.5), Outbox()
        self.members = Membership(
            self.wall,
            AddressRules((MESH,)),
            PORT,
            lambda address, key: address == mesh_ip(key.raw[-1]),
            self.contacts,
            self.outbox,
            lambda: 0.5,
            self.bounds,
        )
        self.members.set_own(SelfDescription(key(99), mesh_ip(99), IPv6Address("fd00::99"), 51820))
        self.news: list[PublicKey] = []
        self.members.on_news = lambda key, now: self.news.append(key)

    def say(
        self,
        body: Announcement,
        stamp: Stamp | None = None,
        now: float = NOW,
        method: str = "exchange",
        evidence: Evidence = Evidence.POSSESSION,
        source: Endpoint = SOURCE,
    ) -> bool:
        """Lets a member speak for itself, with a proof unless it is said otherwise."""
        message = Message(MessageType.HELLO, body.public_key, body, stamp or Stamp(int(now)), Novelty.NEW)
        return self.members.learn(message, body, method, source, now, evidence)

    def tell(self, *known: KnownPeer, now: float = NOW) -> None:
        """Lets peer 50 tell of others."""
        assert self.say(replace(announcement(50), known_peers=known), now=now)

    def prove(self, number: int, now: float = NOW) -> None:
        self.members.table.prove([PeerProof(key(number), at(number), now)], now)

    def candidates(self, number: int, now: float = NOW) -> dict[str, CandidateSource]:
        record = self.members.table.get(key(number))
        assert record is not None
        return {str(each.endpoint): each.source for each in record.candidates.best_first(now)}

    def to_ask(self) -> dict[str, tuple[Origin, PublicKey | None]]:
        """The addresses that wait for a HELLO; they have been asked after this."""
        return {str(each.address): (each.origin, each.key) for each in self.contacts.due(NOW + 1e6)}

    def events(self) -> list[Event]:
        events = []
        while (event := self.outbox.poll_event()) is not None:
            events.append(event)
        return events

    def is_published(self) -> bool:
        """Whether the table has changed by more than age since the last call."""
        before, self._published = getattr(self, "_published", 0), self.outbox.content_revision
        return self.outbox.content_revision > before


def announcement(number: int, endpoint: Endpoint | None = None) -> Announcement:
    """What a Go node says of itself."""
    advertised = AdvertisedEndpoint.of(endpoint or at(number))
    return Announcement(key(number), mesh_ip(number), hostname=f"node-{number}", endpoint=advertised)


def native(number: int, revision: int = FRESH_REVISION, candidates: tuple[Endpoint, ...] = ()) -> Announcement:
    """What one of our own nodes says of itself."""
    return replace(announcement(number), extension=Extension(b"boot-one", 1, candidates, revision=revision))


def known(number: int) -> KnownPeer:
    return KnownPeer(key(number), mesh_ip(number), endpoint=AdvertisedEndpoint.of(at(number)))


def cached(number: int) -> CachedPeer:
    return CachedPeer(key(number), mesh_ip(number), 0, endpoint=AdvertisedEndpoint.of(at(number)))


def key(number: int) -> PublicKey:
    return PublicKey(number.to_bytes(32, "big"))


def mesh_ip(number: int) -> IPv4Address:
    return IPv4Address(f"10.1.0.{number}")


def at(number: int) -> Endpoint:
    return Endpoint.of(f"198.51.100.{number}", 51820)
