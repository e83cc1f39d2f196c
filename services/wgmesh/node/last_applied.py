"""When a composition must be applied and discovery be told: compared with what was observed, not with hope."""

from __future__ import annotations

from dataclasses import dataclass

from wgmesh.core.model import DesiredDevice, ObservedDevice, PeerProof, PeersSnapshot, PublicKey, SelfDescription

QUIET_TURN_S = 30.0  # a turn without any change heals what nobody reported
PROOFS_EVERY_S = 30.0  # discovery takes a proof as fresh for 180 s, and a handshake may be 145 s old when it is told


@dataclass(frozen=True, slots=True)
class Applied:
    """What was last applied, and what the device looked like just after."""

    desired: DesiredDevice
    shape: object
    at: float


@dataclass(frozen=True, slots=True)
class Told:
    """The peers whose proof, and whose loss, discovery was last told of."""

    proven: frozenset[PublicKey]
    lost: frozenset[PublicKey]
    at: float


class LastApplied:
    """Remembers the last apply and the last word to discovery, only to leave out what would change nothing."""

    def __init__(self) -> None:
        self._applied: Applied | None = None
        self._told: Told | None = None

    def must_apply(self, desired: DesiredDevice, device: ObservedDevice | None, now: float) -> bool:
        """Whether the device may differ from `desired`: a new wish, a hand on the device, or a long time."""
        last = self._applied
        return last is None or last.desired != desired or last.shape != shape(device) or now - last.at >= QUIET_TURN_S

    def applied(self, desired: DesiredDevice, device: ObservedDevice | None, now: float) -> None:
        self._applied = Applied(desired, shape(device), now)

    def must_tell(
        self,
        description: SelfDescription,
        proofs: tuple[PeerProof, ...],
        heard: PeersSnapshot,
        now: float,
        lost: frozenset[PublicKey] = frozenset(),
    ) -> bool:
        """Whether discovery, whose last snapshot is `heard`, does not know all of this yet."""
        last = self._told
        return (
            last is None
            or heard.description != description
            or last.proven != _keys(proofs)
            or last.lost != lost
            or (bool(proofs) and now - last.at >= PROOFS_EVERY_S)
        )

    def told(self, proofs: tuple[PeerProof, ...], now: float, lost: frozenset[PublicKey] = frozenset()) -> None:
        self._told = Told(_keys(proofs), lost, now)


def shape(device: ObservedDevice | None) -> object:
    """What of a device only changes when somebody sets it; traffic and roaming are left out."""
    if device is None:
        return None
    peers = frozenset((peer.public_key, peer.allowed_ips, peer.persistent_keepalive_s) for peer in device.peers)
    host = (device.mesh_routes, device.overlaps, device.guard, device.guard_problem)
    return (device.up, device.listen_port, frozenset(device.addresses), device.mtu, device.routes, peers, host)


def _keys(proofs: tuple[PeerProof, ...]) -> frozenset[PublicKey]:
    return frozenset(proof.public_key for proof in proofs)
