"""Turns what the node answers into text, tables and JSON values. Pure: `now` is Unix seconds.

Text columns begin with upstream's seven, in its order and widths, so that scripts which cut columns go on working.
Names and texts in a message come from other machines: control characters in them never reach the terminal.
"""

from __future__ import annotations

from collections.abc import Sequence

from wgmesh.cli.nat_text import nat_text, nat_value, peer_mapping, port_mapping_text, with_upstream
from wgmesh.cli.table import Column, Table
from wgmesh.cli.units import (
    NONE,
    age,
    byte_count,
    clean,
    enum_word,
    key_text,
    milliseconds,
    optional_endpoint,
    rfc3339,
    seconds,
    shortened,
    span,
)
from wgmesh.runtime.node_report import RUNNING, ServiceReport
from wgmesh.v1 import discovery_service_pb2 as discovery_pb2
from wgmesh.v1 import node_service_pb2 as node_pb2
from wgmesh.v1 import peer_pb2

HOSTNAME_WIDTH = 20  # upstream's column, also the longest name it shows
REASON_LEAST = 16  # of a ban: its first words
HOSTNAME_LEAST = 12  # enough to tell names apart, where the terminal is narrow
ROUTES_LEAST = 18  # one network and the dots that say that there are more
KEY_WIDTH = 16  # upstream's: enough to tell peers apart, and a prefix that `peers get` takes


def section(title: str, lines: Sequence[str]) -> list[str]:
    """A titled list that stands below other lines; nothing where it is empty."""
    return ["", f"{title}:", *(f"  {line}" for line in lines)] if lines else []


def state_word(peer: node_pb2.PeerStatus) -> str:
    """connecting, connected, suspect, stale, refused or unspecified."""
    return enum_word(node_pb2.PeerStatus.State, peer.state, "STATE_")


def peer_value(peer: node_pb2.PeerStatus) -> dict[str, object]:
    """The JSON object of one peer: upstream's PeerInfo members first, then ours. Unknown values are null."""
    round_trip_s = seconds(peer, "round_trip_time")
    return {
        "pubkey": key_text(peer.public_key),
        "hostname": peer.hostname,
        "mesh_ip": peer.mesh_ipv4,
        "endpoint": optional_endpoint(peer, "endpoint"),
        "last_seen": rfc3339(seconds(peer, "last_seen_time")),
        "discovered_via": list(peer.discovery_methods),
        "routable_networks": list(peer.routable_networks),
        "latency_ms": None if round_trip_s is None else round(round_trip_s * 1000, 3),
        "latency_measured": rfc3339(seconds(peer, "measure_time")),
        "mesh_ipv6": peer.mesh_ipv6,
        "path": peer.path,
        "state": state_word(peer),
        "reason": peer.reason,
        "handshake": rfc3339(seconds(peer, "handshake_time")),
        "rx_bytes": peer.rx_bytes,
        "tx_bytes": peer.tx_bytes,
        "nat_mapping": peer_mapping(peer),
        "introducer": peer.introducer,
        "native": peer.native,
        "proven_at": rfc3339(seconds(peer, "prove_time")),
        "proven_by": peer.proof,
    }


def peers_value(peers: Sequence[node_pb2.PeerStatus], health: node_pb2.Health) -> dict[str, object]:
    return {"peers": [peer_value(peer) for peer in peers], "health": health_value(health)}


def health_value(health: node_pb2.Health) -> dict[str, object]:
    """Whether the node can do its work, since when, why not and what to do, and when it last saw its device."""
    return {
        "state": enum_word(node_pb2.Health.State, health.state, "STATE_"),
        "since": rfc3339(seconds(health, "start_time")),
        "reason": health.reason,
        "advice": health.advice,
        "device_seen": rfc3339(seconds(health, "look_time")),
    }


