"""This node as others see it: what it says of itself, where it can be reached, and where peers say that they see it."""

from __future__ import annotations

import ipaddress
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from itertools import chain
from math import inf

from wgmesh.core.clock import WallClock
from wgmesh.core.model import Endpoint, IPAddress, PublicKey, SelfDescription
from wgmesh.core.wire.announcement import MAX_CANDIDATES
from wgmesh.core.wire.wirefield import REVISION_LIMIT
from wgmesh.discovery.host_interfaces import LanInterface
from wgmesh.discovery.members.address_rules import AddressRules
from wgmesh.discovery.members.candidates import HEARD_FRESH_S
from wgmesh.discovery.members.record import Witness

REVISION_OF_A_CLOCK = REVISION_LIMIT // 2  # the year 6429: a clock may be wrong, but not like that
OUTSIDE_HOSTS_MAX = 8  # two families, and some changes of each
OUTSIDE_FRESH_S = 3600.0
WITNESSES_MAX = 4  # of one address; enough to tell a single voice from several
OBSERVED_MAX = 16


class Own:
    """Everything that discovery knows of the node that it runs on."""

    def __init__(
        self,
        wall: WallClock,
        rules: AddressRules,
        gossip_port: int,
        boot: bytes,
        witnesses: Callable[[], Iterable[Witness]],
        lan: bool,
    ) -> None:
        """`boot` are 8 bytes that name this run of the process. `witnesses` gives where peers have seen us."""
        self.wall = wall
        self.boot = boot
        self.description: SelfDescription | None = None
        self.started_at = inf
        """When this run learned who it is."""
        self.revision = 0
        """Grows with every change of what we say of ourselves."""
        self.exchange_port = gossip_port
        """Where our exchange socket listens."""
        self.mappings: tuple[Endpoint, ...] = ()
        """Where STUN servers say that they see the exchange socket."""
        self.interfaces: tuple[LanInterface, ...] = ()
        self._rules = rules
        self._gossip_port = gossip_port
        self._witnesses = witnesses
        self._lan = lan
        self._outside_hosts: OrderedDict[IPAddress, float] = OrderedDict()

    @property
    def described(self) -> SelfDescription:
        """What the node service has told of us. Raises AssertionError before it has."""
        if self.description is None:
            raise AssertionError("nothing is announced before SetSelf")
        return self.description

    @property
    def key(self) -> PublicKey:
        return self.described.public_key

    @property
    def lan_interfaces(self) -> tuple[LanInterface, ...]:
        """Those on which we announce ourselves."""
        return tuple(each for each in self.interfaces if each.announces) if self._lan else ()

    @property
    def unusual_exchange_port(self) -> int | None:
        """Where we listen, None where that is the mesh's own exchange port."""
        return None if self.exchange_port == self._gossip_port else self.exchange_port

    @property
    def outside_port(self) -> int:
        """The port of our exchange socket as strangers should use it."""
        if self.mapped_exchange is not None:
            return self.mapped_exchange.port
        return self.mappings[0].port if len(self.mappings) == 1 else self.exchange_port

    @property
    def mapped_exchange(self) -> Endpoint | None:
        """From where the router forwards to our exchange socket."""
        return None if self.description is None else self.description.mapped_exchange

    def describe(self, description: SelfDescription, now: float) -> None:
        """Sets what we say of ourselves."""
        self.description = description
        self.started_at = min(self.started_at, now)
        self.revise(now)

    def set_interfaces(self, interfaces: tuple[LanInterface, ...], now: float) -> None:
        """Sets the interfaces whose addresses are ours."""
        self.interfaces = interfaces
        self.revise(now)

    def set_exchange_port(self, port: int, now: float) -> None:
        self.exchange_port = port
        self.revise(now)

    def revise(self, now: float, beyond: int = 0) -> None:
        """Marks what we say of ourselves as new. The revision outlives restarts, because it follows the clock.

        `beyond` is a revision of ours that others have: a clock that was set back must not make our news old. A lie
        must not drive it to its end either, where nothing is new any more.
        """
        known = beyond if beyond < REVISION_OF_A_CLOCK else 0
        self.revision = max(self.revision + 1, known + 1, int(self.wall.at(now) * 1000))

    def set_mappings(self, mappings: tuple[Endpoint, ...], now: float) -> bool:
        """Sets where STUN servers see the exchange socket. Whether that is news. Of several none is believed."""
        mappings = tuple(each for each in mappings if not self._rules.is_in_mesh(each.host))
        if mappings == self.mappings:
            return False
        self.mappings = mappings
        if (host := _only_host(mappings)) is not None:
            self.note_outside_host(host, now)
        return True

    def note_outside_host(self, host: IPAddress, now: float) -> None:
        """Notes an address at which the outside sees this host."""
        self._outside_hosts[host] = now
        self._outside_hosts.move_to_end(host)
        if len(self._outside_hosts) > OUTSIDE_HOSTS_MAX:
            self._outside_hosts.popitem(last=False)

    def local_hosts(self) -> list[IPAddress]:
        """The addresses of this host outside the mesh, as it has them."""
        hosts: list[IPAddress] = [address.ip for interface in self.interfaces for address in interface.addresses]
        return [host for host in hosts if not (isinstance(host, ipaddress.IPv6Address) and not self._offers(host))]

    def hosts(self, now: float) -> frozenset[IPAddress]:
        """Every address of this host: its own, and those at which others see it."""
        external = () if self.description is None else self.description.external_endpoints
        outside = [host for host, at in self._outside_hosts.items() if now - at < OUTSIDE_FRESH_S]
        believed = _only_host(external)
        agreed = [*self._agreed_hosts(), *([] if believed is None else [believed])]
        return frozenset([*self.local_hosts(), *agreed, *outside])

    def _agreed_hosts(self) -> list[IPAddress]:
        """The address at which more than half of the peers see us: whatever one says must not make another's ours."""
        seen = Counter(endpoint.host for endpoint in self.seen_endpoints())
        return [host for host, count in seen.items() if 2 * count > seen.total()]

    def seen_endpoints(self) -> list[Endpoint]:
        """Where peers have seen our exchange socket, however long ago."""
        return [witness.endpoint for witness in self._witnesses()]

    def observed_endpoints(self, now: float) -> tuple[Endpoint, ...]:
        """Where peers see our exchange socket at present, what most of them say first, and once for each who says it.

        Only some of them: more would tell no more, and change the snapshot with every peer.
        """
        fresh = [witness.endpoint for witness in self._witnesses() if now - witness.seen_at < HEARD_FRESH_S]
        told = [[endpoint] * min(count, WITNESSES_MAX) for endpoint, count in Counter(fresh).most_common()]
        return tuple(chain.from_iterable(told))[:OBSERVED_MAX]

    def candidates(self) -> tuple[Endpoint, ...]:
        """Every address of our WireGuard port outside the tunnel: as the outside sees it, then as the host has it."""
        description = self.described
        local = [Endpoint(host, description.wireguard_port) for host in self.local_hosts()]
        usable = [each for each in description.external_endpoints if self._rules.is_candidate(each)]
        return tuple(dict.fromkeys((*usable, *local)))[:MAX_CANDIDATES]

    def host_beside(self, to: Endpoint) -> IPAddress | None:
        """Our address on the subnet of `to`, None where it is no neighbour."""
        for interface in self.interfaces:
            for address in interface.addresses:
                if to.host in address.network:
                    return address.ip
        return None

    def _offers(self, host: ipaddress.IPv6Address) -> bool:
        return self._rules.ipv6 and not host.is_link_local


def _only_host(endpoints: Iterable[Endpoint]) -> IPAddress | None:
    """The address that all of them have; None where they have several, or are none."""
    hosts = {endpoint.host for endpoint in endpoints}
    return hosts.pop() if len(hosts) == 1 else None
