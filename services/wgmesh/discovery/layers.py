"""How each way of finding peers fares, as the operator sees it."""

from __future__ import annotations

from collections.abc import Callable

from wgmesh.core.model import DiscoveryLayer, LayerState
from wgmesh.discovery.comparing import GOSSIP
from wgmesh.discovery.finding import DHT
from wgmesh.discovery.greetings import EXCHANGE, STATIC
from wgmesh.discovery.lan_hearing import LAN
from wgmesh.discovery.settings import DiscoverySettings
from wgmesh.discovery.state import DiscoveryState

CACHE = "cache"
NAMES = (LAN, EXCHANGE, GOSSIP, STATIC, CACHE, DHT)
NAMED_MAX = 5  # a layer's detail is one line

Health = tuple[LayerState, str]


class Layers:
    """What the shell has said of each layer, and what the layers say themselves."""

    def __init__(self, settings: DiscoverySettings, state: DiscoveryState, dht: Callable[[], Health] | None) -> None:
        """`dht` says how the DHT fares, None where there is none."""
        self._state = state
        self._dht = dht
        self._said: dict[str, Health] = {
            GOSSIP: (LayerState.RUNNING, "upstream's too" if settings.gossip else ""),
            STATIC: (LayerState.RUNNING if settings.static_peers else LayerState.DISABLED, ""),
            DHT: (LayerState.DISABLED, "switched off"),
        }

    def set(self, name: str, state: LayerState, detail: str) -> bool:
        """Sets how a layer fares, as the shell sees it. Whether that is news."""
        is_news = self._said.get(name) != (state, detail)
        self._said[name] = (state, detail)
        return is_news

    def all(self) -> tuple[DiscoveryLayer, ...]:
        return tuple(self._layer(name) for name in NAMES)

    def _layer(self, name: str) -> DiscoveryLayer:
        state, detail = self._said.get(name, (LayerState.RUNNING, ""))
        if name == DHT and self._dht is not None:
            state, detail = self._dht()
        if name == EXCHANGE and (strays := self._strays()):
            problem = f"{strays}: other mesh addresses than ours, see --mesh-subnet"
            state, detail = LayerState.DEGRADED, "; ".join(filter(None, (detail, problem)))
        return DiscoveryLayer(name, state, detail, self._state.heard_at.get(name))

    def _strays(self) -> str:
        """Who claims a mesh address outside our mesh network: most likely started with another subnet (BUG 4)."""
        records = self._state.table.records()
        keys = [each.key.short for each in records if not self._state.rules.is_in_mesh(each.facts.mesh_ipv4)]
        return ", ".join(sorted(keys)[:NAMED_MAX])
