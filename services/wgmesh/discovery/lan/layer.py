"""The LAN: announcements to multicast groups. Nobody can prove them to all, so they are never the last word."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from wgmesh.core.model import CandidateSource, Endpoint, IPAddress
from wgmesh.core.sansio import Transmit
from wgmesh.core.wire.announcement import Announcement
from wgmesh.discovery.events import LAN
from wgmesh.discovery.exchange.announcer import Announcer
from wgmesh.discovery.lan.channels import LanChannel, lan_channels
from wgmesh.discovery.lan.echoes import Echoes
from wgmesh.discovery.lan.schedule import DATAGRAM_MAX, LanSchedule
from wgmesh.discovery.layer import Health, Layer
from wgmesh.discovery.members.address_rules import AddressRules
from wgmesh.discovery.members.contacts import Contacts, Origin
from wgmesh.discovery.members.membership import Membership, wireguard_port
from wgmesh.discovery.members.record import PeerRecord
from wgmesh.discovery.messages.authentication import Standing
from wgmesh.discovery.messages.inbox import Received, Rejected, Rejection
from wgmesh.discovery.outbox import Outbox
from wgmesh.discovery.own import Own


class LanLayer(Layer):
    """Announces this node on its LANs, and hears the announcements of others."""

    name = LAN

    def __init__(
        self,
        own: Own,
        announcer: Announcer,
        members: Membership,
        contacts: Contacts,
        outbox: Outbox,
        rules: AddressRules,
        groups: tuple[Endpoint, Endpoint],
        random_unit: Callable[[], float],
    ) -> None:
        """`groups` are the multicast groups of the mesh, of IPv4 and of IPv6."""
        self._own = own
        self._announcer = announcer
        self._members = members
        self._contacts = contacts
        self._outbox = outbox
        self._rules = rules
        self._groups = {group.host.version: group for group in groups}
        self._schedule = LanSchedule(random_unit)
        self._echoes = Echoes(own.wall, groups[0].port)

    def described(self, now: float) -> None:
        self._schedule.restart(now)

    def moved(self, now: float) -> None:
        if self._schedule.set_channels(lan_channels(self._own.lan_interfaces, self._rules.ipv6), now):
            self._echoes.follow(self._schedule.channels)

    def handle_timeout(self, now: float) -> None:
        for channel in self._schedule.due(now):
            self._send(self._announcer.announce_on(channel.source, now), channel)
            self._echoes.sent(channel, now)

    def poll_timeout(self) -> float | None:
        return self._schedule.poll_timeout()

    def remark(self, now: float) -> Health | None:
        return self._echoes.remark(now)

    def remark_due_at(self, now: float) -> float | None:
        return self._echoes.due_at(now)

    def leave(self, now: float) -> None:
        """Neighbours that have heard us may not have reached us yet. By IPv6 nobody could tell whose goodbye it is."""
        for channel in self._schedule.channels:
            if channel.source.version == 4:
                self._send(self._announcer.goodbye(now), channel)

    def note_echo(self, channel: str) -> None:
        """Takes it that our own announcement has come back: nothing on this host keeps them out."""
        self._echoes.returned(channel)

    def check(self, received: Received) -> None:
        """Raises Rejected for what did not come from this LAN."""
        channel = self._schedule.channel(received.channel)
        if channel is None or received.size > DATAGRAM_MAX or not channel.is_on_link(received.source):
            raise Rejected(Rejection.OFF_LINK)
        self._echoes.heard(received.channel)

    def take(self, received: Received, standing: Standing, now: float) -> None:
        """Takes an announcement. Of a peer that has shown itself it only says where to ask."""
        message, body = received.message, received.message.body
        assert isinstance(body, Announcement)
        key, table = message.sender, self._members.table
        source = self._place(received, body)
        known = table.get(key)
        if source is None or (source.host.version == 6 and known is not None and _is_heard_by_ipv4(known, body, now)):
            return
        endpoint = Endpoint(source.host, wireguard_port(body))
        is_new_run = self._members.clocks.is_new_run(key, message.stamp)
        is_first = known is None or not known.is_verified or is_new_run
        is_new_address = known is None or endpoint not in known.candidates.endpoints()
        is_news = False
        evidence = self._members.weigh(key, source, standing, now)
        is_doubtful = standing is Standing.DOUBTFUL
        if is_doubtful or self._members.is_outranked(message, body, evidence, source, now):
            is_news = (
                known is not None and body.extension is not None and body.extension.revision > known.facts.revision
            )
            if not is_new_address:  # it has told us of this address itself, or answered there
                self._members.add_candidate(key, endpoint, CandidateSource.LAN, now)
        elif self._members.learn(message, body, LAN, source, now, evidence):
            self._members.add_candidate(key, endpoint, CandidateSource.LAN, now)
        else:
            return
        self._members.heard_at[LAN] = now
        self._schedule.heard(received.channel, now)
        record = table.get(key)
        is_lost = record is not None and record.is_lost  # and here it is
        if is_new_address or is_new_run or is_news or is_lost or record is None or record.control_endpoint is None:
            address = Endpoint(source.host, self._members.exchange_port_in(body))
            self._contacts.add(address, Origin.HEARD, now, key, eager=is_first or is_news or is_lost)
        if is_first:
            self._schedule.hurry(received.channel, now)

    def _send(self, data: bytes, channel: LanChannel) -> None:
        self._outbox.send(Transmit(data, self._groups[channel.source.version], channel.name))

    def _place(self, received: Received, body: Announcement) -> Endpoint | None:
        """Where the sender of an announcement is, None where it tells no address that can be used from here.

        By IPv6 it speaks from a link-local address, which shows that it is a neighbour, and says inside the seal which
        of its other addresses it has here. Best is one on a subnet of ours.
        """
        channel, source = self._schedule.channel(received.channel), received.source
        if channel is None or channel.source.version == 4:
            return source
        usable = [host for host in _named_ipv6(body) if self._rules.is_candidate(Endpoint(host, source.port))]
        places = [Endpoint(host, source.port) for host in usable]
        return next(filter(channel.interface.is_attached, places), next(iter(places), None))


def _named(body: Announcement) -> list[IPAddress]:
    """The addresses that the sender of an announcement says are its own."""
    first = [] if body.endpoint is None or body.endpoint.literal is None else [body.endpoint.literal.host]
    return first if body.extension is None else first + [each.host for each in body.extension.candidates]


def _named_ipv6(body: Announcement) -> list[ipaddress.IPv6Address]:
    return [host for host in _named(body) if isinstance(host, ipaddress.IPv6Address)]


def _is_heard_by_ipv4(record: PeerRecord, body: Announcement, now: float) -> bool:
    """Whether its IPv4 announcements reach us too, from an address that it still has: they say all that these do."""
    lan = (each for each in record.candidates.best_first(now) if each.source is CandidateSource.LAN)
    named = _named(body)
    return any(each.endpoint.host.version == 4 and each.endpoint.host in named for each in lan)
