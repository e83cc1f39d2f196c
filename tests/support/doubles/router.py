"""A home router in virtual time: PCP, NAT-PMP and UPnP-IGD by the RFCs, apart from the codecs under test."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from wgmesh.core.model import Endpoint
from wgmesh.core.sansio import Transmit
from wgmesh.nat.portmapping.mapper import ROUTER, Changed, FetchWanted, Mapper, Wanted
from wgmesh.nat.portmapping.steps import Site

GATEWAY = IPv4Address("192.168.7.1")
OWN = IPv4Address("192.168.7.2")
OUTSIDE = IPv4Address("44.130.0.1")
WIREGUARD, EXCHANGE = 51820, 52000
WANTED = Wanted(Site(GATEWAY, OWN), (WIREGUARD, EXCHANGE))
SEED = bytes(range(16))

DESCRIPTION = b"""<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0"><device><deviceList><device><serviceList>
<service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:%d</serviceType><controlURL>/ctl</controlURL></service>
</serviceList></device></deviceList></device></root>"""


@dataclass
class Router:
    """What it forwards, by internal port; `speaks` of pcp, natpmp, upnp. `began_at` is when it last lost all."""

    speaks: set[str]
    outside: IPv4Address = OUTSIDE
    lifetime_s: int = 7200
    began_at: float = 0.0
    result: int = 0
    forwards: dict[int, int] = field(default_factory=dict)
    taken: set[int] = field(default_factory=set)
    igd_version: int = 1
    only_permanent: bool = False
    refuses_port: int = 0
    location: str = f"http://{GATEWAY}:5000/desc.xml"

    def forget(self, now: float) -> None:
        self.forwards.clear()
        self.began_at = now

    def answer(self, datagram: Transmit, now: float) -> tuple[bytes, Endpoint] | None:
        data, epoch = datagram.data, int(now - self.began_at)
        source = Endpoint(GATEWAY, datagram.to.port)
        if data[:1] == b"M":
            return (self._found(), source) if "upnp" in self.speaks and datagram.to.host == GATEWAY else None
        if data[0] == 2:
            if "pcp" in self.speaks:
                return self._pcp(data, epoch), source
            return (struct.pack("!BBHI", 0, 0x81, 1, epoch), source) if "natpmp" in self.speaks else None
        return (self._natpmp(data, epoch), source) if "natpmp" in self.speaks else None

    def _forward(self, port: int, external: int, lifetime_s: int) -> int:
        if not lifetime_s:
            self.forwards.pop(port, None)
            return external
        while external in self.taken:
            external += 1
        self.forwards[port] = external
        return external

    def _pcp(self, data: bytes, epoch: int) -> bytes:
        lifetime_s = struct.unpack_from("!I", data, 4)[0]
        nonce, protocol, port, suggested = struct.unpack_from("!12sB3xHH", data, 24)
        result = 2 if port == self.refuses_port else self.result
        external = suggested if result else self._forward(port, suggested, lifetime_s)
        granted = min(lifetime_s, self.lifetime_s)
        mapped = bytes(10) + b"\xff\xff" + self.outside.packed
        return struct.pack("!BBBBII12x", 2, 0x81, 0, result, granted, epoch) + struct.pack(
            "!12sB3xHH16s", nonce, protocol, port, external, mapped
        )

    def _natpmp(self, data: bytes, epoch: int) -> bytes:
        if data[1] == 0:
            return struct.pack("!BBHI4s", 0, 0x80, self.result, epoch, self.outside.packed)
        _, _, _, port, suggested, lifetime_s = struct.unpack("!BBHHHI", data)
        external = self._forward(port, suggested, lifetime_s)
        return struct.pack("!BBHIHHI", 0, 0x81, self.result, epoch, port, external, min(lifetime_s, self.lifetime_s))

    def _found(self) -> bytes:
        target = "urn:schemas-upnp-org:device:InternetGatewayDevice:1"
        return f"HTTP/1.1 200 OK\r\nST: {target}\r\nLOCATION: {self.location}\r\n\r\n".encode()

    def fetch(self, request: bytes) -> bytes:
        head = request.split(b"\r\n", 1)[0]
        if head.startswith(b"GET"):
            return _response(200, DESCRIPTION % self.igd_version)
        text = request.decode()
        if "#GetExternalIPAddress" in text:
            return _response(200, f"<a><NewExternalIPAddress>{self.outside}</NewExternalIPAddress></a>".encode())
        external = int(text.split("<NewExternalPort>")[1].split("<")[0])
        if "#DeletePortMapping" in text:
            self.forwards = {port: other for port, other in self.forwards.items() if other != external}
            return _response(200, b"<a/>")
        port = int(text.split("<NewInternalPort>")[1].split("<")[0])
        if self.only_permanent and "<NewLeaseDuration>0<" not in text:
            return _refusal(725)
        if "#AddAnyPortMapping" in text:
            self.forwards[port] = 61000
            return _response(200, b"<a><NewReservedPort>61000</NewReservedPort></a>")
        if external in self.taken:
            return _refusal(718)
        if port == self.refuses_port:
            return _refusal(606)
        self.forwards[port] = external
        return _response(200, b"<a/>")


def _response(status: int, body: bytes) -> bytes:
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _refusal(code: int) -> bytes:
    return _response(500, f"<s><UPnPError><errorCode>{code}</errorCode></UPnPError></s>".encode())


class Home:
    """A mapper and its router, in virtual time. `sent` is everything that left, with the time."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self.now = 1000.0
        router.began_at = 0.0
        self.mapper = Mapper(SEED, lambda host: "" if host == OUTSIDE else f"{host} is no good")
        self.sent: list[tuple[float, Transmit | FetchWanted]] = []
        self.is_reachable = True
        self.changes = 0

    def want(self, wanted: Wanted | None) -> None:
        self.mapper.want(wanted, self.now)
        self.settle()

    def settle(self) -> None:
        """Carries everything to and fro until both are silent."""
        for _ in range(200):
            transmit, event = self.mapper.poll_transmit(), self.mapper.poll_event()
            if transmit is None and event is None:
                return
            if transmit is not None:
                assert transmit.channel == ROUTER
                self.sent.append((self.now, transmit))
                answer = self.router.answer(transmit, self.now) if self.is_reachable else None
                if answer is not None:
                    self.mapper.handle_datagram(*answer, self.now, ROUTER)
            if isinstance(event, FetchWanted):
                self.sent.append((self.now, event))
                data = self.router.fetch(event.fetch.request) if self.is_reachable else None
                self.mapper.handle_fetched(event.number, data, self.now)
            if isinstance(event, Changed):
                self.changes += 1
        raise AssertionError("they never stop")

    def run(self, for_s: float) -> None:
        """Lets time pass, doing what is due when it is due."""
        end = self.now + for_s
        while (due := self.mapper.poll_timeout()) is not None and due <= end:
            self.now = max(self.now, due)
            self.mapper.handle_timeout(self.now)
            self.settle()
        self.now = end

    @property
    def external(self) -> Endpoint | None:
        made = self.mapper.mapping(WIREGUARD)
        return None if made is None else made.external

    def sent_since(self, count: int) -> list[float]:
        return [at for at, _ in self.sent[count:]]
