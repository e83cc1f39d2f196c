"""One check of the network, without I/O: three stages of questions, and a finding as soon as it is certain.

1. Every server is asked from WireGuard's own port: does UDP get out, and does each see the same port?
2. A few servers are asked from throw-away ports, one after the other: how does the NAT choose ports?
3. Servers with a second address (RFC 5780) are asked there, and told to answer from there: does the destination's port
   count, and who may come in? And a throw-away socket sends to the outside endpoint of another one.

Five seconds and DATAGRAMS_MAX datagrams are the end of it in any case. What was not asked stays unknown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from wgmesh.core.model import Endpoint, IPAddress
from wgmesh.core.sansio import Transmit
from wgmesh.core.stun.codec import Change
from wgmesh.core.stun.prober import channel_of
from wgmesh.nat.check import conclusions
from wgmesh.nat.check.findings import CheckEvent, CheckFinished, Finding
from wgmesh.nat.check.questions import Question, Questions, SecondAddress

CHECK_S = 5.0  # three stages that each hear nothing take 4.2 s
POLICY_SERVERS_MAX = 3  # with the four throw-away ports twelve datagrams
SECOND_SERVERS_MAX = 2  # two have to agree; each costs nine datagrams where nothing comes in
FRESH_CHANNELS = ("fresh0", "fresh1", "fresh2", "fresh3")
FILTER_CHANNELS = ("filter0", "filter1")  # one a server with a second address, used for that server alone
HAIRPIN_CHANNEL = "hairpin"
THROW_AWAY_CHANNELS = (*FRESH_CHANNELS, *FILTER_CHANNELS, HAIRPIN_CHANNEL)


@dataclass(frozen=True, slots=True)
class Scene:
    """What is known before anything is asked.

    `ports` are the local ports by channel; those of the channels ipv4 and ipv6 are WireGuard's own, or beside it where
    `is_wireguard_port` is False. `local_addresses` are those from which the servers are reached, `global_ipv6` that
    from which the IPv6 Internet would be. `peers` counts who sees this host at an address.
    """

    servers: tuple[Endpoint, ...]
    ports: Mapping[str, int]
    local_addresses: frozenset[IPAddress] = frozenset()
    unresolved: tuple[str, ...] = ()
    is_wireguard_port: bool = True
    global_ipv6: IPAddress | None = None
    peers: Mapping[IPAddress, int] = field(default_factory=dict)


class NetworkCheck:
    """A DatagramCore that reports findings and then that it has finished. It begins at `now`."""

    def __init__(self, scene: Scene, random_bytes: Callable[[int], bytes], now: float) -> None:
        self._scene = scene
        self._questions = Questions(random_bytes)
        self._ends_at = now + CHECK_S
        self._events: deque[CheckEvent] = deque()
        self._stages = self._run()
        self._is_running = True
        self._advance()

    @property
    def sent_count(self) -> int:
        return self._questions.sent_count

    def handle_datagram(self, data: bytes, source: Endpoint, now: float, channel: str = "") -> None:
        self._questions.handle_datagram(data, source, now, channel)
        self._advance()

    def handle_timeout(self, now: float) -> None:
        if now >= self._ends_at:
            self._questions.stop()
        self._questions.handle_timeout(now)
        self._advance()

    def poll_transmit(self) -> Transmit | None:
        return self._questions.poll_transmit()

    def poll_event(self) -> CheckEvent | None:
        return self._events.popleft() if self._events else None

    def poll_timeout(self) -> float | None:
        if not self._is_running:
            return None
        due_at = self._questions.poll_timeout()
        return self._ends_at if due_at is None else min(due_at, self._ends_at)

    def _advance(self) -> None:
        while self._is_running and self._questions.is_idle:
            self._is_running = next(self._stages, False)
            if not self._is_running:
                self._events.append(CheckFinished())

    def _run(self) -> Iterator[bool]:
        """Each turn asks the questions of one stage; the next one comes when all of them are answered or given up."""
        scene = self._scene
        reach = [self._ask(channel_of(server), server) for server in scene.servers]
        yield True
        self._tell(conclusions.udp(scene.unresolved, bool(scene.local_addresses), reach))
        self._tell(conclusions.ipv6(scene.global_ipv6, scene.ports, reach))
        hosts = conclusions.one_a_host(each for each in reach if each.is_answered and each.to.host.version == 4)

        fresh = [[self._ask(channel, server.to) for channel in FRESH_CHANNELS] for server in hosts[:POLICY_SERVERS_MAX]]
        yield True
        self._tell(conclusions.ports(scene.ports, fresh))

        seconds = self._ask_seconds(hosts)
        seen = conclusions.behaviour(scene.local_addresses, scene.ports, scene.peers, reach)
        outside = None if seen.is_untranslated else conclusions.outside_of_fresh(fresh)
        hairpin = self._ask_hairpin(outside)
        yield True
        self._tell(conclusions.mapping(seen, scene.ports, scene.is_wireguard_port, reach, seconds))
        self._tell(conclusions.filtering(scene.ports, seconds))
        self._tell(conclusions.hairpin(scene.ports, seen.is_untranslated, hairpin))

    def _ask(self, channel: str, to: Endpoint) -> Question:
        return self._questions.ask(Question(channel, to))

    def _ask_seconds(self, hosts: Sequence[Question]) -> list[SecondAddress]:
        asked = []
        willing = [each for each in hosts if each.other is not None]
        for channel, server in zip(FILTER_CHANNELS, willing[:SECOND_SERVERS_MAX], strict=False):
            other, to = server.other, server.to
            assert other is not None
            shifted = Endpoint(to.host, other.port)
            asked.append(
                SecondAddress(
                    server,
                    other,
                    other_port=self._ask(server.channel, shifted),
                    other_host=self._ask(server.channel, other),
                    control=self._ask(channel, to),
                    moved=self._questions.ask(Question(channel, to, Change.ADDRESS | Change.PORT, other)),
                    shifted=self._questions.ask(Question(channel, to, Change.PORT, shifted)),
                )
            )
        return asked

    def _ask_hairpin(self, outside: Endpoint | None) -> Question | None:
        if outside is None:
            return None
        return self._questions.ask(Question(HAIRPIN_CHANNEL, outside, arrives_at=FRESH_CHANNELS[0]))

    def _tell(self, finding: Finding) -> None:
        self._events.append(finding)
