"""Which peer gets a network that peers advertise: only accepted networks, and one peer for each.

Every member may advertise what it likes (BUG 21). The operator's accept-list decides what is taken at all; what would
harm the host is refused by the wireguard service. Of several peers that advertise the same network the lowest key gets
it, so that all nodes choose alike, among those whose tunnels are proven, so that a dead one blocks nobody. The network
moves at once when its holder's tunnel is no longer proven. A lower key that comes back takes it only after its tunnel
has been proven for 30 s, so that a tunnel that comes and goes does not drag the network along.

A network inside another's is taken from that one, as routers do, but only by a peer whose tunnel is proven: a mere
claim never takes away what works.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wgmesh.core.model import IPNetwork, PublicKey, RefusedRoute
from wgmesh.node.liveness import REJECT_AFTER_S, Liveness, Verdict

TAKE_BACK_S = 30.0  # longer than a tunnel needs to fail again if its path is bad: the keepalive is 25 s
_REMEMBERED_MAX = 4096  # networks whose acceptance, and keys whose past is kept; a mesh has far fewer


@dataclass(frozen=True, slots=True)
class Choice:
    """The networks that each peer gets, those that were refused, and when to choose again without any change."""

    routes: Mapping[PublicKey, frozenset[IPNetwork]]
    refused: tuple[RefusedRoute, ...] = ()
    next_at: float | None = None


@dataclass(frozen=True, slots=True)
class _Standing:
    """Since when a tunnel is proven without a gap; `was_lost` if it has ever failed before."""

    since: float | None = None
    was_lost: bool = False


class RouteChooser:
    """Remembers who holds which network, because a network shall not move without need."""

    def __init__(self, accepted: Iterable[IPNetwork]) -> None:
        """`accepted`: networks of others are taken only where they lie inside one of these."""
        self._accepted = tuple(accepted)
        self._is_accepted: dict[IPNetwork, bool] = {}
        self._holders: dict[IPNetwork, PublicKey] = {}
        self._standings: dict[PublicKey, _Standing] = {}

    def choose(
        self, advertised: Mapping[PublicKey, Iterable[IPNetwork]], verdicts: Mapping[PublicKey, Verdict], now: float
    ) -> Choice:
        """Gives each network to one of the peers that advertise it. A peer without a verdict counts as not proven."""
        refused: list[RefusedRoute] = []
        claims: dict[IPNetwork, list[PublicKey]] = {}
        networks_of = {key: frozenset(networks) for key, networks in advertised.items() if networks}
        for key in sorted(networks_of):
            self._follow(key, _proven(verdicts.get(key)), now)
            for network in sorted(networks_of[key], key=_order):
                if self._accepts(network):
                    claims.setdefault(network, []).append(key)
                else:
                    refused.append(RefusedRoute(network, key, "It lies outside the networks of --accept-routes."))
        self._forget(networks_of)
        self._holders = {network: self._holder(network, claimants, now) for network, claimants in claims.items()}
        around = _enclosing(self._holders)
        routes: dict[PublicKey, set[IPNetwork]] = {}
        for network, holder in self._holders.items():
            refused += (_lost(network, key, holder) for key in claims[network] if key != holder)
            outer = next((each for each in around.get(network, ()) if self._is_proven(self._holders[each])), None)
            if outer is None or self._is_proven(holder):
                routes.setdefault(holder, set()).add(network)
            else:
                refused.append(_inside(network, holder, outer, self._holders[outer]))
        chosen = {key: frozenset(networks) for key, networks in routes.items()}
        contested = [network for network, claimants in claims.items() if len(claimants) > 1 or network in around]
        return Choice(chosen, tuple(refused), self._next_at(contested, claims, verdicts, now))

    def _holder(self, network: IPNetwork, claimants: list[PublicKey], now: float) -> PublicKey:
        """The claimant that gets the network; `claimants` have the lowest key first."""
        holder = self._holders.get(network)
        if holder not in claimants:
            holder = None
        proven = [key for key in claimants if self._is_proven(key)]
        if holder is None or holder not in proven:
            return proven[0] if proven else holder or claimants[0]
        return next((key for key in proven if key < holder and self._may_take(key, now)), holder)

    def _is_proven(self, key: PublicKey) -> bool:
        return self._standings[key].since is not None

    def _may_take(self, key: PublicKey, now: float) -> bool:
        return now >= self._takes_at(key)

    def _takes_at(self, key: PublicKey) -> float:
        """When a peer whose tunnel is proven may take a network from one whose tunnel is proven too.

        A tunnel that has never failed in this life need not show that it lasts: at a start all come up within seconds.
        """
        standing = self._standings[key]
        assert standing.since is not None
        return standing.since + TAKE_BACK_S if standing.was_lost else standing.since

    def _follow(self, key: PublicKey, is_proven: bool, now: float) -> None:
        before = self._standings.get(key, _Standing())
        if is_proven:
            self._standings[key] = before if before.since is not None else _Standing(now, before.was_lost)
        else:
            self._standings[key] = _Standing(None, before.was_lost or before.since is not None)

    def _forget(self, present: Mapping[PublicKey, object]) -> None:
        """A peer that left is remembered as one that was lost; the bound is for those who come with ever new keys."""
        for key in self._standings.keys() - present.keys():
            self._follow(key, False, 0.0)
        if len(self._standings) > _REMEMBERED_MAX:
            self._standings = {key: each for key, each in self._standings.items() if key in present}

    def _next_at(
        self,
        contested: Iterable[IPNetwork],
        claims: Mapping[IPNetwork, list[PublicKey]],
        verdicts: Mapping[PublicKey, Verdict],
        now: float,
    ) -> float | None:
        """The next instant at which a contested network may move although nothing else happens."""
        due: list[float] = []
        for network in contested:
            holder = self._holders[network]
            due += (self._takes_at(key) for key in claims[network] if key < holder and self._is_proven(key))
            verdict = verdicts.get(holder)
            if _proven(verdict) and verdict is not None and verdict.proven_at is not None:
                due.append(verdict.proven_at + REJECT_AFTER_S)
        return min((at for at in due if at > now), default=None)

    def _accepts(self, network: IPNetwork) -> bool:
        known = self._is_accepted.get(network)
        if known is None:
            if len(self._is_accepted) >= _REMEMBERED_MAX:
                self._is_accepted.clear()
            known = self._is_accepted[network] = any(_lies_inside(network, accepted) for accepted in self._accepted)
        return known


def _proven(verdict: Verdict | None) -> bool:
    return verdict is not None and verdict.liveness is Liveness.CONNECTED


def _lost(network: IPNetwork, key: PublicKey, holder: PublicKey) -> RefusedRoute:
    return RefusedRoute(
        network, key, f"Peer {holder.short} advertises it too and has it: the lowest key with a working tunnel wins."
    )


def _inside(network: IPNetwork, key: PublicKey, outer: IPNetwork, holder: PublicKey) -> RefusedRoute:
    return RefusedRoute(
        network, key, f"It lies in {outer} of peer {holder.short}, whose tunnel works; the tunnel of this one does not."
    )


def _enclosing(holders: Mapping[IPNetwork, PublicKey]) -> dict[IPNetwork, tuple[IPNetwork, ...]]:
    """The networks of other peers that each network lies in, the narrowest first; only where there are any."""
    found: dict[IPNetwork, tuple[IPNetwork, ...]] = {}
    around: list[IPNetwork] = []
    for network in sorted(holders, key=_order):  # whatever encloses a network comes before it
        while around and not _lies_inside(network, around[-1]):
            around.pop()
        others = tuple(each for each in reversed(around) if holders[each] != holders[network])
        if others:
            found[network] = others
        around.append(network)
    return found


def _order(network: IPNetwork) -> tuple[int, int, int]:
    return network.version, int(network.network_address), network.prefixlen


def _lies_inside(network: IPNetwork, outer: IPNetwork) -> bool:
    if isinstance(network, ipaddress.IPv4Network):
        return isinstance(outer, ipaddress.IPv4Network) and network.subnet_of(outer)
    return isinstance(outer, ipaddress.IPv6Network) and network.subnet_of(outer)
