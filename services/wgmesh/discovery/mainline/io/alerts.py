"""What libtorrent's alerts say.

They are told apart by the name of their class, so that this module does not load the library.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from wgmesh.core.model import Endpoint
from wgmesh.discovery.dht import (
    Bootstrapped,
    ItemFound,
    ItemMissing,
    ItemStored,
    MainlineEvent,
    NodesCounted,
    OutsideAddressSeen,
    PeersFound,
)
from wgmesh.discovery.mainline.known_nodes import RoutingNode

PEERS_MAX = 256  # of one reply; libtorrent's own nodes send up to 100


def event_of(alert: Any) -> MainlineEvent | None:
    """Copies an alert that needs no more than to be told; None for all others and for those without content."""
    match type(alert).__name__:
        case "dht_get_peers_reply_alert":
            endpoints = usable_endpoints(alert.peers()[:PEERS_MAX])
            return PeersFound(alert.info_hash.to_bytes(), endpoints) if endpoints else None
        case "dht_mutable_item_alert":
            return _item_event(alert)
        case "dht_put_alert" if any(alert.public_key):  # an immutable item has none
            return ItemStored(alert.public_key, alert.salt, alert.seq, alert.num_success)
        case "external_ip_alert":
            return next(
                (OutsideAddressSeen(each.host) for each in usable_endpoints([(alert.external_address, 1)])), None
            )
        case "session_stats_alert":
            return NodesCounted(alert.values["dht.dht_nodes"])
        case "dht_bootstrap_alert":
            return Bootstrapped()
        case _:
            return None


def live_nodes(alert: Any) -> tuple[RoutingNode, ...]:
    """The content of a dht_live_nodes_alert."""
    return tuple(
        RoutingNode(node["nid"].to_bytes(), endpoint)
        for node in alert.nodes
        for endpoint in usable_endpoints([node["endpoint"]])
    )


def usable_endpoints(pairs: Iterable[tuple[str, int]]) -> tuple[Endpoint, ...]:
    """Drops what cannot be an endpoint: anybody may have announced port 0."""
    return tuple(_usable(pairs))


def _usable(pairs: Iterable[tuple[str, int]]) -> Iterator[Endpoint]:
    for host, port in pairs:
        with suppress(ValueError):
            yield Endpoint.of(host, port)


def _item_event(alert: Any) -> ItemFound | ItemMissing | None:
    if alert.item == b"":  # what libtorrent shows where nothing was found, beside a signature of any bytes
        return ItemMissing(alert.key, alert.salt) if alert.authoritative else None
    # Strangers may store lists and numbers under keys of their own.
    return ItemFound(alert.key, alert.salt, alert.item, alert.seq) if isinstance(alert.item, bytes) else None