def health_text(health: node_pb2.Health, now: float) -> str:
    """The same in one line."""
    word = enum_word(node_pb2.Health.State, health.state, "STATE_")
    if not health.reason:
        return "" if health.state == node_pb2.Health.STATE_UNSPECIFIED else word
    since = seconds(health, "start_time")
    looked_at = seconds(health, "look_time")
    parts = [f"{word}{'' if since is None else f' for {span(now - since)}'}: {clean(health.reason)}"]
    if health.state == node_pb2.Health.STATE_FAILING and looked_at is not None:
        parts.append(f"What is shown of the device was seen {age(looked_at, now)} ago.")
    return " ".join([*parts, clean(health.advice)]).strip()


def peers_table(peers: Sequence[node_pb2.PeerStatus], now: float, wide: bool = False) -> Table:
    """All peers as a table; `wide` shows full names and keys and more columns."""
    columns = [
        Column("HOSTNAME", HOSTNAME_WIDTH, rank=1, least=HOSTNAME_LEAST),
        Column("PUBLIC KEY", 19, rank=11),
        Column("MESH IP", 15, rank=2),
        Column("ENDPOINT", 25, rank=7),
        Column("LAST SEEN", 10, rank=12),
        Column("LATENCY", 10, rank=6),
        Column("DISCOVERED VIA", 14, rank=10),
        Column("STATE", 10, rank=3),
        Column("PATH", 10, rank=4),
        Column("PROVEN", 6, rank=5),
        Column("HANDSHAKE", 9, rank=8),
        Column("RX", 10, rank=9),
        Column("TX", 10, rank=9),
    ]
    if wide:
        columns += [Column(title, rank=13) for title in ("MESH IPV6", "NAT", "INTRODUCER")]
        columns.append(Column("ROUTES", rank=13, least=ROUTES_LEAST))
    return Table(tuple(columns), tuple(_peer_row(peer, now, wide) for peer in peers))


def peer_text(peer: node_pb2.PeerStatus, now: float) -> str:
    """One peer as lines of `Name: value`; the first four are upstream's."""
    handshake_at = seconds(peer, "handshake_time")
    round_trip_s = seconds(peer, "round_trip_time")
    proven_at = seconds(peer, "prove_time")
    state = state_word(peer) + (f" ({clean(peer.reason)})" if peer.reason else "")
    lines = {
        "Public Key": key_text(peer.public_key),
        "Mesh IP": peer.mesh_ipv4,
        "Endpoint": optional_endpoint(peer, "endpoint") or NONE,
        "Last Seen": rfc3339(seconds(peer, "last_seen_time")) or NONE,
        "Discovered Via": ", ".join(peer.discovery_methods),
        "Routes": ", ".join(peer.routable_networks),
        "Latency": NONE if round_trip_s is None else f"{round_trip_s * 1000:.1f} ms{_measured(peer, now)}",
        "Hostname": clean(peer.hostname),
        "Mesh IPv6": peer.mesh_ipv6,
        "State": state,
        "Path": peer.path or NONE,
        "Handshake": NONE if handshake_at is None else f"{age(handshake_at, now)} ago",
        "Proven": f"{age(proven_at, now)} ago, by {clean(peer.proof)}" if proven_at is not None else "",
        "Transfer": f"{byte_count(peer.rx_bytes)} received, {byte_count(peer.tx_bytes)} sent",
        "NAT": with_upstream(peer_mapping(peer)),
        "Introducer": "yes" if peer.introducer else "",
    }
    return "\n".join(f"{name}: {value}" for name, value in lines.items() if value)


def _measured(peer: node_pb2.PeerStatus, now: float) -> str:
    at = seconds(peer, "measure_time")
    return "" if at is None else f", measured {age(at, now)} ago"


def counts_value(peers: Sequence[node_pb2.PeerStatus]) -> dict[str, int]:
    """How many peers are proven to be reachable, known, and not proven; members as in upstream's peers.count."""
    active = sum(peer.state == node_pb2.PeerStatus.STATE_CONNECTED for peer in peers)
    return {"active": active, "total": len(peers), "dead": len(peers) - active}


def counts_text(peers: Sequence[node_pb2.PeerStatus]) -> str:
    counts = counts_value(peers)
    return (
        "Peer Count\n==========\n"
        f"Active peers: {counts['active']}\nTotal peers:  {counts['total']}\nDead peers:   {counts['dead']}"
    )


