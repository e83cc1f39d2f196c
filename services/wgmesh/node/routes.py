"""Which peer gets a network that peers advertise: only accepted networks, only over proven tunnels, one peer for each.

Every member may advertise what it likes (BUG 21), and a claim alone costs nobody anything: a network goes to a peer
whose tunnel is proven, and to nobody else. The operator's accept-list decides what is taken at all; what would harm the
host is refused by the wireguard service. Of several peers that advertise the same network the lowest key gets it, so
that all nodes choose alike. The network moves at once when its holder's tunnel is no longer proven and that of another
is. A lower key that comes back takes it only after its tunnel has been proven for 30 s, so that a tunnel that comes and
goes does not drag the network along. Where nobody else can have it, a network outlives the proof of its tunnel by a
grace time, so that a holder that starts again does not make its routes flap.

A network inside another's is taken from that one, as routers do: longest prefix. And a network that holds the address
at which a member has answered us is not routed at all, or the tunnel to that member would have to run through another.
Where a member only says that it may be reached counts for nothing: else anybody could have the routes of others refused
by naming addresses inside them. Nor does an answer from inside a network that this life of the node has seen routed,
since that may well have come through it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from wgmesh.core.model import IPAddress, IPNetwork, PublicKey, RefusedRoute
from wgmesh.core.network_index import NetworkIndex, host_network, network_order
from wgmesh.core.settings import is_wide, named_networks
from wgmesh.core.wireguard_times import REJECT_AFTER_S
from wgmesh.node.liveness import Liveness, Verdict

TAKE_BACK_S = 30.0  # longer than a tunnel needs to fail again if its path is bad: the keepalive is 25 s
# A proof ends with the session, 180 s after the last sign of life. The next keepalive, within 30 s, begins a handshake,
# and WireGuard tries for 90 s to complete it (paper, section 6.1, REKEY_ATTEMPT_TIME). A holder that starts again
# within these five minutes has never lost a route; what WireGuard itself has given up needs no route.
GRACE_S = 120.0
REMEMBERED_MAX = 4096  # networks whose acceptance, and keys whose past is kept; a mesh has far fewer
ROUTES_MAX = 4096  # of one node: more than any site list, and less than what makes a turn slow
REFUSED_MAX = 256  # what is told: a person reads some lines, and a thousand liars can claim a hundred networks each

NOT_PROVEN = "Its tunnel is not proven yet."


@dataclass(frozen=True, slots=True)
class Choice:
    """The networks that each peer gets, those that were refused, and when to choose again without any change."""

    routes: Mapping[PublicKey, frozenset[IPNetwork]]
    refused: tuple[RefusedRoute, ...] = ()
    next_at: float | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is on the host already: where members have answered from, and what the device routes to whom."""

    answered_at: tuple[tuple[IPAddress, PublicKey], ...] = ()
    routed: Mapping[PublicKey, frozenset[IPNetwork]] = field(default_factory=dict)

    def has(self, network: IPNetwork, key: PublicKey) -> bool:
        return network in self.routed.get(key, ())


@dataclass(frozen=True, slots=True)
class _Standing:
    """Since when a tunnel is proven without a gap, or when that was seen to end; `was_lost` if it has ever failed."""

    since: float | None = None
    lost_at: float | None = None
    was_lost: bool = False


