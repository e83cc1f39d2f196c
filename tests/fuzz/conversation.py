"""A discovery core among strangers: takes datagrams, and asserts what no datagram may do to it."""

from __future__ import annotations

import ipaddress
import random
from collections import Counter
from pathlib import Path

from fuzz.messages import GO, NATIVE, NOW
from fuzz.rules import accepted, check_hidden
from support.discovery.discovery_wire import KEYS, SECRET, describe
from wgmesh.core.model import Endpoint, PeerProof
from wgmesh.core.sansio import Transmit
from wgmesh.core.wire.envelope import MessageType, Opened, open_envelope
from wgmesh.discovery.assembly import Randomness
from wgmesh.discovery.core import DiscoveryCore
from wgmesh.discovery.dht import DhtRequest, MainlineEvent
from wgmesh.discovery.events import DhtRequested
from wgmesh.discovery.exchange.transactions import RESEND_AT_S
from wgmesh.discovery.host_interfaces import LanInterface
from wgmesh.discovery.members.contacts import CONCURRENT_HEARD_MAX, CONCURRENT_MAX
from wgmesh.discovery.settings import DiscoverySettings

OWN = Endpoint.of("192.168.1.1", KEYS.gossip_port)
DATAGRAM_MAX = 1232  # what fits into the 1280 bytes that every IPv6 path carries
ANSWERS_MAX = 1  # datagrams to the source of one datagram, at once
# Datagrams that one authentic message may cause at once: its answer, and a HELLO to each address that it makes worth
# asking. Those that are asked at a time are bounded over all messages.
SENT_AT_ONCE_MAX = ANSWERS_MAX + CONCURRENT_MAX + CONCURRENT_HEARD_MAX
HELLOS = 1 + len(RESEND_AT_S)  # to an address that never answers, each time it is asked
RETRY_S = 5.0  # the shortest pause between two rounds
TIMER_TURNS_MAX = 1000


class Conversation:
    """One core with a Go neighbour and one of our own kind, both with a working tunnel."""

    def __init__(self) -> None:
        chance = random.Random(1)
        settings = DiscoverySettings(
            SECRET, "wg0", Path("/nonexistent"), "node-1", gossip=True, introducer=True, dht=True
        )
        self.core = DiscoveryCore(settings, Randomness(chance.randbytes, chance.random), chance.randbytes(8))
        self.now = NOW
        self.sent: list[Transmit] = []
        self.dht_request: DhtRequest | None = None
        self._authentic: Counter[Endpoint] = Counter()
        self._goodbyes = 0
        self.core.set_exchange_port(KEYS.gossip_port, NOW)
        self.core.set_interfaces([LanInterface("eth0", 2, (ipaddress.ip_interface("192.168.1.1/24"),))], NOW)
        self.core.set_self(describe(1), (), NOW)
        for peer in (GO, NATIVE):
            self.core.handle_datagram(peer.hello(NOW - 1), Endpoint.parse(peer.source), NOW)
            self.core.handle_datagram(peer.reply(NOW, str(OWN)), Endpoint.parse(peer.source), NOW)
        proofs = [PeerProof(peer.key, Endpoint.of(peer.host, 51820), NOW) for peer in (GO, NATIVE)]
        self.core.set_self(describe(1), proofs, NOW)
        self._drain()
        self.sent.clear()

    def hear(self, data: bytes, source: Endpoint, channel: str = "") -> None:
        """Hands over one datagram, at an instant at which no timer is due."""
        self.wait(0.0)
        opened = accepted(lambda: open_envelope(data, KEYS.gossip_key, self.now))
        before, earlier = self._known(), len(self.sent)
        self.core.handle_datagram(data, source, self.now, channel)
        self._drain()
        answers = self.sent[earlier:]
        if opened is None:
            assert answers == [], "bytes of an outsider were answered"
            assert self._known() == before, "bytes of an outsider changed what is known"
        else:
            self._check_answers(opened, answers, data, source)

    def hear_dht(self, event: MainlineEvent) -> None:
        """Hands over what somebody's node of the DHT says. Addresses may be tried, but nobody is known by them."""
        self.wait(0.0)
        before = self._known()
        self.core.handle_dht(event, self.now)
        self._drain()
        assert self._known() == before, "what a DHT says changed what is known"

    def wait(self, span_s: float) -> None:
        """Lets time pass; each timer has its own instant."""
        end = self.now + span_s
        for _ in range(TIMER_TURNS_MAX):
            due_at = self.core.poll_timeout()
            if due_at is None or due_at > end:
                self.now = end
                return
            self.now = max(self.now, due_at)
            self.core.handle_timeout(self.now)
            self._drain()
        raise AssertionError("a timer spins")

    def check_bounds(self) -> None:
        """Asserts that every memory is within its bound, and that nobody was flooded in our name."""
        for memory, (count, bound) in self.core.occupancy().items():
            assert count <= bound, f"{memory}: {count} of {bound}"
        rounds = 2 + (self.now - NOW) / RETRY_S + self._goodbyes
        for address, count in Counter(each.to for each in self.sent if not each.channel).items():
            assert count <= HELLOS * rounds + ANSWERS_MAX * self._authentic[address], f"{address} is flooded"

    def _check_answers(self, opened: Opened, answers: list[Transmit], data: bytes, source: Endpoint) -> None:
        self._authentic[source] += 1
        self._goodbyes += opened.type == MessageType.GOODBYE
        assert len(answers) <= SENT_AT_ONCE_MAX
        if opened.type == MessageType.PROBE:
            assert sum(len(each.data) for each in answers) <= 2.5 * len(data), "a PROBE is amplified"

    def _drain(self) -> None:
        while (event := self.core.poll_event()) is not None:
            check_hidden(repr(event))
            if isinstance(event, DhtRequested):
                self.dht_request = event.request
        while (transmit := self.core.poll_transmit()) is not None:
            assert len(transmit.data) <= DATAGRAM_MAX
            assert transmit.data.startswith(b"{")
            self.sent.append(transmit)

    def _known(self) -> object:
        snapshot = self.core.snapshot()
        peers = [
            (peer.public_key, peer.hostname, peer.mesh_ipv4, peer.routable_networks, peer.control_endpoint,
             tuple(each.endpoint for each in peer.candidates))
            for peer in snapshot.peers
        ]  # fmt: skip
        return peers, snapshot.observed_endpoints
