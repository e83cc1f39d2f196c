from __future__ import annotations

import pytest
from wgmesh.core.errors import InvalidSetting
from wgmesh.nat.server_name import parse_server


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stun.example.org:19302", ("stun.example.org", 19302)),
        ("stun.example.org", ("stun.example.org", 3478)),
        ("192.0.2.1", ("192.0.2.1", 3478)),
        ("2001:db8::1", ("2001:db8::1", 3478)),
        ("[2001:db8::1]", ("2001:db8::1", 3478)),
        ("[2001:db8::1]:5000", ("2001:db8::1", 5000)),
    ],
)
def test_a_server_is_a_host_and_a_port(text: str, expected: tuple[str, int]) -> None:
    assert parse_server(text) == expected


@pytest.mark.parametrize("text", ["stun.example.org:", "stun.example.org:0", "stun.example.org:65536", ":3478", "a:b"])
def test_a_bad_port_or_a_missing_host_is_refused(text: str) -> None:
    with pytest.raises(InvalidSetting):
        parse_server(text)
