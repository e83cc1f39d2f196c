from __future__ import annotations

import pytest
from wgmesh.core.errors import InvalidSetting
from wgmesh.metrics.settings import ListenAddress, OtlpEndpoint, parse_listen_address, parse_otlp_endpoint


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        (":9090", "127.0.0.1", 9090),
        ("9090", "127.0.0.1", 9090),
        ("0.0.0.0:9090", "0.0.0.0", 9090),
        ("[::1]:9090", "::1", 9090),
        ("localhost:0", "localhost", 0),
    ],
)
def test_a_listen_address_is_read_and_a_port_alone_means_loopback(text: str, host: str, port: int) -> None:
    assert parse_listen_address(text) == ListenAddress(host, port)


@pytest.mark.parametrize("text", ["", ":", "host", "host:", "host:http", "host:65536", "host:-1", "::1:9090", "h:٣"])
def test_an_unusable_listen_address_is_refused_by_the_name_of_its_flag(text: str) -> None:
    with pytest.raises(InvalidSetting, match=r"^--metrics: "):
        parse_listen_address(text)


@pytest.mark.parametrize(
    ("text", "target", "encrypted"),
    [
        ("http://collector:4317", "collector:4317", False),
        ("http://collector:4317/", "collector:4317", False),
        ("https://otel.example.net", "otel.example.net:4317", True),
        ("grpc://192.0.2.1:5000", "192.0.2.1:5000", False),
        ("collector:4317", "collector:4317", False),
        ("[2001:db8::1]:4317", "[2001:db8::1]:4317", False),
    ],
)
def test_an_otlp_endpoint_is_read(text: str, target: str, encrypted: bool) -> None:
    assert parse_otlp_endpoint(text) == OtlpEndpoint(target, encrypted)


@pytest.mark.parametrize(
    "text",
    ["", "http://", "ftp://host:1", "http://host:99999", "http://host:0", "http://host:4318/v1/traces", "http://[::1"],
)
def test_an_unusable_otlp_endpoint_is_refused_by_the_name_of_its_flag(text: str) -> None:
    with pytest.raises(InvalidSetting, match=r"^--otlp-endpoint: "):
        parse_otlp_endpoint(text)


def test_a_password_in_an_endpoint_is_refused_and_not_repeated() -> None:
    with pytest.raises(InvalidSetting) as caught:
        parse_otlp_endpoint("https://user:hunter2@collector:4317")

    assert "hunter2" not in str(caught.value)
