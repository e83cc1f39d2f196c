from __future__ import annotations

import ipaddress
from collections.abc import Sized

from wgmesh.core.model import Endpoint
from wgmesh.sim.chance import Chance
from wgmesh.sim.network import Attachment, Host, LinkQuality, Network, Segment
from wgmesh.sim.scheduler import Scheduler

PORT = 5000
GROUP = Endpoint.parse("239.192.1.2:51830")


class Internet:
    """Two routed segments, `a` and `b`, and one that nothing is routed to."""

    def __init__(self, quality: LinkQuality | None = None) -> None:
        self.scheduler = Scheduler(0.0)
        self.network = Network(self.scheduler, Chance(1))
        self.received: list[tuple[str, object, str]] = []
        self.segments = {
            "a": Segment("a", quality or LinkQuality()),
            "b": Segment("b", quality or LinkQuality()),
            "private": Segment("private", routed=False),
        }

    def host(self, name: str, segment: str, address: str) -> Host:
        attachment = Attachment("eth0", self.segments[segment], ipaddress.ip_interface(address))
        host = self.network.add_host(name, attachment)

        def receive(payload: Sized, source: Endpoint) -> None:
            self.received.append((name, payload, str(source)))

        host.receivers[PORT] = receive
        host.group_receivers[("eth0", GROUP)] = receive
        return host

    def send(self, sender: Host, to: str, payload: bytes = b"x") -> None:
        self.network.send(sender, payload, 1234, Endpoint.parse(to))

    def run(self) -> list[tuple[str, object, str]]:
        self.scheduler.run_until(self.scheduler.now + 10)
        return self.received


def test_a_datagram_reaches_its_address_with_its_source_after_the_delay_of_the_way() -> None:
    internet = Internet(LinkQuality(delay_s=0.5, jitter_s=0.0))
    one, _ = internet.host("one", "a", "192.0.2.1/24"), internet.host("two", "b", "198.51.100.1/24")
    internet.send(one, f"198.51.100.1:{PORT}")
    internet.scheduler.run_until(0.9)
    assert internet.received == []
    assert internet.run() == [("two", b"x", "192.0.2.1:1234")]


def test_nothing_arrives_at_a_closed_port_an_unknown_address_or_an_unrouted_segment() -> None:
    internet = Internet()
    one, _ = internet.host("one", "a", "192.0.2.1/24"), internet.host("hidden", "private", "10.0.0.1/24")
    internet.host("two", "a", "192.0.2.2/24")
    for to in ("192.0.2.2:9", "192.0.2.99:5000", "10.0.0.1:5000"):
        internet.send(one, to)
    assert internet.run() == []


def test_multicast_reaches_all_others_of_its_segment_only() -> None:
    internet = Internet()
    one = internet.host("one", "a", "192.0.2.1/24")
    for name, segment, address in (("two", "a", "192.0.2.2/24"), ("far", "b", "198.51.100.1/24")):
        internet.host(name, segment, address)
    internet.network.send(one, b"hello", 51830, GROUP, "eth0")
    assert internet.run() == [("two", b"hello", "192.0.2.1:51830")]


def test_a_partition_stops_datagrams_until_it_heals() -> None:
    internet = Internet()
    one, _ = internet.host("one", "a", "192.0.2.1/24"), internet.host("two", "a", "192.0.2.2/24")
    internet.network.partition(["one"], ["two"])
    internet.send(one, f"192.0.2.2:{PORT}")
    assert internet.run() == [] and internet.network.lost == 1
    internet.network.heal()
    internet.send(one, f"192.0.2.2:{PORT}")
    assert len(internet.run()) == 1


def test_links_lose_duplicate_and_reorder_as_their_quality_says() -> None:
    internet = Internet(LinkQuality(delay_s=0.01, jitter_s=0.5, loss=0.3, duplication=0.2))
    one, _ = internet.host("one", "a", "192.0.2.1/24"), internet.host("two", "a", "192.0.2.2/24")
    for number in range(2000):
        internet.send(one, f"192.0.2.2:{PORT}", number.to_bytes(2, "big"))
    payloads = [payload for _, payload, _ in internet.run()]
    distinct = set(payloads)
    assert 0.65 < len(distinct) / 2000 < 0.75
    assert 0.15 < len(payloads) / len(distinct) - 1 < 0.25
    assert payloads != sorted(payloads, key=str)


def test_what_is_sent_is_counted_at_its_sender() -> None:
    internet = Internet()
    one, _ = internet.host("one", "a", "192.0.2.1/24"), internet.host("two", "a", "192.0.2.2/24")
    internet.send(one, f"192.0.2.2:{PORT}", b"12345")
    internet.send(one, f"192.0.2.2:{PORT}", b"123")
    assert (one.sent.datagrams, one.sent.octets, one.sent.largest) == (2, 8, 5)
