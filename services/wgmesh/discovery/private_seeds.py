"""Nodes through which a member may enter the private DHT: those it was given, and those that it once knew."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from wgmesh.core.errors import MalformedMessage
from wgmesh.core.jsonstrict import parse_json, to_json
from wgmesh.core.model import Endpoint
from wgmesh.discovery.private_contacts import node_id

MAX_GIVEN = 64
MAX_REMEMBERED = 200
MAX_STATE_BYTES = 64 * 1024  # 200 entries have less than 30 KB
TURN = 4  # of each kind at a time


class Seeds:
    """Both kinds take turns, so that dead ones never stand in the way for long."""

    def __init__(self) -> None:
        self._given: OrderedDict[Endpoint, None] = OrderedDict()
        self._remembered: OrderedDict[Endpoint, None] = OrderedDict()

    def give(self, endpoints: Iterable[Endpoint]) -> None:
        """Takes what the operator has named. It is never forgotten."""
        for endpoint in endpoints:
            if len(self._given) < MAX_GIVEN:
                self._given[endpoint] = None

    def remember(self, endpoints: Iterable[Endpoint]) -> None:
        """Takes nodes that may be there; they come next. The one that was tried longest ago goes first."""
        for endpoint in endpoints:
            self._remembered[endpoint] = None
            self._remembered.move_to_end(endpoint, last=False)
            if len(self._remembered) > MAX_REMEMBERED:
                self._remembered.popitem()

    def forget(self, endpoint: Endpoint) -> None:
        """Takes it that a node is known otherwise."""
        self._remembered.pop(endpoint, None)

    def __contains__(self, endpoint: Endpoint) -> bool:
        return endpoint in self._given or endpoint in self._remembered

    def turn(self) -> list[Endpoint]:
        """Returns the next few of both kinds."""
        chosen: list[Endpoint] = []
        for kind in (self._given, self._remembered):
            for endpoint in list(kind)[:TURN]:
                kind.move_to_end(endpoint)
                chosen.append(endpoint)
        return list(dict.fromkeys(chosen))

    def all(self) -> list[Endpoint]:
        return list(dict.fromkeys((*self._given, *self._remembered)))

    def remembered(self) -> list[Endpoint]:
        return list(self._remembered)


def encode_nodes(endpoints: Iterable[Endpoint], key: bytes) -> bytes:
    """Returns JSON: `{"nodes":[{"id":hex,"endpoint":"192.0.2.1:4001"}]}`, at most 200."""
    nodes = [{"id": node_id(each, key).hex(), "endpoint": str(each)} for each in list(endpoints)[:MAX_REMEMBERED]]
    return to_json({"nodes": nodes})


def decode_nodes(data: bytes, key: bytes) -> list[Endpoint]:
    """Reads what `encode_nodes` wrote. Never raises: what is damaged, or of another mesh, is left out."""
    try:
        value = parse_json(data, MAX_STATE_BYTES)
    except MalformedMessage:
        return []
    nodes = value.get("nodes") if isinstance(value, dict) else None
    if not isinstance(nodes, list):
        return []
    found = (_node(each, key) for each in nodes[:MAX_REMEMBERED])
    return [endpoint for endpoint in found if endpoint is not None]


def _node(entry: object, key: bytes) -> Endpoint | None:
    if not isinstance(entry, dict) or not isinstance(text := entry.get("endpoint"), str):
        return None
    try:
        endpoint = Endpoint.parse(text)
    except ValueError:
        return None
    return endpoint if entry.get("id") == node_id(endpoint, key).hex() else None
