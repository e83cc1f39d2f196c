"""Asks an address whether a member of the mesh answers there, without a running node and without becoming a peer.

`ProbeSession` is the protocol without I/O; `ask` gives it sockets and a clock.
"""

from __future__ import annotations

import os
import selectors
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from wgmesh.core.errors import MalformedMessage, MeshError, NotSealed
from wgmesh.core.model import Endpoint
from wgmesh.core.wire.envelope import MAX_DATAGRAM_BYTES, NONCE_BYTES, MessageType, open_envelope, seal
from wgmesh.core.wire.probe import TOKEN_BYTES, Probe, ProbeReply, decode_probe_reply, encode_probe

RETRY_GAP_S = 0.5  # twice the slowest ordinary round trip on earth; ten questions a second is what a node tolerates
ADDRESSES_MAX = 4  # of one host name; more would only make the wait for the last one pointless

REFUSALS_MAX = 3  # one "port unreachable" may be a node that is just starting; three in a row are not

Address = tuple[socket.AddressFamily, Endpoint]


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """Who answered, from where, and how long it took in seconds."""

    reply: ProbeReply
    source: Endpoint
    round_trip_s: float


class ProbeSession:
    """One question, asked again until it is answered. Each datagram has its own token, so a round trip is exact."""

    def __init__(self, gossip_key: bytes, random_bytes: Callable[[int], bytes]) -> None:
        self._key = gossip_key
        self._random_bytes = random_bytes
        self._asked: dict[bytes, float] = {}
        self.foreign_count = 0
        """Datagrams that came back and were not sealed with this mesh's key."""
        self.rejections: list[str] = []
        """Why sealed answers were not accepted, for example a clock that is wrong."""

    def question(self, now: float, unix_time: float) -> bytes:
        """Returns the next datagram. `now` is monotonic, `unix_time` the wall clock for the envelope."""
        token = self._random_bytes(TOKEN_BYTES)
        self._asked[token] = now
        payload = encode_probe(Probe(token), int(unix_time))
        return seal(MessageType.PROBE, payload, self._key, self._random_bytes(NONCE_BYTES))

    def answer(self, datagram: bytes, source: Endpoint, now: float, unix_time: float) -> ProbeAnswer | None:
        """Returns the answer in a datagram; None, and a note of the reason, for anything else."""
        try:
            opened = open_envelope(datagram, self._key, unix_time)
            if opened.type != MessageType.PROBE_REPLY:
                return None
            reply = decode_probe_reply(opened.payload)
        except MalformedMessage as error:
            if isinstance(error, NotSealed) or not datagram.startswith(b"{"):
                self.foreign_count += 1
            else:
                self.rejections.append(str(error))
            return None
        asked_at = self._asked.get(reply.token)
        return None if asked_at is None else ProbeAnswer(reply, source, now - asked_at)

    def failure(self, where: str, timeout_s: float, refused: bool) -> MeshError:
        """The error for a question that was not answered, with the cause where it is known."""
        if self.rejections:
            cause = f"{where} is a member but its answer was refused ({self.rejections[-1]})"
            return MeshError(f"{cause}; compare the clocks and versions")
        if self.foreign_count:
            cause = f"something at {where} answers, but not with this secret"
            return MeshError(f"{cause}; it is in another mesh or is no wgmesh at all")
        if refused:
            cause = f"nothing listens at {where}"
            return MeshError(f"{cause}; check that wgmesh runs there and that the port is its exchange port")
        return MeshError(
            f"no answer from {where} within {timeout_s:g} s; the node is down or has another secret, a firewall or NAT"
            " is in the way, or it is an upstream node, which does not answer this question"
        )


def resolve(host: str, port: int) -> list[Address]:
    """Looks up a host name or literal. Raises MeshError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except socket.gaierror as error:
        raise MeshError(f"the name {host!r} cannot be looked up: {error.strerror}") from None
    except UnicodeError:
        raise MeshError(f"{host!r} is not a host name") from None
    addresses: list[Address] = [(family, Endpoint.of(str(address[0]), port)) for family, _, _, _, address in found]
    return list(dict.fromkeys(addresses))[:ADDRESSES_MAX]


def ask(session: ProbeSession, addresses: Sequence[Address], timeout_s: float) -> ProbeAnswer:
    """Sends questions to all addresses until one answers.

    Raises MeshError with the cause when none does in time, or sooner when nothing listens at any of them.
    """
    deadline = time.monotonic() + timeout_s
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        lines = [_Line(stack.enter_context(_connected(*address)), address[1]) for address in addresses]
        for line in lines:
            selector.register(line.socket, selectors.EVENT_READ, line)
        while (now := time.monotonic()) < deadline and any(line.refusals < REFUSALS_MAX for line in lines):
            for line in lines:
                line.send(session.question(now, time.time()))
            answer = _await(selector, session, min(deadline, now + RETRY_GAP_S))
            if answer is not None:
                return answer
    where = " or ".join(str(line.endpoint) for line in lines)
    raise session.failure(where, timeout_s, refused=all(line.refusals for line in lines))


def probe(gossip_key: bytes, addresses: Sequence[Address], timeout_s: float) -> ProbeAnswer:
    """Asks with real randomness. Raises MeshError with the cause when nobody answers."""
    return ask(ProbeSession(gossip_key, os.urandom), addresses, timeout_s)


@dataclass(slots=True)
class _Line:
    """A socket to one address, and how often it was told that nothing listens there."""

    socket: socket.socket
    endpoint: Endpoint
    refusals: int = 0

    def send(self, datagram: bytes) -> None:
        try:
            self.socket.send(datagram)
        except BlockingIOError:
            return  # the queue is full for a moment; the next question comes soon
        except OSError:
            self.refusals += 1

    def receive(self) -> bytes | None:
        try:
            return self.socket.recv(MAX_DATAGRAM_BYTES)
        except OSError:
            self.refusals += 1
            return None


def _connected(family: socket.AddressFamily, endpoint: Endpoint) -> socket.socket:
    """A socket that receives from this address only, and is told when nothing listens there."""
    made = socket.socket(family, socket.SOCK_DGRAM)
    try:
        made.setblocking(False)
        made.connect((str(endpoint.host), endpoint.port))
    except OSError as error:
        made.close()
        raise MeshError(f"{endpoint} cannot be reached from here: {error.strerror}") from None
    return made


def _await(selector: selectors.BaseSelector, session: ProbeSession, until: float) -> ProbeAnswer | None:
    """Waits for the answer, or until a time; refusals and foreign datagrams end nothing."""
    while (left := until - time.monotonic()) > 0:
        for key, _ in selector.select(left):
            line: _Line = key.data
            datagram = line.receive()
            if datagram is None:
                continue
            answer = session.answer(datagram, line.endpoint, time.monotonic(), time.time())
            if answer is not None:
                return answer
    return None
