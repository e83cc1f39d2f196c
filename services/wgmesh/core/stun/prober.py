"""Asks STUN servers where they see us, without I/O.

All servers are asked in one round, because only answers of about the same moment can be compared. A round ends when
each server has answered or fallen silent; the next one starts a minute after a round with an answer, and ever later
after rounds without.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wgmesh.core.errors import MalformedMessage
from wgmesh.core.model import Endpoint, IPAddress
from wgmesh.core.sansio import Transmit
from wgmesh.core.stun import codec as stun
from wgmesh.core.stun.events import AnswerRefused, Event, MappingLearned, ServerSilent

# RFC 8489, section 6.2.1: a first time-out of 500 ms that doubles. Four requests, not seven: nobody waits for the
# answer, and a mapping is asked for again soon.
RETRY_GAPS_S = (0.5, 1.0, 2.0, 4.0)

ROUND_GAP_S = 60.0  # upstream's refresh; below the 120 s that RFC 4787 (REQ-5) lets a NAT forget a UDP mapping after
SILENCE_GAP_S = 5.0  # after a first round without any answer: the uplink often comes up just after the node
SILENCE_GAP_MAX_S = 300.0  # a node without Internet asks a few times an hour
SKIPPED_ROUNDS_MAX = 7  # one dead server among living ones is asked every eight minutes
SERVERS_MAX = 8  # two are needed; more are an operator's choice, and each costs datagrams


@dataclass(slots=True)
class _Transaction:
    identifier: bytes
    request_count: int
    due_at: float


@dataclass(slots=True)
class _Server:
    endpoint: Endpoint
    is_new: bool = True
    transaction: _Transaction | None = None
    silence_count: int = 0
    skipped_rounds: int = 0


class Prober:
    """A DatagramCore that reports what each server sees.

    `random_bytes(n)` returns n unpredictable bytes: the transaction id keeps strangers from answering for a server.
    Datagrams leave by the channel `ipv4` or `ipv6`, whichever the server's address is of.
    """

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._random_bytes = random_bytes
        self._servers: dict[Endpoint, _Server] = {}
        self._transmits: deque[Transmit] = deque()
        self._events: deque[Event] = deque()
        self._next_round_at: float | None = None
        self._round_was_answered = False
        self._silent_round_count = 0

    def set_servers(self, servers: Sequence[Endpoint], now: float) -> None:
        """Asks exactly these servers from now on; a server that is new among them is asked at once."""
        wanted = list(dict.fromkeys(servers))[:SERVERS_MAX]
        self._servers = {endpoint: self._servers.get(endpoint) or _Server(endpoint) for endpoint in wanted}
        for server in self._servers.values():
            if server.is_new:
                self._next_round_at = None  # it joins the round before, so that its answer is compared with theirs
                self._ask(server, now)
        self._end_round_if_complete(now)

    def ask_all(self, now: float) -> None:
        """Starts a round with every server: the port, the address or the network has changed."""
        self._silent_round_count = 0
        self._begin_round(now, list(self._servers.values()))

    def handle_datagram(self, data: bytes, source: Endpoint, now: float, channel: str = "") -> None:
        """Takes an answer if it comes from an asked server and belongs to its open transaction."""
        server = self._servers.get(source)
        if server is None or server.transaction is None:
            return
        try:
            message = stun.decode(data)
        except MalformedMessage:
            return
        if message.transaction_id != server.transaction.identifier or message.type is stun.MessageType.BINDING_REQUEST:
            return
        server.transaction = None
        try:
            mapped = usable_address(message, source.host)
        except MalformedMessage as error:
            self._fell_silent(server)
            self._events.append(AnswerRefused(source, str(error)))
        else:
            server.silence_count = server.skipped_rounds = 0
            self._round_was_answered = True
            self._events.append(MappingLearned(source, mapped, now))
        self._end_round_if_complete(now)

    def handle_timeout(self, now: float) -> None:
        for server in self._servers.values():
            transaction = server.transaction
            if transaction is None or transaction.due_at > now:
                continue
            if transaction.request_count < len(RETRY_GAPS_S):
                self._send(server, transaction, now)
            else:
                server.transaction = None
                self._fell_silent(server)
                self._events.append(ServerSilent(server.endpoint))
        self._end_round_if_complete(now)
        if self._next_round_at is not None and self._next_round_at <= now:
            self._begin_round(now, self._due_servers())

    def poll_transmit(self) -> Transmit | None:
        return self._transmits.popleft() if self._transmits else None

    def poll_event(self) -> Event | None:
        return self._events.popleft() if self._events else None

    def poll_timeout(self) -> float | None:
        due = [server.transaction.due_at for server in self._servers.values() if server.transaction is not None]
        if self._next_round_at is not None:
            due.append(self._next_round_at)
        return min(due, default=None)

    def _begin_round(self, now: float, servers: Sequence[_Server]) -> None:
        self._next_round_at = None
        self._round_was_answered = False
        for server in servers:
            self._ask(server, now)

    def _due_servers(self) -> list[_Server]:
        """Returns the servers whose turn it is; a silent one sits out some rounds as long as another one answers."""
        servers = list(self._servers.values())
        due = [server for server in servers if server.skipped_rounds == 0]
        if not due or self._silent_round_count:
            return servers
        for server in servers:
            server.skipped_rounds = max(0, server.skipped_rounds - 1)
        return due

    def _ask(self, server: _Server, now: float) -> None:
        server.is_new = False
        server.transaction = _Transaction(self._random_bytes(stun.TRANSACTION_ID_BYTES), 0, now)
        self._send(server, server.transaction, now)

    def _send(self, server: _Server, transaction: _Transaction, now: float) -> None:
        transaction.due_at = now + RETRY_GAPS_S[transaction.request_count]
        transaction.request_count += 1
        self._transmits.append(
            Transmit(stun.request(transaction.identifier), server.endpoint, channel_of(server.endpoint))
        )

    def _fell_silent(self, server: _Server) -> None:
        server.silence_count += 1
        server.skipped_rounds = min(2 ** min(server.silence_count - 1, 8) - 1, SKIPPED_ROUNDS_MAX)

    def _end_round_if_complete(self, now: float) -> None:
        if not self._servers or self._next_round_at is not None:
            return
        if any(server.transaction is not None for server in self._servers.values()):
            return
        if self._round_was_answered:
            self._silent_round_count = 0
            self._next_round_at = now + ROUND_GAP_S
        else:
            self._next_round_at = now + min(SILENCE_GAP_S * 2 ** min(self._silent_round_count, 8), SILENCE_GAP_MAX_S)
            self._silent_round_count += 1


def channel_of(server: Endpoint) -> str:
    """Returns the name of the channel by which a server is asked."""
    return f"ipv{server.host.version}"


def usable_address(message: stun.Message, server: IPAddress) -> Endpoint:
    """Returns where the server saw us. Raises MalformedMessage with the reason why its answer cannot be used."""
    if message.type is not stun.MessageType.BINDING_SUCCESS:
        raise MalformedMessage("it answered with an error")
    if message.mapped is None:
        raise MalformedMessage("its answer holds no address")
    why = why_unbelievable(message.mapped.host, server)
    if why:
        raise MalformedMessage(f"it claims to see us at {message.mapped.host}, which is {why}")
    return message.mapped


def why_unbelievable(host: IPAddress, server: IPAddress) -> str:
    """Returns why a server cannot have met that host, as the end of a sentence; empty if it can.

    A public server is reached over the public Internet, so what it saw is a public address: a private or reserved one
    comes from a lying server or from a gateway that rewrites addresses inside datagrams, and announcing it would send
    peers to a stranger on their own LAN. A private server (a company's own, a lab) rightly sees private addresses.
    """
    if host.version != server.version:
        return "not of the family that it was asked by"
    if (
        host.is_unspecified
        or host.is_multicast
        or (host.version == 4 and host.is_reserved)  # of IPv6 that is half of what is unassigned, and ::1
        or (host.is_link_local and not server.is_link_local)
        or (host.is_loopback and not server.is_loopback)
    ):
        return "no address of a host"
    return "not a public address" if server.is_global and not host.is_global else ""
