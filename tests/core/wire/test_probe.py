from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.announcements import endpoints, hostnames, json_values, mesh_ipv4, public_keys
from wgmesh.core.errors import MalformedMessage
from wgmesh.core.wire.envelope import open_envelope, seal
from wgmesh.core.wire.probe import Probe, ProbeReply, decode_probe, decode_probe_reply, encode_probe, encode_probe_reply

NOW = 1_763_800_000
KEY, NONCE = bytes(32), bytes(12)
tokens = st.binary(min_size=16, max_size=16)


@given(tokens)
def test_a_probe_round_trips(token: bytes) -> None:
    datagram = seal("PROBE", encode_probe(Probe(token), NOW), KEY, NONCE)
    assert decode_probe(open_envelope(datagram, KEY, NOW).payload) == Probe(token)


@given(st.builds(ProbeReply, tokens, public_keys, hostnames, mesh_ipv4, endpoints))
def test_a_probe_reply_round_trips(reply: ProbeReply) -> None:
    datagram = seal("PROBE_REPLY", encode_probe_reply(reply, NOW), KEY, NONCE)
    assert decode_probe_reply(open_envelope(datagram, KEY, NOW).payload) == reply


@given(
    st.dictionaries(st.sampled_from(["token", "wg_pubkey", "hostname", "mesh_ip", "observed_endpoint"]), json_values)
)
def test_any_payload_decodes_or_is_malformed(payload: dict[str, object]) -> None:
    with pytest.raises(MalformedMessage):
        decode_probe(payload)
    with pytest.raises(MalformedMessage):
        decode_probe_reply(payload)
