"""What this node says of itself, fitted to who will hear it."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import count

from wgmesh.core.advertised import AdvertisedEndpoint
from wgmesh.core.announcement import (
    DATAGRAM_BUDGET_BYTES,
    MAX_CANDIDATES,
    MAX_KNOWN_CANDIDATES,
    Announcement,
    Extension,
    Goodbye,
    KnownPeer,
    encode_announcement,
    encode_goodbye,
    fit_known_peers,
    transcript_of,
    with_proof,
)
from wgmesh.core.envelope import NONCE_BYTES, MessageType, plaintext_of, plaintext_room, seal
from wgmesh.core.gossip_message import REVISION_LIMIT, Bucket, Gossip, encode_gossip, split_gossip
from wgmesh.core.model import Endpoint, IPAddress, PublicKey, SelfDescription
from wgmesh.core.possession import PROOF_BYTES, PairKey, proof
from wgmesh.core.probe import Probe, ProbeReply, encode_probe_reply
from wgmesh.core.rendezvous import Offer, Start, encode_offer, encode_start
from wgmesh.discovery.address_rules import AddressRules
from wgmesh.discovery.lan import LanInterface
from wgmesh.discovery.peer_record import NEVER, PeerRecord
from wgmesh.discovery.rotation import Rotation

# One DNS label. With it the answer is at most 2.5 times the question; RFC 9000, section 8.1 takes three for harmless.
PROBED_HOSTNAME_MAX = 63


class Announcer:
    """Builds and seals everything that this node sends."""

    def __init__(
        self,
        gossip_key: bytes,
        rules: AddressRules,
        boot: bytes,
        random_bytes: Callable[[int], bytes],
        pair_key: Callable[[PublicKey], PairKey | None],
        rotation: Rotation,
    ) -> None:
        """`boot` are 8 bytes that name this run of the process; `random_bytes` gives nonces.

        `pair_key` gives the key shared with a peer, where there is one: what is said to that peer alone is proven.
        `rotation` is told which peers were mentioned.
        """
        self._gossip_key = gossip_key
        self._pair_key = pair_key
        self._rules = rules
        self._boot = boot
        self._random_bytes = random_bytes
        self._sequence = count(1)
        self._rotation = rotation
        self._interfaces: tuple[LanInterface, ...] = ()
        self.description: SelfDescription | None = None
        self.exchange_port: int | None = None
        """Where we listen, None where that is the mesh's own exchange port."""
        self.is_double: Callable[[PublicKey, float], bool] = lambda key, now: False
        """Whether two machines speak with a peer's key, which it is told."""
        self.revision = 0
        """Grows with every change of what we say of ourselves."""

    @property
    def boot(self) -> bytes:
        """What names this run of the process."""
        return self._boot

    def revise(self, now: float, beyond: int = 0) -> None:
        """Marks what we say of ourselves as new. It outlives restarts, because it follows the clock.

        `beyond` is a revision of ours that others have: a clock that was set back must not make our news old.
        """
        self.revision = min(max(self.revision + 1, beyond + 1, int(now * 1000)), REVISION_LIMIT - 1)

    def set_interfaces(self, interfaces: Iterable[LanInterface]) -> None:
        self._interfaces = tuple(interfaces)

    def hello(
        self, to: Endpoint, now: float, known: Iterable[PeerRecord] = (), recipient: PublicKey | None = None
    ) -> bytes:
        """Tells those of the `known` peers that fit. `recipient` is whom we expect there."""
        return self._message(MessageType.HELLO, self._announcement(to), now, known, recipient)

    def reply(self, to: Endpoint, now: float, recipient: PublicKey, known: Iterable[PeerRecord] = ()) -> bytes:
        """Answers a HELLO. Inside the tunnel the source is a mesh address, so it is no observation worth telling."""
        announcement = self._announcement(to)
        if not self._rules.is_in_mesh(to.host):
            announcement = replace(announcement, observed_endpoint=to)
        return self._message(MessageType.REPLY, announcement, now, known, recipient)

    def announce(self, to: Endpoint, now: float, known: Iterable[PeerRecord] = ()) -> bytes:
        """Upstream's gossip, pushed to one peer through the tunnel."""
        return self._message(MessageType.ANNOUNCE, self._announcement(to), now, known, None)

    def gossip(
        self,
        recipient: PublicKey,
        now: float,
        *,
        summary: tuple[bytes, ...] = (),
        buckets: tuple[Bucket, ...] = (),
        wanted: tuple[bytes, ...] = (),
        records: Iterable[PeerRecord] = (),
    ) -> list[bytes]:
        """Our own gossip, in as many datagrams as it needs; none where it cannot be proven to the recipient."""
        pair_key = self._pair_key(recipient)
        if pair_key is None:
            return []
        told = tuple(_gossip_record(record, now) for record in records)
        whole = Gossip(self._described().public_key, self._extension(), summary, buckets, wanted, told)
        whole = replace(whole, extension=replace(whole.extension, candidates=(), proof=bytes(PROOF_BYTES)))
        datagrams = []
        for part in split_gossip(whole):
            extension = replace(part.extension, sequence=next(self._sequence))
            payload = encode_gossip(replace(part, extension=extension), int(now))
            datagrams.append(self._prove_and_seal(MessageType.GOSSIP, payload, recipient, pair_key))
        return datagrams

    def announce_on(self, interface: LanInterface, now: float) -> bytes:
        """A LAN announcement: no list of peers, or Go nodes refuse it for one entry they do not like."""
        announcement = self._announcement(None)
        if interface.ipv4 is not None:
            port = self._described().wireguard_port
            announcement = replace(announcement, endpoint=AdvertisedEndpoint(interface.ipv4, port))
        return self._message(MessageType.ANNOUNCE, announcement, now, (), None)

    def goodbye(self, now: float, recipient: PublicKey | None = None) -> bytes:
        """Says that we leave; to everybody, or to one peer with the proof that it is us who say so."""
        pair_key = None if recipient is None else self._pair_key(recipient)
        if recipient is None or pair_key is None:
            return self._seal(MessageType.GOODBYE, encode_goodbye(Goodbye(self._described().public_key), int(now)))
        extension = replace(self._extension(), candidates=(), proof=bytes(PROOF_BYTES))
        payload = encode_goodbye(Goodbye(self._described().public_key, extension), int(now))
        return self._prove_and_seal(MessageType.GOODBYE, payload, recipient, pair_key)

    def probe_reply(self, probe: Probe, to: Endpoint, now: float) -> bytes:
        """Answers a PROBE: who we are, and how the asker looks from here."""
        own = self._described()
        hostname = own.hostname[:PROBED_HOSTNAME_MAX]
        reply = ProbeReply(probe.token, own.public_key, hostname, own.mesh_ipv4, observed_endpoint=to)
        return self._seal(MessageType.PROBE_REPLY, encode_probe_reply(reply, int(now)))

    def rendezvous(self, body: Offer | Start, now: float) -> bytes:
        """An OFFER to an introducer, or a START of our own as one."""
        if isinstance(body, Offer):
            return self._seal(MessageType.RENDEZVOUS_OFFER, encode_offer(body, int(now)))
        return self._seal(MessageType.RENDEZVOUS_START, encode_start(body, int(now)))

    def own_candidates(self) -> tuple[Endpoint, ...]:
        """Every address of our WireGuard port outside the tunnel: as the outside sees it, then as the host has it."""
        description = self._described()
        local = [Endpoint(host, description.wireguard_port) for host in self.local_hosts()]
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
            extension=self._extension(),
        )

    def _extension(self) -> Extension:
        return Extension(
            self._boot,
            next(self._sequence),
            self.own_candidates(),
            exchange_port=self.exchange_port,
            revision=self.revision,
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

    def local_hosts(self) -> list[IPAddress]:
        """The addresses of this host outside the mesh, as it has them."""
        hosts: list[IPAddress] = [address.ip for interface in self._interfaces for address in interface.addresses]
        return [host for host in hosts if not (isinstance(host, ipaddress.IPv6Address) and not self._offers(host))]

    def _offers(self, host: ipaddress.IPv6Address) -> bool:
        return self._rules.ipv6 and not host.is_link_local

    def _message(
        self,
        message_type: MessageType,
        announcement: Announcement,
        now: float,
        known: Iterable[PeerRecord],
        recipient: PublicKey | None,
    ) -> bytes:
        pair_key = None if recipient is None else self._pair_key(recipient)
        extension = announcement.extension
        if recipient is not None and pair_key is not None and extension is not None:
            extension = replace(extension, proof=bytes(PROOF_BYTES), double=self.is_double(recipient, now))
            announcement = replace(announcement, extension=extension)
        announcement = _trimmed(message_type, announcement, int(now))
        fitted = fit_known_peers(message_type, announcement, [_known_peer(record, now) for record in known])
        self._rotation.note([peer.public_key for peer in fitted.known_peers])
        payload = encode_announcement(fitted, int(now))
        if recipient is None or pair_key is None:
            return self._seal(message_type, payload)
        return self._prove_and_seal(message_type, payload, recipient, pair_key)

    def _prove_and_seal(
        self, message_type: MessageType, payload: dict[str, object], recipient: PublicKey, pair_key: PairKey
    ) -> bytes:
        own_key = self._described().public_key
        proven = proof(pair_key, str(message_type), own_key, recipient, transcript_of(payload))
        return self._seal(message_type, with_proof(payload, proven))

    def _seal(self, message_type: MessageType, payload: dict[str, object]) -> bytes:
        return seal(message_type, payload, self._gossip_key, self._random_bytes(NONCE_BYTES))

    def _described(self) -> SelfDescription:
        if self.description is None:
            raise AssertionError("nothing is announced before SetSelf")
        return self.description


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


def _gossip_record(record: PeerRecord, now: float) -> KnownPeer:
    """A peer as our own kind tells of it: with its revision, and with further addresses."""
    others = [candidate.endpoint for candidate in record.candidates.best_first(now)[1 : 1 + MAX_KNOWN_CANDIDATES]]
    facts = record.facts
    return replace(
        _known_peer(record, now),
        revision=facts.revision,
        candidates=tuple(others),
        exchange_port=facts.exchange_port,
    )