def bans_value(bans: Sequence[peer_pb2.Ban], unread_count: int) -> dict[str, object]:
    """The JSON object of all bans; `unread` entries of the file ban nobody."""
    values = [
        {
            "pubkey": key_text(ban.public_key),
            "banned": rfc3339(seconds(ban, "ban_time")),
            "reason": ban.reason,
        }
        for ban in bans
    ]
    return {"bans": values, "unread": unread_count}


def bans_table(bans: Sequence[peer_pb2.Ban], now: float) -> Table:
    """All bans as a table, with whole keys: they are what `peers unban` takes."""
    columns = (
        Column("PUBLIC KEY", 44, rank=1),
        Column("BANNED", 8, rank=2),
        Column("REASON", rank=3, least=REASON_LEAST),
    )
    rows = ((key_text(ban.public_key), age(seconds(ban, "ban_time"), now), clean(ban.reason) or NONE) for ban in bans)
    return Table(columns, tuple(rows))


def status_value(status: node_pb2.GetStatusResponse, now: float) -> dict[str, object]:
    """The JSON object of a running node."""
    started_at = seconds(status, "start_time")
    return {
        "health": health_value(status.health),
        "interface": status.interface,
        "backend": status.backend,
        "version": status.version,
        "pubkey": key_text(status.public_key),
        "hostname": status.hostname,
        "mesh_ip": status.mesh_ipv4,
        "mesh_ipv6": status.mesh_ipv6,
        "mesh_subnet": status.mesh_subnet,
        "mesh_ipv6_prefix": status.mesh_ipv6_prefix,
        "mesh_fingerprint": status.mesh_fingerprint,
        "listen_port": status.listen_port,
        "exchange_port": status.exchange_port,
        "mtu": status.mtu,
        "started": rfc3339(started_at),
        "uptime_seconds": None if started_at is None else max(0, int(now - started_at)),
        "peers": {
            "active": status.active_peer_count,
            "suspect": status.suspect_peer_count,
            "total": status.total_peer_count,
            "dead": status.total_peer_count - status.active_peer_count,
        },
        "nat": nat_value(status.nat),
        "layers": [_layer_value(layer) for layer in status.layers],
        "services": [_service_value(service) for service in status.services],
        "privileges_separated": status.privileges_separated,
        "routable_networks": list(status.routable_networks),
        "refused_routes": [
            {"network": route.network, "pubkey": key_text(route.public_key), "reason": route.reason}
            for route in status.refused_routes
        ],
        "warnings": [{"code": warning.code, "text": warning.text} for warning in status.warnings],
    }


def status_text(status: node_pb2.GetStatusResponse, now: float) -> str:
    """A running node on about a screen."""
    started_at = seconds(status, "start_time")
    suspect = f", {status.suspect_peer_count} suspect" if status.suspect_peer_count else ""
    lines = {
        "Health": health_text(status.health, now),
        "Interface": f"{status.interface} ({status.backend or 'no device yet'})",
        "Hostname": clean(status.hostname),
        "Public Key": key_text(status.public_key) or NONE,
        "Mesh IP": status.mesh_ipv4 or NONE,
        "Mesh IPv6": status.mesh_ipv6 or NONE,
        "Mesh Subnet": status.mesh_subnet,
        "Mesh IPv6 Prefix": status.mesh_ipv6_prefix,
        "Mesh Fingerprint": status.mesh_fingerprint,
        "Listen Port": str(status.listen_port or NONE),
        "Exchange Port": str(status.exchange_port or NONE),
        "MTU": str(status.mtu or NONE),
        "Version": status.version,
        "Uptime": NONE if started_at is None else span(now - started_at),
        "Privileges": "separated" if status.privileges_separated else "not separated: all processes run as one user",
        "Peers": f"{status.active_peer_count} connected{suspect} of {status.total_peer_count} known",
        "NAT": nat_text(status.nat, now),
        "Port mapping": port_mapping_text(status.nat, now),
        "Advertised Routes": ", ".join(status.routable_networks),
    }
    parts = ["Mesh Status\n===========", *(f"{name}: {value}" for name, value in lines.items() if value)]
    parts += section("Discovery", [_layer_line(layer, now) for layer in status.layers])
    absent = [_service_line(service) for service in status.services if not service.connected]
    parts += section("Services not answering", absent)
    refused = [
        f"{route.network} from {key_text(route.public_key)[:8]}: {route.reason}" for route in status.refused_routes
    ]
    parts += section("Refused routes", refused)
    parts += section("Warnings", [f"{clean(warning.text)} [{warning.code}]" for warning in status.warnings])
    return "\n".join(parts)


