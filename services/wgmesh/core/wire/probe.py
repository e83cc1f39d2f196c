"""PROBE and PROBE_REPLY: ask a node whether it is there and who it is, without becoming its peer.

Only our own nodes know these types; upstream drops them. A probe never enters a peer table, on either side.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass

from wgmesh.core.errors import MalformedMessage
from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.core.wire.envelope import PROTOCOL
from wgmesh.core.wire.jsonstrict import Members
from wgmesh.core.wire.wirefield import parse_endpoint, parse_hostname, parse_mesh_ipv4, parse_public_key, wire_hostname

TOKEN_BYTES = 16  # random, so that an answer belongs to one question


@dataclass(frozen=True, slots=True)
class Probe:
    """The question. To seal it one must know the mesh secret."""

    token: bytes


@dataclass(frozen=True, slots=True)
class ProbeReply:
    """The answer to the probe with the same token. `observed_endpoint` is where the probe came from."""

    token: bytes
    public_key: PublicKey
    hostname: str
    mesh_ipv4: ipaddress.IPv4Address
    observed_endpoint: Endpoint


def encode_probe(probe: Probe, timestamp: int) -> dict[str, object]:
    """Returns the payload for `seal`."""
    return {"protocol": PROTOCOL, "timestamp": timestamp, "token": probe.token.hex()}


def decode_probe(payload: Mapping[str, object]) -> Probe:
    """Decodes the payload of an opened PROBE. Raises MalformedMessage."""
    return Probe(_token(Members(payload)))


def encode_probe_reply(reply: ProbeReply, timestamp: int) -> dict[str, object]:
    """Returns the payload for `seal`."""
    return {
        "protocol": PROTOCOL,
        "timestamp": timestamp,
        "token": reply.token.hex(),
        "wg_pubkey": reply.public_key.text,
        "hostname": wire_hostname(reply.hostname),
        "mesh_ip": str(reply.mesh_ipv4),
        "observed_endpoint": str(reply.observed_endpoint),
    }


def decode_probe_reply(payload: Mapping[str, object]) -> ProbeReply:
    """Decodes the payload of an opened PROBE_REPLY. Raises MalformedMessage."""
    members = Members(payload)
    return ProbeReply(
        token=_token(members),
        public_key=parse_public_key("wg_pubkey", members.text("wg_pubkey")),
        hostname=parse_hostname("hostname", members.text("hostname")),
        mesh_ipv4=parse_mesh_ipv4("mesh_ip", members.text("mesh_ip")),
        observed_endpoint=parse_endpoint("observed_endpoint", members.text("observed_endpoint")),
    )


def _token(members: Members) -> bytes:
    text = members.text("token")
    if not re.fullmatch(rf"[0-9a-f]{{{2 * TOKEN_BYTES}}}", text):
        raise MalformedMessage("token: not a probe token")
    return bytes.fromhex(text)
