"""What this node says of itself, fitted to who will hear it."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import count, islice

from wgmesh.core.advertised import AdvertisedEndpoint
from wgmesh.core.announcement import (
    DATAGRAM_BUDGET_BYTES,
    MAX_CANDIDATES,
    Announcement,
    Extension,
    Goodbye,
    KnownPeer,
    encode_announcement,
    encode_goodbye,
    fit_known_peers,
)
from wgmesh.core.envelope import NONCE_BYTES, MessageType, plaintext_of, plaintext_room, seal
from wgmesh.core.model import Endpoint, IPAddress, PublicKey, SelfDescription
from wgmesh.core.probe import Probe, ProbeReply, encode_probe_reply
from wgmesh.discovery.address_rules import AddressRules
from wgmesh.discovery.lan import LanInterface
from wgmesh.discovery.peer_table import NEVER, PeerRecord

SHARED_MAX = 8  # more than the two or three that fit, so that one long entry does not leave the room unused
ROTATION_MAX = 2048  # twice the peer table
# One DNS label. With it the answer is at most 2.5 times the question; RFC 9000, section 8.1 takes three for harmless.
PROBED_HOSTNAME_MAX = 63


class Announcer:
    """Builds and seals everything that this node sends."""

    def __init__(
        self, gossip_key: bytes, rules: AddressRules, boot: bytes, random_bytes: Callable[[int], bytes]
    ) -> None:
        """`boot` are 8 bytes that name this run of the process; `random_bytes` gives nonces."""
        self._gossip_key = gossip_key
        self._rules = rules
        self._boot = boot
        self._random_bytes = random_bytes
        self._sequence = count(1)
        self._rotation = Rotation()
        self._interfaces: tuple[LanInterface, ...] = ()
        self.description: SelfDescription | None = None
        self.exchange_port: int | None = None
        """Where we listen, None where that is the mesh's own exchange port."""

    def set_interfaces(self, interfaces: Iterable[LanInterface]) -> None:
        self._interfaces = tuple(interfaces)

    def hello(self, to: Endpoint, now: float, known: Iterable[PeerRecord] = ()) -> bytes:
        """`known` are the peers worth telling; what fits is chosen by turns."""
        return self._message(MessageType.HELLO, self._announcement(to), now, known)

    def reply(self, to: Endpoint, now: float, known: Iterable[PeerRecord] = ()) -> bytes:
        """Answers a HELLO. Inside the tunnel the source is a mesh address, so it is no observation worth telling."""
        announcement = self._announcement(to)
        if not self._rules.is_in_mesh(to.host):
            announcement = replace(announcement, observed_endpoint=to)
        return self._message(MessageType.REPLY, announcement, now, known)

    def announce(self, to: Endpoint, now: float, known: Iterable[PeerRecord] = ()) -> bytes:
        """Gossip, pushed to one peer through the tunnel."""
        return self._message(MessageType.ANNOUNCE, self._announcement(to), now, known)

    def announce_on(self, interface: LanInterface, now: float) -> bytes:
        """A LAN announcement: no list of peers, or Go nodes refuse it for one entry they do not like."""
        announcement = self._announcement(None)
        if interface.ipv4 is not None:
            port = self._described().wireguard_port
            announcement = replace(announcement, endpoint=AdvertisedEndpoint(interface.ipv4, port))
        return self._message(MessageType.ANNOUNCE, announcement, now, ())

    def goodbye(self, now: float) -> bytes:
        return self._seal(MessageType.GOODBYE, encode_goodbye(Goodbye(self._described().public_key), int(now)))

    def probe_reply(self, probe: Probe, to: Endpoint, now: float) -> bytes:
        """Answers a PROBE: who we are, and how the asker looks from here."""
        own = self._described()
        hostname = own.hostname[:PROBED_HOSTNAME_MAX]
        reply = ProbeReply(probe.token, own.public_key, hostname, own.mesh_ipv4, observed_endpoint=to)
        return self._seal(MessageType.PROBE_REPLY, encode_probe_reply(reply, int(now)))

    def own_candidates(self) -> tuple[Endpoint, ...]:
        """Every address of our WireGuard port outside the tunnel: as the outside sees it, then as the host has it."""
        description = self._described()
        local = [Endpoint(host, description.wireguard_port) for host in self._local_hosts()]
        usable = [each for each in description.external_endpoints if self._rules.is_candidate(each)]
        return tuple(dict.fromkeys((*usable, *local)))[:MAX_CANDIDATES]

    def _announcement(self, to: Endpoint | None) -> Announcement:
        description = self._described()
        return Announcement(
            public_key=description.public_key,
            mesh_ipv4=description.mesh_ipv4,
            mesh_ipv6=description.mesh_ipv6,
            hostname=description.hostname,
            endpoint=self._endpoint_for(to),
            introducer=description.introducer,
            routable_networks=description.routable_networks,
            nat_type=description.nat_type,
            extension=Extension(
                self._boot, next(self._sequence), self.own_candidates(), exchange_port=self.exchange_port
            ),
        )

    def _endpoint_for(self, to: Endpoint | None) -> AdvertisedEndpoint:
        """The one address that a Go node will use, so the one that this recipient most likely reaches.

        Go takes a wildcard for the source of the datagram. Inside the tunnel that would be a mesh address, so there it
        must be concrete (protocol notes, BUG 23, and section 22, rule 14).
        """
        port = self._described().wireguard_port
        attached = None if to is None else self._attached_host(to)
        if attached is not None:
            return AdvertisedEndpoint(attached, port)
        wants_ipv6 = to is not None and to.host.version == 6 and not self._rules.is_in_mesh(to.host)
        candidates = sorted(self.own_candidates(), key=lambda each: (each.host.version == 6) != wants_ipv6)
        external = [each for each in candidates if each in self._described().external_endpoints]
        if external:
            return AdvertisedEndpoint.of(external[0])
        if to is not None and self._rules.is_in_mesh(to.host) and candidates:
            return AdvertisedEndpoint.of(candidates[0])
        return AdvertisedEndpoint(None, port)

    def _attached_host(self, to: Endpoint) -> IPAddress | None:
        """Our address on the subnet of the recipient."""
        for interface in self._interfaces:
            for address in interface.addresses:
                if address.version == to.host.version and to.host in address.network:
                    return address.ip
        return None

    def _local_hosts(self) -> list[IPAddress]:
        hosts: list[IPAddress] = [address.ip for interface in self._interfaces for address in interface.addresses]
        return [host for host in hosts if not (isinstance(host, ipaddress.IPv6Address) and not self._offers(host))]

    def _offers(self, host: ipaddress.IPv6Address) -> bool:
        return self._rules.ipv6 and not host.is_link_local

    def _message(
        self, message_type: MessageType, announcement: Announcement, now: float, known: Iterable[PeerRecord]
    ) -> bytes:
        shared = self._rotation.next_of(known)
        announcement = _trimmed(message_type, announcement, int(now))
        fitted = fit_known_peers(message_type, announcement, [_known_peer(record, now) for record in shared])
        self._rotation.note([peer.public_key for peer in fitted.known_peers])
        return self._seal(message_type, encode_announcement(fitted, int(now)))

    def _seal(self, message_type: MessageType, payload: dict[str, object]) -> bytes:
        return seal(message_type, payload, self._gossip_key, self._random_bytes(NONCE_BYTES))

    def _described(self) -> SelfDescription:
        if self.description is None:
            raise AssertionError("nothing is announced before SetSelf")
        return self.description


