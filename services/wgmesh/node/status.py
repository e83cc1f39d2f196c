"""What clients are told: the state of the node and of its peers, as messages of the contract."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from wgmesh.convert.device import refused_route_to_proto
from wgmesh.convert.nat import nat_report_to_proto
from wgmesh.convert.peer import layer_to_proto
from wgmesh.convert.scalar import duration, endpoint_to_proto, texts, timestamp
from wgmesh.core.errors import InvalidInput, NotFound, PeerNotFound
from wgmesh.core.hostname import same_hostname
from wgmesh.core.model import ApplyOutcome, Ban, IPNetwork, ObservedPeer, Path, Peer, PublicKey, RefusedRoute
from wgmesh.node.addresses import Contest
from wgmesh.node.composition import Composition, World, path_word
from wgmesh.node.host_warnings import host_warnings, nat_warnings
from wgmesh.node.liveness import Liveness, Verdict
from wgmesh.node.service_health import service_healths
from wgmesh.node.settings import NodeSettings
from wgmesh.runtime.node_report import NodeReport
from wgmesh.v1 import node_service_pb2 as node_pb2

SHOWN_CHOICES_MAX = 8  # enough to find the right peer in an ambiguity, few enough for one line

_NOT_ITSELF = "that is this node itself; a node cannot ban itself"

NOT_PROVEN = "named by somebody with the secret, not proven"
PROVEN_BY_HANDSHAKE = "handshake"
PROVEN_BY_KEY = "key"

_STATES = {
    Liveness.CONNECTING: node_pb2.PeerStatus.STATE_CONNECTING,
    Liveness.CONNECTED: node_pb2.PeerStatus.STATE_CONNECTED,
    Liveness.SUSPECT: node_pb2.PeerStatus.STATE_SUSPECT,
    Liveness.STALE: node_pb2.PeerStatus.STATE_STALE,
}
REFUSED = "refused"
PEER_STATES = (*Liveness, REFUSED)


@dataclass(frozen=True, slots=True)
class Picture:
    """One turn of the node: what was observed, concluded and done. `problem` is why the device could not be changed."""

    world: World
    composition: Composition
    outcome: ApplyOutcome = field(default_factory=ApplyOutcome)
    advertised: tuple[IPNetwork, ...] = ()
    services: Mapping[str, bool] = field(default_factory=dict)
    problem: str = ""
    hostname: str = ""
    """The name under which this node is announced; empty for that of its settings."""

    @property
    def states(self) -> Mapping[PublicKey, str]:
        """The state of each known peer, in the words of PEER_STATES."""
        failed = {failure.public_key for failure in self.outcome.peer_failures}
        verdicts = self.composition.verdicts
        return {key: REFUSED if key in failed else verdict.liveness for key, verdict in verdicts.items()}

    @property
    def refused_routes(self) -> tuple[RefusedRoute, ...]:
        """The networks that are not routed: those that the operator did not accept, and those that would do harm."""
        return self.composition.refused_routes + self.outcome.refused_routes


def peer_statuses(picture: Picture) -> tuple[node_pb2.PeerStatus, ...]:
    """All peers, by host name and key."""
    device = picture.world.device
    observed = {peer.public_key: peer for peer in device.peers} if device else {}
    paths = {path.public_key: path for path in picture.world.paths.paths}
    failures = {failure.public_key: failure.reason for failure in picture.outcome.peer_failures}
    verdicts = picture.composition.verdicts
    peers = (peer for peer in picture.world.peers.peers if peer.public_key in verdicts)
    return tuple(
        _peer_status(
            peer,
            observed.get(peer.public_key),
            _shown(verdicts[peer.public_key], picture, is_on_device=peer.public_key in observed),
            paths.get(peer.public_key),
            failures.get(peer.public_key, ""),
        )
        for peer in sorted(peers, key=lambda peer: (peer.hostname, peer.public_key))
    )


def _shown(verdict: Verdict, picture: Picture, *, is_on_device: bool) -> Verdict:
    """The verdict; of a peer that a failing turn could not put on the device it is that which is said."""
    if is_on_device or not picture.problem or verdict.liveness is Liveness.CONNECTED:
        return verdict
    return replace(verdict, reason=f"it is not on the device yet: {picture.problem}")


def _peer_status(
    peer: Peer, observed: ObservedPeer | None, verdict: Verdict, path: Path | None, failure: str
) -> node_pb2.PeerStatus:
    proof, proven_at = _proof(peer, verdict)
    is_measured = path is not None and path.rtt_s is not None and verdict.liveness is Liveness.CONNECTED
    seen = [at for at in (peer.direct_seen_at, verdict.proven_at) if at is not None]
    candidate = peer.candidates[0].endpoint if peer.candidates else None
    return node_pb2.PeerStatus(
        public_key=peer.public_key.raw,
        hostname=peer.hostname,
        mesh_ipv4=str(peer.mesh_ipv4),
        mesh_ipv6=str(peer.mesh_ipv6 or ""),
        state=node_pb2.PeerStatus.STATE_REFUSED if failure else _STATES[verdict.liveness],
        reason=failure or (f"{NOT_PROVEN}; {verdict.reason}" if _is_unproven(peer) and not proof else verdict.reason),
        path=path_word(peer, observed, verdict),
        endpoint=endpoint_to_proto(observed.endpoint if observed and observed.endpoint else candidate),
        handshake_time=timestamp(observed.handshake_at if observed else None),
        rx_bytes=observed.rx_bytes if observed else 0,
        tx_bytes=observed.tx_bytes if observed else 0,
        round_trip_time=duration(path.rtt_s if path and is_measured else None),
        measure_time=timestamp(path.answered_at if path and is_measured else None),
        last_seen_time=timestamp(max(seen) if seen else None),
        discovery_methods=peer.discovery_methods,
        routable_networks=texts(peer.routable_networks),
        introducer=peer.introducer,
        nat_type=peer.nat_type,
        native=peer.native,
        prove_time=timestamp(proven_at),
        proof=proof,
    )


def _proof(peer: Peer, verdict: Verdict) -> tuple[str, float | None]:
    """How and when it was last proven that the peer holds its private key.

    A working tunnel is worth more than a message. Where it works no longer, the newer of the two is told.
    """
    by_tunnel, by_key = verdict.proven_at, peer.possession_at
    if by_tunnel is not None and (verdict.liveness is Liveness.CONNECTED or by_key is None or by_tunnel >= by_key):
        return PROVEN_BY_HANDSHAKE, by_tunnel
    return (PROVEN_BY_KEY, by_key) if by_key is not None else ("", None)


def chosen_for_ban(picture: Picture | None, settings: NodeSettings, selector: str) -> tuple[PublicKey, str]:
    """Whom a ban is for: the key, and the host name where it is known.

    A whole key means that key, whatever names others have given themselves. Raises PeerNotFound, and InvalidInput for
    this node itself.
    """
    wanted = selector.strip()
    statuses = peer_statuses(picture) if picture else ()
    key = _whole_key(wanted)
    if picture is not None and key == picture.world.identity.public_key:
        raise InvalidInput(_NOT_ITSELF)
    if key is not None:
        return key, next((status.hostname for status in statuses if status.public_key == key.raw), "")
    try:
        status = select_peer(statuses, wanted)
    except PeerNotFound:
        if picture is not None and _is_own(picture, settings, wanted):
            raise InvalidInput(_NOT_ITSELF) from None
        raise
    return PublicKey(status.public_key), status.hostname


def chosen_ban(bans: Iterable[Ban], selector: str) -> PublicKey:
    """Which ban is meant by a key or by a beginning of it that no other ban has. Raises NotFound."""
    wanted = selector.strip()
    found = [ban.public_key for ban in bans if wanted and ban.public_key.text.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotFound(f"no banned key begins with {wanted!r}; `wgmesh peers bans` lists them all")
    raise NotFound(f"{len(found)} banned keys begin with {wanted!r}; use a longer beginning")


def _whole_key(text: str) -> PublicKey | None:
    try:
        return PublicKey.parse(text)
    except ValueError:
        return None


def _is_own(picture: Picture, settings: NodeSettings, wanted: str) -> bool:
    own = picture.composition.addresses
    is_named = same_hostname(wanted, picture.hostname or settings.hostname)
    return is_named or wanted.lower() in (str(own.ipv4), str(own.ipv6))


def select_peer(statuses: tuple[node_pb2.PeerStatus, ...], selector: str) -> node_pb2.PeerStatus:
    """Finds one peer by key, unique key prefix, host name or mesh address. Raises PeerNotFound.

    Names are the same in any case, but the very name comes first: of `Web` and `web` either can be meant.
    """
    wanted = selector.strip()
    keyed = {PublicKey(status.public_key).text: status for status in statuses}
    if wanted in keyed:
        return keyed[wanted]
    lowered = wanted.lower()
    named = [
        status for status in statuses if wanted == status.hostname or lowered in (status.mesh_ipv4, status.mesh_ipv6)
    ] or [status for status in statuses if same_hostname(wanted, status.hostname)]
    found = named or [status for key, status in keyed.items() if key.startswith(wanted)]
    if not wanted:  # it would fit a peer that has no name, or no IPv6 address
        found = []
    if len(found) == 1:
        return found[0]
    if not found:
        raise PeerNotFound(
            f"no peer has the key, key prefix, host name or mesh address {wanted!r}; `wgmesh peers list` shows all"
        )
    choices = ", ".join(_choice(status) for status in found[:SHOWN_CHOICES_MAX])
    raise PeerNotFound(f"{len(found)} peers fit {wanted!r}: {choices}; use a longer key prefix or the mesh address")


def chosen_address(status: node_pb2.PeerStatus, selector: str) -> str:
    """The mesh address of a peer that a selector names; empty where it names the peer in another way."""
    wanted = selector.strip().lower()
    return wanted if wanted in (status.mesh_ipv4, status.mesh_ipv6) else ""


def _choice(status: node_pb2.PeerStatus) -> str:
    return f"{status.hostname or '?'} {PublicKey(status.public_key).text[:12]} {status.mesh_ipv4}"


def status(
    settings: NodeSettings,
    picture: Picture | None,
    version: str,
    started_at: float,
    report: NodeReport | None = None,
) -> node_pb2.GetStatusResponse:
    """The status of this node; before the first turn only what is known without the other services.

    `report` is what the supervisor says of the processes: one that hangs keeps its connections.
    """
    response = node_pb2.GetStatusResponse(
        version=version,
        interface=settings.interface,
        hostname=settings.hostname,
        mesh_subnet=str(settings.mesh_ipv4_network),
        mesh_ipv6_prefix=str(settings.keys.ipv6_network),
        mesh_fingerprint=settings.keys.network_id[:8].hex(),
        exchange_port=settings.keys.gossip_port,
        start_time=timestamp(started_at),
    )
    if picture is not None:
        _add_picture(response, settings, picture)
    response.services.extend(service_healths(picture.services if picture else {}, report))
    return response


def _add_picture(response: node_pb2.GetStatusResponse, settings: NodeSettings, picture: Picture) -> None:
    world, composition = picture.world, picture.composition
    response.public_key = world.identity.public_key.raw
    response.mesh_ipv4 = str(composition.addresses.ipv4)
    response.mesh_ipv6 = str(composition.addresses.ipv6)
    if world.device is not None:
        response.backend = world.device.backend
        response.listen_port = world.device.listen_port
        response.mtu = world.device.mtu
    response.hostname = picture.hostname or settings.hostname
    response.exchange_port = world.peers.exchange_port or settings.keys.gossip_port
    verdicts = composition.verdicts.values()
    response.active_peer_count = sum(verdict.liveness is Liveness.CONNECTED for verdict in verdicts)
    response.suspect_peer_count = sum(verdict.liveness is Liveness.SUSPECT for verdict in verdicts)
    response.total_peer_count = len(composition.verdicts)
    response.nat.CopyFrom(nat_report_to_proto(world.paths.report))
    response.layers.extend(layer_to_proto(layer) for layer in world.peers.layers)
    response.warnings.extend(warnings(settings, picture))
    response.refused_routes.extend(refused_route_to_proto(route) for route in picture.refused_routes)
    response.routable_networks.extend(texts(picture.advertised))


def warnings(settings: NodeSettings, picture: Picture) -> list[node_pb2.Warning]:
    """What the operator should know, each with what to do."""
    world, composition = picture.world, picture.composition
    names = {peer.public_key: peer.hostname or peer.public_key.short for peer in world.peers.peers}
    found = []
    if picture.problem:
        found.append(node_pb2.Warning(code="device-unavailable", text=picture.problem))
    found += host_warnings(world.device, composition.addresses) + nat_warnings(world.paths.report)
    if not settings.secret.is_known_version:
        found.append(
            node_pb2.Warning(
                code="uri-version", text="The secret's URI has a version other than v1; this node speaks v1."
            )
        )
    if settings.unfiltered:
        found.append(
            node_pb2.Warning(
                code="system-calls-not-filtered",
                text=f"Processes that parse packets may make every system call: {settings.unfiltered}.",
            )
        )
    found += [node_pb2.Warning(code=notice.code, text=notice.text) for notice in world.peers.notices]
    unproven = _unproven(picture)
    for key in sorted(composition.foreign_subnet - unproven):
        found.append(
            node_pb2.Warning(
                code="foreign-subnet",
                text=f"{names[key]} has a mesh address outside {settings.mesh_ipv4_network}: "
                "start all nodes of the mesh with the same --mesh-subnet.",
            )
        )
    for contest in composition.contests:
        found.append(node_pb2.Warning(code="address-collision", text=_contest_text(contest, names, unproven)))
    return found


def _contest_text(contest: Contest, names: Mapping[PublicKey, str], unproven: AbstractSet[PublicKey]) -> str:
    """Who has to move, and who is only a name that somebody with the secret has said: nobody moves for that."""
    shown = [key for key in contest.losers if key not in unproven]
    winner = names.get(contest.winner, "this node")
    if not shown:
        count = len(contest.losers)
        return (
            f"{contest.address} is claimed by {winner}, which keeps it, and in {count} "
            f"{'name' if count == 1 else 'names'} that nothing has proven. Nothing needs to be done."
        )
    losers = ", ".join(names.get(key, "this node") for key in shown[:SHOWN_CHOICES_MAX])
    more = f" and {len(shown) - SHOWN_CHOICES_MAX} more" if len(shown) > SHOWN_CHOICES_MAX else ""
    return f"{contest.address} is claimed by {winner}, which keeps it, and by {losers}{more}, which must move."


def _unproven(picture: Picture) -> frozenset[PublicKey]:
    """The peers that are names alone: nothing shows that they are there."""
    verdicts = picture.composition.verdicts
    return frozenset(
        peer.public_key
        for peer in picture.world.peers.peers
        if _is_unproven(peer) and getattr(verdicts.get(peer.public_key), "proven_at", None) is None
    )


def _is_unproven(peer: Peer) -> bool:
    return peer.direct_seen_at is None and peer.possession_at is None
