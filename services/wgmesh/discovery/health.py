"""How each way of finding peers fares, as the operator sees it."""

from __future__ import annotations

from collections.abc import Sequence

from wgmesh.core.model import DiscoveryLayer, LayerState
from wgmesh.discovery.events import CACHE, DHT, EXCHANGE, GOSSIP, LAN, STATIC
from wgmesh.discovery.exchange.hellos import Hellos
from wgmesh.discovery.layer import Health, Layer, clock_time
from wgmesh.discovery.members.address_rules import AddressRules
from wgmesh.discovery.members.membership import Membership
from wgmesh.discovery.outbox import Outbox
from wgmesh.discovery.own import Own

ROWS = (LAN, EXCHANGE, GOSSIP, STATIC, CACHE, DHT)  # a layer with another name gets a row after these
STRAYS_NAMED_MAX = 5  # a layer's detail is one line


class HealthBoard:
    """What the shell has said of each row, and what the layers say themselves."""

    def __init__(
        self,
        own: Own,
        layers: Sequence[Layer],
        members: Membership,
        hellos: Hellos,
        outbox: Outbox,
        rules: AddressRules,
        has_static_peers: bool,
    ) -> None:
        self._own = own
        self._layers = layers
        self._members = members
        self._hellos = hellos
        self._outbox = outbox
        self._rules = rules
        self._said: dict[str, Health] = {
            STATIC: Health(LayerState.RUNNING if has_static_peers else LayerState.DISABLED),
            DHT: Health(LayerState.DISABLED, "switched off"),
        }
        self._remarks: dict[str, Health] = {}
        self._due_at: float | None = None

    def set(self, name: str, state: LayerState, detail: str) -> bool:
        """Sets how a row fares, as the shell sees it. Whether that is news."""
        is_news = self._said.get(name) != (state, detail)
        self._said[name] = Health(state, detail)
        return is_news

    def rows(self) -> tuple[DiscoveryLayer, ...]:
        """Returns all rows, in an order that stays."""
        said = {layer.name: health for layer in self._layers if (health := layer.health()) is not None}
        health_of = {name: Health(LayerState.RUNNING) for name in ROWS} | self._said | said
        for name, remark in self._remarks.items():
            health_of[name] = _joined(health_of[name], remark)
        if strays := self._strays():
            health_of[EXCHANGE] = _joined(health_of[EXCHANGE], Health(LayerState.DEGRADED, strays))
        heard_at = self._members.heard_at
        return tuple(DiscoveryLayer(name, *health, heard_at.get(name)) for name, health in health_of.items())

    def settle(self, now: float) -> None:
        """Looks what the layers have to remark, and publishes what has changed."""
        remarks = {layer.name: remark for layer in self._layers if (remark := layer.remark(now)) is not None}
        if (since := self._hellos.silence.since(now)) is not None:
            remarks[EXCHANGE] = self._unanswered(since)
        due = [layer.remark_due_at(now) for layer in self._layers] + [self._hellos.silence.due_at(now)]
        self._due_at = min((at for at in due if at is not None), default=None)
        if remarks != self._remarks:
            self._remarks = remarks
            self._outbox.publish()

    def poll_timeout(self) -> float | None:
        """When there may be something to remark although nothing happens."""
        return self._due_at

    def _unanswered(self, since: float) -> Health:
        """What is said where everybody that was asked is silent. That may be nobody's fault."""
        ports = f"UDP {self._own.exchange_port} (exchange) and {self._own.described.wireguard_port} (WireGuard)"
        at = clock_time(self._own.wall, since)
        detail = f"nobody has answered since {at}: nobody is there, or a firewall drops {ports}"
        return Health(LayerState.RUNNING, detail)

    def _strays(self) -> str:
        """Who claims a mesh address outside our mesh network: most likely started with another subnet (BUG 4)."""
        records = self._members.table.records()
        strays = (each for each in records if each.is_verified and not self._rules.is_in_mesh(each.facts.mesh_ipv4))
        keys = [each.key.short for each in strays]
        named = ", ".join(sorted(keys)[:STRAYS_NAMED_MAX])
        return f"{named}: other mesh addresses than ours, see --mesh-subnet" if named else ""


def _joined(said: Health, remark: Health) -> Health:
    """What the shell says of a layer, with what is to be added."""
    state = said.state if remark.state is LayerState.RUNNING else remark.state
    return Health(state, "; ".join(filter(None, (said.detail, remark.detail))))
