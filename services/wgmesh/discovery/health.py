"""How each way of finding peers fares, as the operator sees it."""

from __future__ import annotations

from collections.abc import Sequence

from wgmesh.core.model import DiscoveryLayer, LayerState
from wgmesh.discovery.events import CACHE, DHT, EXCHANGE, GOSSIP, LAN, STATIC
from wgmesh.discovery.layer import Health, Layer
from wgmesh.discovery.members.address_rules import AddressRules
from wgmesh.discovery.members.membership import Membership

ROWS = (LAN, EXCHANGE, GOSSIP, STATIC, CACHE, DHT)  # a layer with another name gets a row after these
STRAYS_NAMED_MAX = 5  # a layer's detail is one line


class HealthBoard:
    """What the shell has said of each row, and what the layers say themselves."""

    def __init__(
        self, layers: Sequence[Layer], members: Membership, rules: AddressRules, has_static_peers: bool
    ) -> None:
        self._layers = layers
        self._members = members
        self._rules = rules
        self._said: dict[str, Health] = {
            STATIC: Health(LayerState.RUNNING if has_static_peers else LayerState.DISABLED),
            DHT: Health(LayerState.DISABLED, "switched off"),
        }

    def set(self, name: str, state: LayerState, detail: str) -> bool:
        """Sets how a row fares, as the shell sees it. Whether that is news."""
        is_news = self._said.get(name) != (state, detail)
        self._said[name] = Health(state, detail)
        return is_news

    def rows(self) -> tuple[DiscoveryLayer, ...]:
        """Returns all rows, in an order that stays."""
        said = {layer.name: health for layer in self._layers if (health := layer.health()) is not None}
        health_of = {name: Health(LayerState.RUNNING) for name in ROWS} | self._said | said
        if strays := self._strays():
            details = filter(None, (health_of[EXCHANGE].detail, strays))
            health_of[EXCHANGE] = Health(LayerState.DEGRADED, "; ".join(details))
        heard_at = self._members.heard_at
        return tuple(DiscoveryLayer(name, *health, heard_at.get(name)) for name, health in health_of.items())

    def _strays(self) -> str:
        """Who claims a mesh address outside our mesh network: most likely started with another subnet (BUG 4)."""
        records = self._members.table.records()
        strays = (each for each in records if each.is_verified and not self._rules.is_in_mesh(each.facts.mesh_ipv4))
        keys = [each.key.short for each in strays]
        named = ", ".join(sorted(keys)[:STRAYS_NAMED_MAX])
        return f"{named}: other mesh addresses than ours, see --mesh-subnet" if named else ""
