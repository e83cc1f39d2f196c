"""core/wire/announcement.py and core/wire/probe.py: what an authentic message may hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache

from fuzz.messages import NOW, TYPES, payloads
from fuzz.rules import accepted, check_text
from wgmesh.core.wire.announcement import (
    MAX_CANDIDATES,
    Announcement,
    decode_announcement,
    decode_goodbye,
    encode_announcement,
    encode_goodbye,
    fit_known_peers,
)
from wgmesh.core.wire.envelope import MessageType
from wgmesh.core.wire.jsonstrict import parse_json
from wgmesh.core.wire.probe import decode_probe, decode_probe_reply, encode_probe, encode_probe_reply
from wgmesh.core.wire.wirefield import MAX_KNOWN_PEERS, MAX_ROUTABLE_NETWORKS

MAX_BYTES = 8192
OVERLAY = 0x80  # of the first byte: the JSON replaces members of a good message instead of standing alone
WORDS = tuple(
    f'"{name}":'.encode()
    for name in ("wg_pubkey", "mesh_ip", "mesh_ipv6", "wg_endpoint", "hostname", "routable_networks", "known_peers",
                 "observed_endpoint", "nat_type", "introducer", "wgmesh", "boot", "seq", "v", "candidates", "age",
                 "exchange_port", "traceparent", "token")
)  # fmt: skip


def seeds() -> Iterable[bytes]:
    for number, message_type in enumerate(TYPES):
        yield bytes([number]) + payloads()[message_type]
    yield bytes([OVERLAY]) + b'{"mesh_ip":"::ffff:10.1.2.3","wg_endpoint":"[::]:+443","hostname":"a b"}'
    yield bytes([OVERLAY]) + b'{"routable_networks":["10.0.0.1/8","::ffff:10.0.0.0/104",5,"x"],"known_peers":[null,{}]}'
    yield bytes([OVERLAY]) + b'{"wgmesh":{"v":9,"boot":"0123456789abcdef","seq":9223372036854775807,"exchange_port":1}}'
    yield bytes([OVERLAY]) + b'{"wg_endpoint":"host.example:51820","observed_endpoint":"[fe80::1%eth0]:1"}'


def check(data: bytes) -> None:
    kind = data[0] if data else 0
    payload = accepted(lambda: parse_json(data[1:], MAX_BYTES))
    if not isinstance(payload, dict):
        return
    message_type = TYPES[(kind & ~OVERLAY) % len(TYPES)]
    if kind & OVERLAY:
        payload = {**_good(message_type), **payload}
    _CHECKS.get(message_type, _check_announcement)(payload)


@cache
def _good(message_type: str) -> dict[str, object]:
    loaded: dict[str, object] = json.loads(payloads()[message_type])
    return loaded


def _check_announcement(payload: Mapping[str, object]) -> None:
    decoded = accepted(lambda: decode_announcement(payload))
    if decoded is None:
        return
    for reason in decoded.dropped:
        check_text(reason)
    announcement = decoded.announcement
    assert len(announcement.known_peers) <= MAX_KNOWN_PEERS
    assert len(announcement.routable_networks) <= MAX_ROUTABLE_NETWORKS
    assert announcement.extension is None or len(announcement.extension.candidates) <= MAX_CANDIDATES
    again = decode_announcement(encode_announcement(announcement, int(NOW)))
    assert (again.announcement, again.dropped) == (announcement, ())
    _check_fitting(announcement)


def _check_fitting(announcement: Announcement) -> None:
    fitted = fit_known_peers(MessageType.REPLY, announcement, announcement.known_peers)
    assert set(fitted.known_peers) <= set(announcement.known_peers)


def _check_goodbye(payload: Mapping[str, object]) -> None:
    goodbye = accepted(lambda: decode_goodbye(payload))
    if goodbye is not None:
        assert decode_goodbye(encode_goodbye(goodbye, int(NOW))) == goodbye


def _check_probe(payload: Mapping[str, object]) -> None:
    probe = accepted(lambda: decode_probe(payload))
    if probe is not None:
        assert decode_probe(encode_probe(probe, int(NOW))) == probe


def _check_probe_reply(payload: Mapping[str, object]) -> None:
    reply = accepted(lambda: decode_probe_reply(payload))
    if reply is not None:
        assert decode_probe_reply(encode_probe_reply(reply, int(NOW))) == reply


_CHECKS: dict[str, Callable[[Mapping[str, object]], None]] = {
    MessageType.GOODBYE: _check_goodbye,
    MessageType.PROBE: _check_probe,
    MessageType.PROBE_REPLY: _check_probe_reply,
}