class Rotation:
    """Whose turn it is to be mentioned: who was not mentioned yet, then who was not for longest."""

    def __init__(self) -> None:
        self._turn: OrderedDict[PublicKey, int] = OrderedDict()
        self._count = count(1)

    def next_of(self, records: Iterable[PeerRecord]) -> list[PeerRecord]:
        verified = [record for record in records if record.is_verified]
        verified.sort(key=lambda record: self._turn.get(record.key, 0))
        return list(islice(verified, SHARED_MAX))

    def note(self, keys: Iterable[PublicKey]) -> None:
        for key in keys:
            self._turn[key] = next(self._count)
            self._turn.move_to_end(key)
        while len(self._turn) > ROTATION_MAX:
            self._turn.popitem(last=False)


def _trimmed(message_type: MessageType, announcement: Announcement, timestamp: int) -> Announcement:
    """Leaves out the last candidates where the datagram would have to be fragmented."""
    room = plaintext_room(message_type, DATAGRAM_BUDGET_BYTES)
    extension = announcement.extension
    while (
        extension is not None
        and extension.candidates
        and len(plaintext_of(message_type, encode_announcement(announcement, timestamp))) > room
    ):
        extension = replace(extension, candidates=extension.candidates[:-1])
        announcement = replace(announcement, extension=extension)
    return announcement


def _known_peer(record: PeerRecord, now: float) -> KnownPeer:
    facts = record.facts
    best = record.candidates.best_first(now)[:1]
    heard_at = max(record.direct_seen_at or NEVER, record.proven_at or NEVER)
    return KnownPeer(
        public_key=record.key,
        mesh_ipv4=facts.mesh_ipv4,
        mesh_ipv6=facts.mesh_ipv6,
        hostname=facts.hostname,
        endpoint=AdvertisedEndpoint.of(best[0].endpoint) if best else None,
        introducer=facts.introducer,
        nat_type=facts.nat_type,
        age_s=max(0, int(now - heard_at)),
    )
