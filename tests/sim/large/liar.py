"""A dishonest member: it has the mesh's secret and seals what it likes, but has nobody's private key but its own."""

from __future__ import annotations

import ipaddress
from collections import deque
from collections.abc import Iterable, Sized
from dataclasses import replace

from wgmesh.core.addressing import derive_ipv4
from wgmesh.core.keys.keyschedule import derive
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.core.wire.advertised import AdvertisedEndpoint
from wgmesh.core.wire.announcement import (
    BOOT_BYTES,
    Announcement,
    Extension,
    Goodbye,
    KnownPeer,
    encode_announcement,
    encode_goodbye,
)
from wgmesh.core.wire.envelope import NONCE_BYTES, MessageType, seal
from wgmesh.sim.chance import Chance
from wgmesh.sim.network import Host, Network
from wgmesh.sim.scheduler import Scheduler

CAPTURED_MAX = 500
ELSEWHERE = ipaddress.IPv4Network("44.128.0.0/9")  # no site of a simulation lies there


class Liar:
    """Sends to exchange sockets. It may forge the source of a datagram, and hears all that crosses the network."""

    def __init__(
        self, scheduler: Scheduler, network: Network, host: Host, secret: Secret, key: PublicKey, chance: Chance
    ) -> None:
        self.public_key = key
        self.host = host
        self._scheduler = scheduler
        self._network = network
        self._secret = secret
        self._keys = derive(secret)
        self._chance = chance
        self._captured: deque[tuple[bytes, Endpoint]] = deque(maxlen=CAPTURED_MAX)
        network.taps.append(self._capture)

    @property
    def address(self) -> Endpoint:
        """Where it would like others to look for somebody."""
        return Endpoint(self.host.attachments[0].address.ip, self._keys.gossip_port)

    def say_hello(
        self,
        to: Endpoint,
        name: PublicKey | None = None,
        mesh_ipv4: ipaddress.IPv4Address | None = None,
        known_peers: Iterable[KnownPeer] = (),
        source: Endpoint | None = None,
    ) -> None:
        """Says HELLO in its own name or somebody else's, with an address of its choice, and news about others."""
        sender = name or self.public_key
        announcement = Announcement(
            public_key=sender,
            mesh_ipv4=mesh_ipv4 or derive_ipv4(sender, self._secret, self._keys),
            hostname="liar",
            endpoint=AdvertisedEndpoint.of(self.address),
            known_peers=tuple(known_peers),
        )
        payload = encode_announcement(announcement, int(self._scheduler.now))
        self._send(MessageType.HELLO, payload, to, source)

    def say_goodbye(self, to: Endpoint, name: PublicKey, source: Endpoint | None = None) -> None:
        """Says that somebody else leaves."""
        self._send(MessageType.GOODBYE, encode_goodbye(Goodbye(name), int(self._scheduler.now)), to, source)

    def replay(self, to: Endpoint, choice: int, with_source: bool) -> None:
        """Sends again what somebody has once said to somebody."""
        if self._captured:
            data, source = self._captured[choice % len(self._captured)]
            self._inject(data, to, source if with_source else self.address)

    def invented(self) -> KnownPeer:
        """A member that does not exist."""
        key = PublicKey(self._chance.random_bytes(32))
        return self.misplaced(key, derive_ipv4(key, self._secret, self._keys))

    def crowd(self, to: Endpoint, count: int) -> list[tuple[PublicKey, Endpoint]]:
        """Says HELLO under so many new names, each from another address, and tells each time of one more that is none.

        Returns the names and addresses.
        """
        told = []
        for _ in range(count):
            key, source = PublicKey(self._chance.random_bytes(32)), self.nowhere()
            announcement = Announcement(
                public_key=key,
                mesh_ipv4=derive_ipv4(key, self._secret, self._keys),
                hostname="crowd",
                endpoint=AdvertisedEndpoint.of(source),
                known_peers=(replace(self.invented(), endpoint=AdvertisedEndpoint.of(self.nowhere())),),
                extension=Extension(self._chance.random_bytes(BOOT_BYTES), 1),
            )
            self._send(MessageType.HELLO, encode_announcement(announcement, int(self._scheduler.now)), to, source)
            told.append((key, source))
        return told

    def nowhere(self) -> Endpoint:
        """An address of nobody."""
        return Endpoint(ELSEWHERE[self._chance.integer() % ELSEWHERE.num_addresses], self._keys.gossip_port)

    def misplaced(self, key: PublicKey, mesh_ipv4: ipaddress.IPv4Address) -> KnownPeer:
        """A member that is said to be where the liar is."""
        return KnownPeer(key, mesh_ipv4, endpoint=AdvertisedEndpoint.of(self.address), age_s=0)

    def _send(
        self, message_type: MessageType, payload: dict[str, object], to: Endpoint, source: Endpoint | None
    ) -> None:
        data = seal(message_type, payload, self._keys.gossip_key, self._chance.random_bytes(NONCE_BYTES))
        self._inject(data, to, source or self.address)

    def _inject(self, data: bytes, to: Endpoint, source: Endpoint) -> None:
        """Puts a datagram before a socket, whatever its source."""
        there = self._network.reach(self.host, to.host)
        receiver = None if there is None else there.receivers.get(to.port)
        if receiver is not None:
            receiver(data, source)

    def _capture(self, payload: Sized, source: Endpoint) -> None:
        if isinstance(payload, bytes):
            self._captured.append((payload, source))
