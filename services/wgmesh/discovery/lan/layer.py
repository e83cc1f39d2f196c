"""The LAN: announcements to a multicast group. Nobody can prove them to all, so they are never the last word."""

from __future__ import annotations

from collections.abc import Callable

from wgmesh.core.model import CandidateSource, Endpoint
from wgmesh.core.sansio import Transmit
from wgmesh.core.wire.announcement import Announcement
from wgmesh.discovery.events import LAN
from wgmesh.discovery.exchange.announcer import Announcer
from wgmesh.discovery.lan.schedule import DATAGRAM_MAX, LanSchedule
from wgmesh.discovery.layer import Layer
from wgmesh.discovery.members.contacts import Contacts, Origin
from wgmesh.discovery.members.membership import Membership, wireguard_port
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
        group: Endpoint,
        random_unit: Callable[[], float],
    ) -> None:
        """`group` is the multicast group of the mesh."""
        self._own = own
        self._announcer = announcer
        self._members = members
        self._contacts = contacts
        self._outbox = outbox
        self._group = group
        self._schedule = LanSchedule(random_unit)

    def described(self, now: float) -> None:
        self._schedule.restart(now)

    def moved(self, now: float) -> None:
        self._schedule.set_interfaces(self._own.lan_interfaces, now)

    def handle_timeout(self, now: float) -> None:
        for interface in self._schedule.due(now):
            announcement = self._announcer.announce_on(interface, now)
            self._outbox.send(Transmit(announcement, self._group, interface.channel))

    def poll_timeout(self) -> float | None:
        return self._schedule.poll_timeout()

    def leave(self, now: float) -> None:
        """Neighbours that have heard us may not have reached us yet."""
        for interface in self._schedule.interfaces:
            self._outbox.send(Transmit(self._announcer.goodbye(now), self._group, interface.channel))

    def check(self, received: Received) -> None:
        """Raises Rejected for what did not come from this LAN."""
        interface = self._schedule.interface(received.channel)
        if interface is None or received.size > DATAGRAM_MAX or not interface.is_attached(received.source):
            raise Rejected(Rejection.OFF_LINK)

    def take(self, received: Received, standing: Standing, now: float) -> None:
        """Takes an announcement. Of a peer that has shown itself it only says where to ask."""
        message, source, body = received.message, received.source, received.message.body
        assert isinstance(body, Announcement)
        key, table = message.sender, self._members.table
        endpoint = Endpoint(source.host, wireguard_port(body))
        known = table.get(key)
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
        record = table.get(key)
        if is_new_address or is_new_run or is_news or record is None or record.control_endpoint is None:
            address = Endpoint(source.host, self._members.exchange_port_in(body))
            self._contacts.add(address, Origin.HEARD, now, key, eager=is_first or is_news)
        if is_first:
            self._schedule.hurry(received.channel, now)
