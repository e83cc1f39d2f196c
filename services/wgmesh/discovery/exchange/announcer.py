"""What this node says of itself, fitted to who will hear it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import count

from wgmesh.core.keys.possession import PROOF_BYTES, PairKey, proof
from wgmesh.core.model import Endpoint, IPAddress, PublicKey
from wgmesh.core.wire.advertised import AdvertisedEndpoint
from wgmesh.core.wire.announcement import (
    DATAGRAM_BUDGET_BYTES,
    ECHO_BYTES,
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
from wgmesh.core.wire.envelope import NONCE_BYTES, MessageType, plaintext_of, plaintext_room, seal
from wgmesh.core.wire.gossip_message import Bucket, Gossip, encode_gossip, split_gossip
from wgmesh.core.wire.probe import Probe, ProbeReply, encode_probe_reply
from wgmesh.core.wire.rendezvous import Offer, Start, encode_offer, encode_start
from wgmesh.discovery.members.address_rules import AddressRules
from wgmesh.discovery.members.record import NEVER, PeerRecord
from wgmesh.discovery.members.rotation import Rotation
from wgmesh.discovery.messages.inbox import Message
from wgmesh.discovery.own import Own

# One DNS label. With it the answer is at most 2.5 times the question; RFC 9000, section 8.1 takes three for harmless.
PROBED_HOSTNAME_MAX = 63


class Announcer:
    """Builds and seals everything that this node sends."""

    def __init__(
        self,
        own: Own,
        gossip_key: bytes,
        rules: AddressRules,
        random_bytes: Callable[[int], bytes],
        pair_key: Callable[[PublicKey], PairKey | None],
        rotation: Rotation[PublicKey],
        is_duplicate: Callable[[PublicKey, float], bool],
    ) -> None:
        """`random_bytes` gives nonces.

        `pair_key` gives the key shared with a peer, where there is one: what is said to that peer alone is proven.
        `rotation` is told which peers were mentioned. `is_duplicate` says whether two machines speak with a peer's key,
        which it is told.
        """
        self._own = own
        self._gossip_key = gossip_key
        self._rules = rules
        self._random_bytes = random_bytes
        self._pair_key = pair_key
        self._rotation = rotation
        self._is_duplicate = is_duplicate
        self._sequence = count(1)
        self.sealed_count = 0
        """How many messages were sealed with the mesh's key: it may not be used without bound."""

    def hello(
        self,
        to: Endpoint,
        now: float,
        known: Iterable[PeerRecord] = (),
        recipient: PublicKey | None = None,
        room: float = DATAGRAM_BUDGET_BYTES,
    ) -> bytes:
        """Tells those of the `known` peers that fit. `recipient` is whom we expect there.

        With less `room` than that candidates and known peers are left out, as far as it helps.
        """
        return self._message(MessageType.HELLO, self._announcement(to), now, known, recipient, room)

    def reply(
        self,
        to: Endpoint,
        now: float,
        recipient: PublicKey,
        known: Iterable[PeerRecord] = (),
        room: float = DATAGRAM_BUDGET_BYTES,
        hello: Message | None = None,
    ) -> bytes:
        """Answers a HELLO. Inside the tunnel the source is a mesh address, so it is no observation worth telling.

        With less `room` candidates and known peers are left out, then the echo, and for upstream's nodes all that they
        do not read.
        """
        announcement = self._announcement(to)
        if not self._rules.is_in_mesh(to.host):
            announcement = replace(announcement, observed_endpoint=to)
        bare = announcement if hello is None or hello.is_native else replace(announcement, extension=None)
        if hello is not None and hello.is_native and announcement.extension is not None:
            echo = hello.nonce[:ECHO_BYTES]
            announcement = replace(announcement, extension=replace(announcement.extension, echo=echo))
        reply = self._message(MessageType.REPLY, announcement, now, known, recipient, room)
        if len(reply) <= min(room, DATAGRAM_BUDGET_BYTES):
            return reply
        return self._message(MessageType.REPLY, bare, now, known, recipient, room)

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
        whole = Gossip(self._own.described.public_key, self._extension(), summary, buckets, wanted, told)
        whole = replace(whole, extension=replace(whole.extension, candidates=(), proof=bytes(PROOF_BYTES)))
        datagrams = []
        for part in split_gossip(whole):
            extension = replace(part.extension, sequence=next(self._sequence))
            payload = encode_gossip(replace(part, extension=extension), self._clock_s(now))
            datagrams.append(self._prove_and_seal(MessageType.GOSSIP, payload, recipient, pair_key))
        return datagrams

    def announce_on(self, source: IPAddress, now: float) -> bytes:
        """A LAN announcement, where our address is `source`.

        No list of peers, or Go nodes refuse it for one entry they do not like.
        """
        endpoint = AdvertisedEndpoint(source, self._own.described.wireguard_port)
        announcement = replace(self._announcement(None), endpoint=endpoint)
        return self._message(MessageType.ANNOUNCE, announcement, now, (), None)

    def goodbye(self, now: float, recipient: PublicKey | None = None) -> bytes:
        """Says that we leave; to everybody, or to one peer with the proof that it is us who say so."""
        pair_key = None if recipient is None else self._pair_key(recipient)
        if recipient is None or pair_key is None:
            return self._seal(
                MessageType.GOODBYE, encode_goodbye(Goodbye(self._own.described.public_key), self._clock_s(now))
            )
        extension = replace(self._extension(), candidates=(), proof=bytes(PROOF_BYTES))
        payload = encode_goodbye(Goodbye(self._own.described.public_key, extension), self._clock_s(now))
        return self._prove_and_seal(MessageType.GOODBYE, payload, recipient, pair_key)

    def probe_reply(self, probe: Probe, to: Endpoint, now: float) -> bytes:
        """Answers a PROBE: who we are, and how the asker looks from here."""
        own = self._own.described
        hostname = own.hostname[:PROBED_HOSTNAME_MAX]
        reply = ProbeReply(probe.token, own.public_key, hostname, own.mesh_ipv4, observed_endpoint=to)
        return self._seal(MessageType.PROBE_REPLY, encode_probe_reply(reply, self._clock_s(now)))

    def rendezvous(self, body: Offer | Start, now: float) -> bytes:
        """An OFFER to an introducer, or a START of our own as one."""
        if isinstance(body, Offer):
            return self._seal(MessageType.RENDEZVOUS_OFFER, encode_offer(body, self._clock_s(now)))
        return self._seal(MessageType.RENDEZVOUS_START, encode_start(body, self._clock_s(now)))

    def _announcement(self, to: Endpoint | None) -> Announcement:
        description = self._own.described
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
            self._own.boot,
            next(self._sequence),
            self._own.candidates(),
            exchange_port=self._own.unusual_exchange_port,
            revision=self._own.revision,
        )

    def _endpoint_for(self, to: Endpoint | None) -> AdvertisedEndpoint:
        """The one address that a Go node will use, so the one that this recipient most likely reaches.

        Go takes a wildcard for the source of the datagram. Inside the tunnel that would be a mesh address, so there it
        must be concrete (protocol notes, BUG 23, and section 22, rule 14).
        """
        port = self._own.described.wireguard_port
        attached = None if to is None else self._own.host_beside(to)
        if attached is not None:
            return AdvertisedEndpoint(attached, port)
        wants_ipv6 = to is not None and to.host.version == 6 and not self._rules.is_in_mesh(to.host)
        candidates = sorted(self._own.candidates(), key=lambda each: (each.host.version == 6) != wants_ipv6)
        external = [each for each in candidates if each in self._own.described.external_endpoints]
        rivals = [each for each in external if each.host.version == external[0].host.version]
        if len(rivals) == 1:  # of several one may be a lying STUN server's, and Go would dial nothing else
            return AdvertisedEndpoint.of(external[0])
        if to is not None and self._rules.is_in_mesh(to.host) and candidates:
            return AdvertisedEndpoint.of(candidates[0])
        return AdvertisedEndpoint(None, port)

    def _message(
        self,
        message_type: MessageType,
        announcement: Announcement,
        now: float,
        known: Iterable[PeerRecord],
        recipient: PublicKey | None,
        room: float = DATAGRAM_BUDGET_BYTES,
    ) -> bytes:
        size = int(min(room, DATAGRAM_BUDGET_BYTES))
        pair_key = None if recipient is None else self._pair_key(recipient)
        extension = announcement.extension
        if recipient is not None and pair_key is not None and extension is not None:
            extension = replace(extension, proof=bytes(PROOF_BYTES), double=self._is_duplicate(recipient, now))
            announcement = replace(announcement, extension=extension)
        announcement = _trimmed(message_type, announcement, self._clock_s(now), size)
        fitted = fit_known_peers(message_type, announcement, [_known_peer(record, now) for record in known], size)
        self._rotation.note([peer.public_key for peer in fitted.known_peers])
        payload = encode_announcement(fitted, self._clock_s(now))
        if recipient is None or pair_key is None or extension is None:
            return self._seal(message_type, payload)
        return self._prove_and_seal(message_type, payload, recipient, pair_key)

    def _clock_s(self, now: float) -> int:
        """What a message gives as its time: by our clock, in whole seconds."""
        return int(self._own.wall.at(now))

    def _prove_and_seal(
        self, message_type: MessageType, payload: dict[str, object], recipient: PublicKey, pair_key: PairKey
    ) -> bytes:
        own_key = self._own.described.public_key
        proven = proof(pair_key, str(message_type), own_key, recipient, transcript_of(payload))
        return self._seal(message_type, with_proof(payload, proven))

    def _seal(self, message_type: MessageType, payload: dict[str, object]) -> bytes:
        self.sealed_count += 1
        return seal(message_type, payload, self._gossip_key, self._random_bytes(NONCE_BYTES))


def _trimmed(message_type: MessageType, announcement: Announcement, timestamp: int, size: int) -> Announcement:
    """Leaves out the last candidates where the datagram would be longer than `size`."""
    room = plaintext_room(message_type, size)
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
