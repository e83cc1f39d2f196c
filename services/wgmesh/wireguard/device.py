"""What the reconciler needs of a WireGuard device. `io/` has the real one, the tests a fake one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from wgmesh.core.errors import DeviceUnavailable
from wgmesh.core.keys.private_key import PrivateKey
from wgmesh.core.model import IPAddress, ObservedDevice, ObservedPeer, Overlap, PublicKey
from wgmesh.wireguard.admission import ForeignRoutes
from wgmesh.wireguard.plan import Action, SetPeer
from wgmesh.wireguard.ways import Way

KERNEL = "kernel"  # the name of the kernel's own WireGuard, beside those of programs


class PortBusy(DeviceUnavailable):
    """The UDP port is taken by another program."""


class DeviceGone(DeviceUnavailable):
    """The device vanished or stopped answering: nothing more can be done with it now."""


@dataclass(frozen=True, slots=True)
class TunnelState:
    """What WireGuard itself knows of a device. `public_key` None: it has no private key.

    The handshakes of its peers are in Unix seconds, as the host's clock stood when each was made.
    """

    public_key: PublicKey | None
    listen_port: int
    peers: tuple[ObservedPeer, ...] = ()


class Tunnel(Protocol):
    """The WireGuard part of a device: the kernel's, or a userspace program's. Raises like Device."""

    @property
    def name(self) -> str:
        """What status shows: `kernel`, or the name of the program."""

    async def read(self) -> TunnelState:
        """Looks at key, port and peers."""

    async def set_private_key(self, private_key: PrivateKey) -> None: ...

    async def set_listen_port(self, port: int) -> None: ...

    async def set_peer(self, action: SetPeer) -> None: ...

    async def remove_peer(self, public_key: PublicKey) -> None: ...


class Device(Protocol):
    """One WireGuard device that is ours, or does not exist yet.

    Every method raises DeviceUnavailable if the host could not be looked at or changed (which is never the same as
    "nothing is there"), PermissionDenied without CAP_NET_ADMIN, and InterfaceTaken if an interface of the name exists
    that is not ours; such an interface is left alone.
    """

    async def observe(self) -> ObservedDevice | None:
        """Looks at everything. None: no such interface exists."""

    async def refresh(self, last: ObservedDevice) -> ObservedDevice | None:
        """Looks at WireGuard's own part alone and takes link, addresses and routes from `last`."""

    async def foreign_routes(self) -> ForeignRoutes:
        """Returns the routes that are not ours and do not go through our interface, of all tables that rules lead to.

        With them come the host's own addresses, the next hops of all tables, and the name servers of this host.
        """

    async def overlaps(self) -> tuple[Overlap, ...]:
        """Returns what the host has in the mesh's networks, where there is no device that could tell."""

    async def ways(self, addresses: Collection[IPAddress]) -> Mapping[IPAddress, Way]:
        """Asks the kernel where a packet to each of these addresses would go.

        Nothing is asked, and nothing returned, where at the last look no rule of the host came before the main table.
        """

    async def busy_ports(self) -> frozenset[int]:
        """Returns the UDP ports that are taken now, ours among them."""

    async def apply(self, action: Action) -> None:
        """Does one action. Raises NotSupported where this host cannot, PortBusy for a listen port that is taken."""