def _service_value(service: node_pb2.ServiceHealth) -> dict[str, object]:
    """`state` is null where the supervisor cannot be asked."""
    return {
        "name": service.name,
        "connected": service.connected,
        "state": service.state or None,
        "since_seconds": seconds(service, "state_age"),
        "attempt": service.attempt,
    }


def _service_line(service: node_pb2.ServiceHealth) -> str:
    if service.state in ("", RUNNING):  # it runs, and the node does not reach it
        return service.name
    said = ServiceReport(service.name, service.state, seconds(service, "state_age") or 0.0, service.attempt)
    return f"{service.name}: {said.text()}"


def probe_value(answer: node_pb2.ProbePeerResponse, address: str) -> dict[str, object]:
    round_trip_s = seconds(answer, "round_trip_time")
    return {
        "address": address,
        "pubkey": key_text(answer.public_key),
        "hostname": answer.hostname,
        "mesh_ip": answer.mesh_ipv4,
        "rtt_ms": None if round_trip_s is None else round(round_trip_s * 1000, 3),
        "observed_endpoint": optional_endpoint(answer, "observed_endpoint"),
    }


def probe_text(answer: node_pb2.ProbePeerResponse, address: str) -> str:
    lines = {
        "Answer from": address,
        "Public Key": key_text(answer.public_key),
        "Hostname": clean(answer.hostname),
        "Mesh IP": answer.mesh_ipv4,
        "RTT": milliseconds(seconds(answer, "round_trip_time")),
        "Our address as seen there": optional_endpoint(answer, "observed_endpoint"),
    }
    return "\n".join(f"{name}: {value}" for name, value in lines.items() if value)


def _peer_row(peer: node_pb2.PeerStatus, now: float, wide: bool) -> tuple[str, ...]:
    key = key_text(peer.public_key)
    hostname = clean(peer.hostname) or key[:KEY_WIDTH]
    cells = (
        hostname if wide else shortened(hostname, HOSTNAME_WIDTH),
        key if wide else f"{key[:KEY_WIDTH]}...",
        peer.mesh_ipv4,
        optional_endpoint(peer, "endpoint") or NONE,
        age(seconds(peer, "last_seen_time"), now),
        milliseconds(seconds(peer, "round_trip_time")),
        ",".join(peer.discovery_methods) or NONE,
        state_word(peer),
        peer.path or NONE,
        age(seconds(peer, "prove_time"), now) if peer.proof == "handshake" else NONE,
        age(seconds(peer, "handshake_time"), now),
        byte_count(peer.rx_bytes),
        byte_count(peer.tx_bytes),
    )
    if not wide:
        return cells
    introducer = "yes" if peer.introducer else NONE
    return (
        *cells,
        peer.mesh_ipv6 or NONE,
        peer_mapping(peer) or NONE,
        introducer,
        ",".join(peer.routable_networks) or NONE,
    )


def _layer_value(layer: discovery_pb2.DiscoveryLayer) -> dict[str, object]:
    return {
        "name": layer.name,
        "state": enum_word(discovery_pb2.DiscoveryLayer.State, layer.state, "STATE_"),
        "detail": layer.detail,
        "heard": rfc3339(seconds(layer, "hear_time")),
    }


def _layer_line(layer: discovery_pb2.DiscoveryLayer, now: float) -> str:
    heard_at = seconds(layer, "hear_time")
    heard = "" if heard_at is None else f", heard {age(heard_at, now)} ago"
    detail = f" ({clean(layer.detail)})" if layer.detail else ""
    state = enum_word(discovery_pb2.DiscoveryLayer.State, layer.state, "STATE_")
    return f"{layer.name}: {state}{heard}{detail}"