class RouteChooser:
    """Remembers who holds which network, because a network should not move without need."""

    def __init__(self, accepted: Iterable[IPNetwork]) -> None:
        """`accepted`: networks of others are taken only where they lie inside one of these."""
        accepted = tuple(accepted)
        self._accepted = NetworkIndex((network, None) for network in accepted)
        self._named = named_networks(accepted)
        self._holders: dict[IPNetwork, PublicKey] = {}
        self._standings: dict[PublicKey, _Standing] = {}
        self._once_routed: set[IPNetwork] = set()

    def choose(
        self,
        advertised: Mapping[PublicKey, Iterable[IPNetwork]],
        verdicts: Mapping[PublicKey, Verdict],
        now: float,
        surroundings: Surroundings | None = None,
    ) -> Choice:
        """Gives each network to one of the peers that advertise it. A peer without a verdict counts as not proven."""
        around_us = surroundings or Surroundings()
        networks_of = {key: frozenset(networks) for key, networks in advertised.items() if networks}
        for key in networks_of:
            self._follow(key, verdicts.get(key), now)
        self._forget(networks_of, now)
        self._once_routed.update(*around_us.routed.values())
        if len(self._once_routed) > REMEMBERED_MAX:
            self._once_routed = set().union(*around_us.routed.values())
        refused: list[RefusedRoute] = []
        claims = self._claims(networks_of, around_us, now, refused)
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
        refused += self._waiting(networks_of, around_us, now)
        return Choice(chosen, tuple(refused[:REFUSED_MAX]), self._next_at(contested, claims, verdicts, now))

    def _claims(
        self,
        networks_of: Mapping[PublicKey, frozenset[IPNetwork]],
        around_us: Surroundings,
        now: float,
        refused: list[RefusedRoute],
    ) -> dict[IPNetwork, list[PublicKey]]:
        """Who may get each network, the lowest key first. Of too many networks those that are routed already count."""
        answered = NetworkIndex((host_network(host), key) for host, key in around_us.answered_at)
        claims: dict[IPNetwork, list[PublicKey]] = {}
        wanted = [
            (not around_us.has(network, key), key, network)
            for key, networks in networks_of.items()
            for network in networks
            if self._may_have(network, key, around_us, now)
        ]
        for _, key, network in sorted(wanted, key=lambda each: (each[0], each[1], network_order(each[2]))):
            reason = self._against(network, answered)
            if not reason and network not in claims and len(claims) >= ROUTES_MAX:
                reason = f"This node routes {ROUTES_MAX} networks already, the most that it does."
            if reason:
                refused.append(RefusedRoute(network, key, reason))
            else:
                claims.setdefault(network, []).append(key)
        return {network: sorted(claims[network]) for network in sorted(claims, key=network_order)}

    def _may_have(self, network: IPNetwork, key: PublicKey, around_us: Surroundings, now: float) -> bool:
        """Whether the tunnel is proven, or was so a moment ago and carries this network already."""
        standing = self._standings[key]
        if standing.since is not None:
            return True
        return standing.lost_at is not None and now < standing.lost_at + GRACE_S and around_us.has(network, key)

    def _waiting(
        self, networks_of: Mapping[PublicKey, frozenset[IPNetwork]], around_us: Surroundings, now: float
    ) -> Iterable[RefusedRoute]:
        """The networks of those whose tunnels are not proven, as many as are told."""
        found = (
            RefusedRoute(network, key, NOT_PROVEN, is_waiting=True)
            for key in sorted(key for key in networks_of if not self._is_proven(key))
            for network in sorted(networks_of[key], key=network_order)
            if not self._may_have(network, key, around_us, now)
        )
        return (each for each, _ in zip(found, range(REFUSED_MAX), strict=False))

    def _against(self, network: IPNetwork, answered: NetworkIndex[PublicKey]) -> str:
        """Why a network is not routed to anybody; empty where it may be."""
        if self._accepted.around(network) is None:
            return "It lies outside the networks of --accept-routes."
        if is_wide(network) and network not in self._named:
            return f"It is as wide as a /{network.prefixlen}: --accept-routes has to name this very network."
        found = answered.overlapped(network)
        if found is not None and network not in self._once_routed:
            where, peer = found[0].network_address, found[1].short
            return f"Peer {peer} has answered from {where} inside it: the way to that peer would lead into this tunnel."
        return ""

    def _holder(self, network: IPNetwork, claimants: list[PublicKey], now: float) -> PublicKey:
        """The claimant that gets the network; `claimants` have the lowest key first."""
        holder = self._holders.get(network)
        if holder not in claimants:
            holder = None
        proven = [key for key in claimants if self._is_proven(key)]
        if holder not in proven:
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

    def _follow(self, key: PublicKey, verdict: Verdict | None, now: float) -> None:
        """The end of a proof is dated by when it is seen: a clock that is set forward must not take the grace away."""
        before = self._standings.get(key, _Standing())
        if verdict is not None and verdict.liveness is Liveness.CONNECTED:
            self._standings[key] = before if before.since is not None else _Standing(now, None, before.was_lost)
        elif before.since is not None:
            self._standings[key] = _Standing(None, now, True)
        else:
            # of a tunnel that an earlier life of this process has seen working only the end is known
            seen_before = verdict is not None and verdict.proven_at is not None and before.lost_at is None
            self._standings[key] = _Standing(None, now if seen_before else before.lost_at, before.was_lost)

    def _forget(self, present: Mapping[PublicKey, object], now: float) -> None:
        """A peer that left is remembered as one that was lost; the bound is for those who come with ever new keys."""
        for key in self._standings.keys() - present.keys():
            self._follow(key, None, now)
        if len(self._standings) > REMEMBERED_MAX:
            self._standings = {key: each for key, each in self._standings.items() if key in present}

    def _next_at(
        self,
        contested: Iterable[IPNetwork],
        claims: Mapping[IPNetwork, list[PublicKey]],
        verdicts: Mapping[PublicKey, Verdict],
        now: float,
    ) -> float | None:
        """The next instant at which a network may move, or go, although nothing else happens."""
        due: list[float] = []
        for network in contested:
            holder = self._holders[network]
            due += (self._takes_at(key) for key in claims[network] if key < holder and self._is_proven(key))
        for holder in set(self._holders.values()):
            verdict, lost_at = verdicts.get(holder), self._standings[holder].lost_at
            if lost_at is not None:
                due.append(lost_at + GRACE_S)
            elif verdict is not None and verdict.proven_at is not None:
                due.append(verdict.proven_at + REJECT_AFTER_S)
        return min((at for at in due if at > now), default=None)


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
    for network in holders:  # in order, so whatever encloses a network comes before it
        while around and not _lies_inside(network, around[-1]):
            around.pop()
        others = tuple(each for each in reversed(around) if holders[each] != holders[network])
        if others:
            found[network] = others
        around.append(network)
    return found


def _lies_inside(network: IPNetwork, outer: IPNetwork) -> bool:
    return network.network_address in outer and network.prefixlen >= outer.prefixlen
