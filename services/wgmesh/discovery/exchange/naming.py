"""The addresses that a message names, besides the one it came from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from wgmesh.core.model import Endpoint, IPAddress
from wgmesh.core.wire.announcement import Announcement, Goodbye, KnownPeer
from wgmesh.core.wire.gossip_message import Gossip
from wgmesh.core.wire.rendezvous import Offer, Start
from wgmesh.discovery.messages.inbox import Body


def named_hosts(body: Body) -> set[IPAddress]:
    """Returns the hosts at which the message says that somebody may be reached."""
    return {endpoint.host for endpoint in _named(body)}


def _named(body: Body) -> Iterator[Endpoint]:
    match body:
        case Announcement():
            if body.endpoint is not None and body.endpoint.literal is not None:
                yield body.endpoint.literal
            if body.extension is not None:
                yield from body.extension.candidates
            for known in body.known_peers:
                yield from _places(known)
        case Gossip():
            for known in body.records:
                yield from _places(known)
        case Offer() | Start():
            yield from body.candidates
        case Goodbye():
            pass
        case _:
            assert_never(body)


def _places(known: KnownPeer) -> Iterator[Endpoint]:
    if known.endpoint is not None and known.endpoint.literal is not None:
        yield known.endpoint.literal
    yield from known.candidates
