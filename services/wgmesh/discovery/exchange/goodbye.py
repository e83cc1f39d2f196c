"""GOODBYE: the last words of a node that stops in order, and what we make of those of others."""

from __future__ import annotations

from wgmesh.core.clock import WallClock
from wgmesh.core.model import Endpoint
from wgmesh.core.sansio import Transmit
from wgmesh.discovery.exchange.announcer import Announcer
from wgmesh.discovery.exchange.hellos import Hellos
from wgmesh.discovery.members.address_rules import AddressRules
from wgmesh.discovery.members.contacts import Contacts
from wgmesh.discovery.members.evidence import Evidence
from wgmesh.discovery.members.membership import Membership
from wgmesh.discovery.members.pending_goodbyes import FRESHNESS_S
from wgmesh.discovery.members.record import PeerRecord
from wgmesh.discovery.members.tombstones import Departure
from wgmesh.discovery.messages.authentication import Standing
from wgmesh.discovery.messages.inbox import Received, Rejected, Rejection
from wgmesh.discovery.outbox import Outbox


class Goodbyes:
    """Says goodbye, and hears it."""

    def __init__(
        self,
        announcer: Announcer,
        members: Membership,
        contacts: Contacts,
        hellos: Hellos,
        outbox: Outbox,
        rules: AddressRules,
        wall: WallClock,
    ) -> None:
        self._announcer = announcer
        self._members = members
        self._contacts = contacts
        self._hellos = hellos
        self._outbox = outbox
        self._rules = rules
        self._wall = wall

    def say(self, now: float) -> None:
        """Tells each peer, with the proof that it is us, and everybody who was asked and may know us by now.

        The operator has asked for it, so it is said although our questions have used up what came from there: once to
        each host.
        """
        told, paid = set(), set()
        for record in self._members.table.records():
            address = self._hellos.control_address(record, now)
            if record.is_proven(now) and record.control_endpoint is None:
                address = self._hellos.tunnel_address(record)
            if address is None:
                continue
            goodbye = self._announcer.goodbye(now, record.key)
            if record.is_verified and address.host not in paid:
                self._hellos.unanswered.grant(address.host, len(goodbye))
                paid.add(address.host)
            told.add(address)
            self._outbox.send(Transmit(goodbye, address))
        for target in self._hellos.transactions.targets():
            if target not in told and not self._rules.is_in_mesh(target.host):
                goodbye = self._announcer.goodbye(now)
                self._hellos.pay_for_operator(target, len(goodbye))
                self._outbox.send(Transmit(goodbye, target))

    def take(self, received: Received, standing: Standing, now: float) -> None:
        """Takes the goodbye of a peer. Raises Rejected.

        It removes at once only with a proof, as the last word of the run that the peer has proven to be in. Anything
        else could be made by another member, or be a recording from before a restart, of the peer or of ours: the peer
        is asked, and leaves if it is silent. Only a mere claim goes as it came.
        """
        message = received.message
        key, timestamp, is_proven = message.sender, message.stamp.timestamp, standing is Standing.PROVEN
        if self._members.tombstones.refuses_direct(key, timestamp, now):
            return  # said twice: on the LAN and to us
        if standing is Standing.DOUBTFUL and received.channel:
            return  # nobody can prove to a whole LAN that it leaves; it also says so to each
        if standing is Standing.DOUBTFUL:
            raise Rejected(Rejection.UNPROVEN)
        record = self._members.table.get(key)
        if record is None or not (is_proven or self._speaks_from(received.source, record)):
            raise Rejected(Rejection.UNKNOWN_SENDER)
        if not is_proven and abs(self._wall.at(now) - timestamp) > FRESHNESS_S:
            raise Rejected(Rejection.STALE)
        newest = self._members.clocks.newest_proven(key)
        is_of_this_run = is_proven and newest is not None and newest.boot == message.stamp.boot
        if is_of_this_run or record.evidence is Evidence.CLAIM:
            self._members.depart(key, Departure.GOODBYE, now, timestamp, is_proven)
        elif record.is_verified or is_proven:
            self._members.pending_goodbyes.suspect(key, timestamp, now)
        else:
            raise Rejected(Rejection.UNKNOWN_SENDER)  # its addresses are others' words, and asking them costs

    def _speaks_from(self, source: Endpoint, record: PeerRecord) -> bool:
        """Whether a source is one of a peer's addresses, or the one that it has said HELLO from most recently."""
        contact = self._contacts.get(source)
        return source.host in record.hosts() or (contact is not None and contact.key == record.key)
