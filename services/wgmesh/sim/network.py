"""A simulated internet: hosts on LAN segments, routers between them, UDP datagrams that get lost on the way.

A segment is one broadcast domain. A datagram to an address of the own segment goes straight there; one to another
routed segment passes both. Multicast stays on its segment. What travels is anything with a length, so that tests can
send real bytes and the simulated WireGuard its own frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sized
from dataclasses import dataclass, field

from wgmesh.core.model import Endpoint, IPAddress, IPInterface
from wgmesh.sim.chance import Chance
from wgmesh.sim.scheduler import Scheduler

Receiver = Callable[[Sized, Endpoint], None]
"""Takes a payload and its source."""


@dataclass(frozen=True, slots=True)
class LinkQuality:
    """What a segment does to datagrams. `jitter_s` is added evenly, so it also reorders; rates are in 0..1."""

    delay_s: float = 0.0003  # a switched LAN
    jitter_s: float = 0.0002
    loss: float = 0.0
    duplication: float = 0.0


@dataclass(slots=True, eq=False)
class Segment:
    """One link that several hosts share."""

    name: str
    quality: LinkQuality = field(default_factory=LinkQuality)
    routed: bool = True


@dataclass(frozen=True, slots=True)
class Attachment:
    """A host's interface on a segment."""

    interface: str
    segment: Segment
    address: IPInterface


@dataclass(slots=True)
class Traffic:
    """What was sent, for assertions and reports."""

    datagrams: int = 0
    octets: int = 0
    largest: int = 0

    def count(self, payload: Sized) -> None:
        self.datagrams += 1
        self.octets += len(payload)
        self.largest = max(self.largest, len(payload))


@dataclass(slots=True)
class Host:
    """One machine: interfaces, and who listens on its UDP ports and multicast groups."""

    name: str
    attachments: list[Attachment] = field(default_factory=list)
    receivers: dict[int, Receiver] = field(default_factory=dict)
    group_receivers: dict[tuple[str, Endpoint], Receiver] = field(default_factory=dict)
    sent: Traffic = field(default_factory=Traffic)

    def attached_to(self, segment: Segment) -> Attachment | None:
        return next((each for each in self.attachments if each.segment is segment), None)


class Network:
    """Carries datagrams between hosts."""

    def __init__(self, scheduler: Scheduler, chance: Chance) -> None:
        self._scheduler = scheduler
        self._chance = chance
        self._hosts: dict[str, Host] = {}
        self._places: dict[IPAddress, tuple[Host, Segment]] = {}
        self._neighbours: dict[Segment, dict[str, Host]] = {}
        self._sides: dict[str, int] = {}
        self.taps: list[Receiver] = []
        """Who listens to every datagram that is sent to one host, as on a wire."""
        self.lost = 0

    def add_host(self, name: str, *attachments: Attachment) -> Host:
        if name in self._hosts:
            raise ValueError(f"there is a host {name!r} already")
        host = self._hosts[name] = Host(name)
        self.move_host(host, *attachments)
        return host

    def move_host(self, host: Host, *attachments: Attachment) -> None:
        """Unplugs a host, and plugs it in elsewhere."""
        for attachment in host.attachments:
            del self._places[attachment.address.ip]
            self._neighbours[attachment.segment].pop(host.name, None)
        host.attachments = list(attachments)
        for attachment in attachments:
            if attachment.address.ip in self._places:
                raise ValueError(f"{attachment.address.ip} is taken already")
            self._places[attachment.address.ip] = (host, attachment.segment)
            self._neighbours.setdefault(attachment.segment, {})[host.name] = host

    def reach(self, sender: Host, address: IPAddress) -> Host | None:
        """The host that a datagram to `address` would come to, unless it is lost on the way."""
        way = self._way(sender, address)
        return None if way is None or self._is_cut(sender, way[1]) else way[1]

    def partition(self, *groups: Iterable[str]) -> None:
        """Lets only hosts of the same group reach each other; hosts in no group form one more."""
        self._sides = {name: side for side, group in enumerate(groups, start=1) for name in group}

    def heal(self) -> None:
        """Ends the partition."""
        self._sides = {}

    def send(self, sender: Host, payload: Sized, source_port: int, to: Endpoint, interface: str | None = None) -> None:
        """Sends one datagram. `interface` names the link of a multicast datagram."""
        if to.host.is_multicast:
            self._send_to_group(sender, payload, source_port, to, interface)
            return
        way = self._way(sender, to.host)
        if way is None:
            self.lost += 1
            return
        attachment, receiver, segments = way
        sender.sent.count(payload)
        source = Endpoint(attachment.address.ip, source_port)
        for tap in self.taps:
            tap(payload, source)
        self._carry(sender, receiver, segments, lambda: self._deliver(receiver, payload, source, to))

    def _send_to_group(
        self, sender: Host, payload: Sized, source_port: int, group: Endpoint, interface: str | None
    ) -> None:
        for attachment in sender.attachments:
            if attachment.interface != interface or attachment.address.version != group.host.version:
                continue
            sender.sent.count(payload)
            source = Endpoint(attachment.address.ip, source_port)
            for host in self._neighbours[attachment.segment].values():
                there = host.attached_to(attachment.segment)
                if there is not None and host is not sender:
                    self._carry_to_group(sender, host, there, payload, source, group)

    def _carry_to_group(
        self, sender: Host, host: Host, there: Attachment, payload: Sized, source: Endpoint, group: Endpoint
    ) -> None:
        def deliver() -> None:
            receiver = host.group_receivers.get((there.interface, group))
            if receiver is not None:
                receiver(payload, source)

        self._carry(sender, host, (there.segment,), deliver)

    def _way(self, sender: Host, address: IPAddress) -> tuple[Attachment, Host, tuple[Segment, ...]] | None:
        """Finds the outgoing interface, the receiving host and the segments between; None where there is no route."""
        if address not in self._places:
            return None
        receiver, far = self._places[address]
        near = [each for each in sender.attachments if each.address.version == address.version]
        for attachment in near:
            if attachment.segment is far:
                return attachment, receiver, (far,)
        routed = next((each for each in near if each.segment.routed), None)
        return (routed, receiver, (routed.segment, far)) if routed is not None and far.routed else None

    def _carry(self, sender: Host, receiver: Host, segments: tuple[Segment, ...], deliver: Callable[[], None]) -> None:
        """Decides the fate of one datagram and plans its arrivals."""
        if self._is_cut(sender, receiver):
            self.lost += 1
            return
        qualities = [segment.quality for segment in segments]
        if any(self._chance.unit() < quality.loss for quality in qualities):
            self.lost += 1
            return
        copies = 1 + any(self._chance.unit() < quality.duplication for quality in qualities)
        for _ in range(copies):
            delay_s = sum(quality.delay_s + self._chance.unit() * quality.jitter_s for quality in qualities)
            self._scheduler.call_later(delay_s, deliver)

    def _is_cut(self, sender: Host, receiver: Host) -> bool:
        return self._sides.get(sender.name, 0) != self._sides.get(receiver.name, 0)

    def _deliver(self, host: Host, payload: Sized, source: Endpoint, to: Endpoint) -> None:
        receiver = host.receivers.get(to.port)
        if receiver is not None:
            receiver(payload, source)
