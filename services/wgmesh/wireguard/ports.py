"""Which UDP port the device listens on."""

from __future__ import annotations

from collections.abc import Iterator

from wgmesh.core.errors import DeviceUnavailable

PORT_TRIES = 100  # as upstream: the next free one of +1..+100
PORT_MAX = 65535


def candidate_ports(
    desired: int,
    current: int,
    stored: int | None,
    busy: frozenset[int],
    reserved: frozenset[int],
    insists: bool = False,
) -> Iterator[int]:
    """Yields the ports to try, best first; 0 lets WireGuard choose.

    `current` is the port of the device as it is (0: none) and `stored` the one of an earlier life: both win over
    `desired`, so that a restart does not move the node, as long as this wish could have led to them (they lie in
    desired..desired+100). An operator who asks for another port gets another port, and one who `insists` on exactly
    this port gets it wherever it is free. `busy` holds the ports that are taken, among them the current one. Raises
    DeviceUnavailable when all are tried.
    """
    insisted = desired if insists and desired and (desired == current or desired not in busy | reserved) else 0
    if insisted:
        yield insisted
    span = range(desired, min(desired + PORT_TRIES, PORT_MAX) + 1)
    if current and current != insisted and current not in reserved and (current in span or not desired):
        yield current
    if (
        stored
        and stored not in (current, insisted)
        and stored not in busy | reserved
        and (stored in span or not desired)
    ):
        yield stored
    if not desired:
        yield 0
        return
    for port in span:
        if port not in (current, stored, insisted) and port not in busy | reserved:
            yield port
    raise DeviceUnavailable(
        f"No UDP port of {desired}..{span[-1]} is free for WireGuard. Choose another one with --listen-port."
    )


def parse_udp_table(text: str) -> frozenset[int]:
    """Reads the ports in use out of /proc/net/udp or udp6 (proc(5)). Raises DeviceUnavailable on another format."""
    ports = set()
    for line in text.splitlines()[1:]:
        try:
            local = line.split()[1]
            ports.add(int(local.rpartition(":")[2], 16))
        except (IndexError, ValueError):
            raise DeviceUnavailable("The kernel's table of UDP sockets has an unknown format.") from None
    return frozenset(ports)
