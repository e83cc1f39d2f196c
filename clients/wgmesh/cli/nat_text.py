"""The NAT that a node is behind, in the words of RFC 4787, section 4.1; for people, upstream's word in brackets."""

from __future__ import annotations

from wgmesh.cli.units import age, clean, endpoint_text, enum_word, optional_endpoint, rfc3339, seconds
from wgmesh.v1 import nat_service_pb2 as nat_pb2
from wgmesh.v1 import node_service_pb2 as node_pb2

_OF_UPSTREAM = {"cone": "endpoint-independent", "symmetric": "address-dependent"}
_UPSTREAM = {mapping: word for word, mapping in _OF_UPSTREAM.items()} | {"address-and-port-dependent": "symmetric"}
UNKNOWN = "unknown"


def peer_mapping(peer: node_pb2.PeerStatus) -> str:
    """The mapping that a peer says it is behind, empty where it says nothing. Nodes say it in upstream's words."""
    return _OF_UPSTREAM.get(peer.nat_type, UNKNOWN) if peer.nat_type else ""


def with_upstream(mapping: str) -> str:
    """A mapping for people who know upstream's words."""
    return f"{mapping} ({_UPSTREAM[mapping]})" if mapping in _UPSTREAM else mapping


def nat_value(nat: nat_pb2.NatReport) -> dict[str, object]:
    return {
        "enabled": nat.enabled,
        "mapping": _mapping_word(nat),
        "external_endpoint": optional_endpoint(nat, "external_endpoint"),
        "from_wireguard_port": nat.from_wireguard_port,
        "answered": rfc3339(seconds(nat, "answer_time")),
        "detail": nat.detail,
        "sightings": [
            {
                "endpoint": optional_endpoint(sighting, "endpoint"),
                "servers": [endpoint_text(server) for server in sighting.servers],
                "peers": sighting.peer_count,
            }
            for sighting in nat.sightings
        ],
        "port_mapping": _port_mapping_value(nat.port_mapping),
    }


def nat_text(nat: nat_pb2.NatReport, now: float) -> str:
    if not nat.enabled:
        return "not looked at"
    answered_at = seconds(nat, "answer_time")
    if answered_at is None:
        return f"no answer yet{f' ({clean(nat.detail)})' if nat.detail else ''}"
    return f"{with_upstream(_mapping_word(nat))}, {_seen_text(nat)}, {age(answered_at, now)} ago"


def _seen_text(nat: nat_pb2.NatReport) -> str:
    """Where the outside sees this node, and who says so: a STUN server may lie."""
    endpoint = optional_endpoint(nat, "external_endpoint")
    witnesses = {optional_endpoint(each, "endpoint"): [*map(endpoint_text, each.servers)] for each in nat.sightings}
    others = "; ".join(f"{', '.join(servers)} says {each}" for each, servers in witnesses.items() if each != endpoint)
    if not endpoint and others:
        divided = "seen differently" if nat.mapping == nat_pb2.MAPPING_ADDRESS_DEPENDENT else "STUN servers disagree"
        return f"{divided}: {others}"
    if not endpoint:
        return "seen as an unknown address"
    count = len(witnesses.get(endpoint, ()))
    by = {0: "", 1: " by one server"}.get(count, f" by {count} servers")
    return f"seen as {endpoint}{by}{f', but {others}' if others else ''}"


def _mapping_word(nat: nat_pb2.NatReport) -> str:
    word = enum_word(nat_pb2.Mapping, nat.mapping, "MAPPING_")
    return UNKNOWN if word == "unspecified" else word


def _port_mapping_value(mapping: nat_pb2.PortMapping) -> dict[str, object]:
    return {
        "enabled": mapping.enabled,
        "protocol": clean(mapping.protocol),
        "external_endpoint": optional_endpoint(mapping, "external_endpoint"),
        "exchange_endpoint": optional_endpoint(mapping, "exchange_endpoint"),
        "confirmed": mapping.confirmed,
        "renews": rfc3339(seconds(mapping, "renew_time")),
        "detail": clean(mapping.detail),
    }


def port_mapping_text(nat: nat_pb2.NatReport, now: float) -> str:
    """What the router forwards, or why it does not."""
    mapping = nat.port_mapping
    if not mapping.enabled:
        return "off" if nat.enabled else "not looked at"
    endpoint = optional_endpoint(mapping, "external_endpoint")
    if not endpoint:
        return f"none ({clean(mapping.detail)})" if mapping.detail else "none"
    renew_at = seconds(mapping, "renew_time")
    renewal = "being renewed" if renew_at is None else f"renewed in {age(now, renew_at)}"
    doubt = "" if mapping.confirmed else f", unconfirmed: {clean(mapping.detail)}"
    return f"{clean(mapping.protocol)} {endpoint}{doubt}, {renewal}"
