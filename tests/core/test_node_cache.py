from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.model import Endpoint
from wgmesh.core.node_cache import MAX_FILE_BYTES, MAX_NODES, decode_nodes, encode_nodes

NODES = [Endpoint.parse("192.0.2.1:52528"), Endpoint.parse("[2001:db8::1]:1")]


def test_what_is_written_is_read_again() -> None:
    assert encode_nodes(NODES) == b'{"nodes":["192.0.2.1:52528","[2001:db8::1]:1"]}'
    assert decode_nodes(encode_nodes(NODES)) == NODES


def test_entries_that_are_damaged_are_left_out() -> None:
    content = b'{"nodes":["192.0.2.1:52528",5,null,{},"192.0.2.1","x:1",["192.0.2.1:1"],"[2001:db8::1]:1"]}'
    assert decode_nodes(content) == NODES


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"nodes":5}', b'{"nodes":{}}', b'{"nodes":[5]}', b"[" * 10_000]
)
def test_of_what_is_no_such_file_nothing_is_taken(content: bytes) -> None:
    assert decode_nodes(content) == []


def test_no_more_is_written_or_read_than_allowed() -> None:
    many = [Endpoint.parse(f"192.0.2.1:{port}") for port in range(1, 2 * MAX_NODES)]
    assert decode_nodes(encode_nodes(many)) == many[:MAX_NODES]
    longest = [Endpoint.parse(f"[2001:db8:ffff:ffff:ffff:ffff:ffff:{host:x}]:65535") for host in range(MAX_NODES)]
    assert len(encode_nodes(longest)) < MAX_FILE_BYTES
    text = b",".join(b'"192.0.2.1:%d"' % port for port in range(1, 10_000))
    assert decode_nodes(b'{"nodes":[' + text + b"]}") == []
    assert len(decode_nodes(b'{"nodes":[' + text[:20_000].rpartition(b",")[0] + b"]}")) == MAX_NODES


@given(st.binary())
def test_no_content_raises(content: bytes) -> None:
    decode_nodes(content)
