"""A model of one NAT with STUN servers outside, in virtual time, for the machine that checks the network.

The NAT has the behaviours of RFC 4787 as parameters; servers may have a second address (RFC 5780), lie, or be silent.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from wgmesh.core.model import Endpoint, IPAddress
from wgmesh.core.stun import codec as stun
from wgmesh.core.stun.codec import Attribute, AttributeType, Change, Message, MessageType
from wgmesh.nat.check.findings import CheckEvent, CheckFinished, Finding
from wgmesh.nat.check.machine import THROW_AWAY_CHANNELS, NetworkCheck, Scene

CLIENT = Endpoint.parse("192.168.7.2:51820")
CLIENT6 = Endpoint.parse("[2600::7]:51820")
WAN = Endpoint.parse("44.130.0.1:1").host
ONE_WAY_S = 0.015
PORTS = {"ipv4": 51820, "ipv6": 51820} | {name: 33000 + 7 * n for n, name in enumerate(THROW_AWAY_CHANNELS)}

Lie = Callable[[Endpoint], Endpoint]


@dataclass
class Nat:
    """`mapping` and `filtering` are one of EIM/ADM/APDM and EIF/ADF/APDF; `ports` preserving, random or a step."""

    mapping: str = "EIM"
    filtering: str = "APDF"
    ports: str | int = "preserving"
    hairpin: bool = False
    foreign_flows: int = 0
    """Mappings of others between two of ours."""
    first_port: int = 40000
    is_absent: bool = False
    chance: random.Random = field(default_factory=lambda: random.Random(7))
    _mappings: dict[tuple[object, ...], int] = field(default_factory=dict)
    inside: dict[int, Endpoint] = field(default_factory=dict)
    _written: dict[int, set[Endpoint]] = field(default_factory=dict)

    def out(self, source: Endpoint, to: Endpoint) -> Endpoint:
        """The outside endpoint of a datagram that leaves."""
        if self.is_absent or to.host.version == 6:
            return source
        key: tuple[object, ...] = {"EIM": (source,), "ADM": (source, to.host), "APDM": (source, to)}[self.mapping]
        if key not in self._mappings:
            self._mappings[key] = self._new_port(source)
        port = self._mappings[key]
        self.inside[port] = source
        self._written.setdefault(port, set()).add(to)
        return Endpoint(WAN, port)

    def into(self, source: Endpoint, to: Endpoint) -> Endpoint | None:
        """The inside endpoint of a datagram that arrives, None if it is dropped."""
        if self.is_absent or to.host.version == 6:
            return to
        written = self._written.get(to.port, set())
        is_welcome = {
            "EIF": bool(written),
            "ADF": source.host in {each.host for each in written},
            "APDF": source in written,
        }[self.filtering]
        return self.inside.get(to.port) if is_welcome else None

    def _new_port(self, source: Endpoint) -> int:
        taken = set(self._mappings.values())
        if self.ports == "preserving" and source.port not in taken:
            return source.port
        if isinstance(self.ports, int):
            self.first_port += self.ports * (1 + self.foreign_flows)
            return self.first_port
        return next(port for port in iter(lambda: self.chance.randrange(1024, 65536), None) if port not in taken)


@dataclass
class Server:
    """`second` is where else it is and says that it is. `lie` turns what it saw into what it says."""

    at: Endpoint
    second: Endpoint | None = None
    lie: Lie = lambda seen: seen
    is_silent: bool = False
    obeys_change: bool = True
    is_second_alive: bool = True
    error: bool = False

    def addresses(self) -> list[Endpoint]:
        if self.second is None:
            return [self.at]
        first = [self.at, Endpoint(self.at.host, self.second.port)]
        return first + ([self.second, Endpoint(self.second.host, self.at.port)] if self.is_second_alive else [])

    def answer(self, data: bytes, seen: Endpoint, to: Endpoint) -> tuple[bytes, Endpoint] | None:
        """The answer and where it leaves from."""
        request = stun.decode(data)
        if self.is_silent:
            return None
        if self.error:
            return stun.encode(Message(MessageType.BINDING_ERROR, request.transaction_id)), to
        wanted = next((each.value for each in request.attributes if each.type is AttributeType.CHANGE_REQUEST), 0)
        assert isinstance(wanted, int)
        source = to
        if wanted and self.second is not None and self.obeys_change:
            if wanted & Change.ADDRESS and not self.is_second_alive:
                return None
            host = self.second.host if wanted & Change.ADDRESS else to.host
            source = Endpoint(host, self.second.port if wanted & Change.PORT else to.port)
        attributes = [Attribute(AttributeType.XOR_MAPPED_ADDRESS, self.lie(seen))]
        if self.second is not None:
            attributes.append(Attribute(AttributeType.OTHER_ADDRESS, self.second))
        return stun.encode(Message(MessageType.BINDING_SUCCESS, request.transaction_id, tuple(attributes))), source


@dataclass
class Outcome:
    """What one check came to, and what it sent where and when."""

    findings: dict[str, Finding]
    finished_at: float
    sent: list[tuple[float, Endpoint, bytes]]


def check(
    nat: Nat,
    *servers: Server,
    peers: dict[IPAddress, int] | None = None,
    global_ipv6: IPAddress | None = None,
    loses: Callable[[int], bool] = lambda number: False,
    asked: list[Endpoint] | None = None,
    is_wireguard_port: bool = True,
) -> Outcome:
    """Runs a check to its end. `loses(n)` drops the n-th datagram that leaves, before the NAT."""
    client = Endpoint(WAN, CLIENT.port) if nat.is_absent else CLIENT
    scene = Scene(
        tuple(asked if asked is not None else [server.at for server in servers]),
        PORTS,
        frozenset({client.host, CLIENT6.host}),
        is_wireguard_port=is_wireguard_port,
        global_ipv6=global_ipv6,
        peers=peers or {},
    )
    by_address = {address: server for server in servers for address in server.addresses()}
    machine = NetworkCheck(scene, random.Random(1).randbytes, 0.0)
    order = itertools.count()
    flying: list[tuple[float, int, bytes, Endpoint, Endpoint]] = []  # what arrives at the client: at, data, from, to
    outcome = Outcome({}, -1.0, [])
    channels: dict[Endpoint, str] = {}
    now = 0.0
    while outcome.finished_at < 0:
        while (transmit := machine.poll_transmit()) is not None:
            inside = CLIENT6.host if transmit.to.host.version == 6 else client.host
            source = Endpoint(inside, PORTS[transmit.channel])
            channels[source] = transmit.channel
            outcome.sent.append((now, transmit.to, transmit.data))
            if loses(len(outcome.sent)):
                continue
            outside = nat.out(source, transmit.to)
            if transmit.to.host == WAN and nat.hairpin:
                heapq.heappush(flying, (now + ONE_WAY_S, next(order), transmit.data, outside, transmit.to))
            server = by_address.get(transmit.to)
            answer = server.answer(transmit.data, outside, transmit.to) if server is not None else None
            if answer is not None:
                heapq.heappush(flying, (now + 2 * ONE_WAY_S, next(order), answer[0], answer[1], outside))
        while (event := machine.poll_event()) is not None:
            _note(event, outcome, now)
        due = [at for at in (machine.poll_timeout(), flying[0][0] if flying else None) if at is not None]
        if not due:
            break
        now = max(now, min(due))
        if flying and flying[0][0] <= now:
            _, _, data, source, to = heapq.heappop(flying)
            is_hairpin = source.host == WAN == to.host and nat.hairpin
            into = nat.inside.get(to.port) if is_hairpin else nat.into(source, to)
            if into is not None and into in channels:
                machine.handle_datagram(data, source, now, channels[into])
        else:
            machine.handle_timeout(now)
    return outcome


def _note(event: CheckEvent, outcome: Outcome, now: float) -> None:
    if isinstance(event, CheckFinished):
        outcome.finished_at = now
    else:
        assert event.subject.value not in outcome.findings, "each is told once"
        outcome.findings[event.subject.value] = event
