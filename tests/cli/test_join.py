"""`join` up to the moment at which it would start the node."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest
from support.command_line import GOOD_SECRET, Run
from wgmesh.cli import configuration, credentials, exits
from wgmesh.cli.capabilities import CAP_NET_ADMIN, effective
from wgmesh.cli.commands.join import command, flags_of
from wgmesh.cli.configuration import read_configuration
from wgmesh.cli.credentials import find_secret
from wgmesh.cli.join_flags import JoinFlags
from wgmesh.cli.join_settings import REFUSED, REFUSED_SWITCHES, SETTINGS
from wgmesh.cli.node_process import secret_sources, settings_of
from wgmesh.core.keys.keyschedule import derive
from wgmesh.core.keys.secret import Secret
from wgmesh.core.settings import MeshSettings


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WGMESH_SECRET", GOOD_SECRET)


def test_every_flag_ends_up_in_the_settings(tmp_path: Path) -> None:
    settings = parsed(
        *("-i", "mesh0", "--hostname", "box", "--listen-port", "1234", "--mtu", "1300", "--mesh-subnet", "10.9.0.0/16"),
        *("--advertise-routes", "192.168.1.0/24,192.168.2.0/24", "--advertise-routes", "192.168.3.0/24"),
        *("--peer", "192.0.2.1:5", "--peer", "node:6", "--no-lan-discovery", "--no-dht", "--gossip", "--no-ipv6"),
        *("--no-punching", "--stun", "stun.example.org", "--state-dir", "/srv/state", "--runtime-dir", "/srv/run"),
        *("--socket-path", "/srv/x.sock", "--keep-interface", "--metrics", ":9090", "--otlp-endpoint", "otel:4317"),
        *("--log-level", "debug", "--log-format", "json", "--introducer", "--accept-routes", "192.168.0.0/16,fd00::/8"),
        *("--private-dht", "192.0.2.7:5,node:6", "--insecure-single-user"),
    )

    assert settings.single_user
    assert (settings.interface, settings.hostname, settings.listen_port, settings.mtu) == ("mesh0", "box", 1234, 1300)
    assert str(settings.mesh_subnet) == "10.9.0.0/16"
    assert [str(route) for route in settings.advertise_routes] == [f"192.168.{number}.0/24" for number in (1, 2, 3)]
    assert settings.static_peers == ("192.0.2.1:5", "node:6")
    assert settings.stun_servers == ("stun.example.org:3478",)
    assert (settings.lan_discovery, settings.ipv6, settings.punching, settings.stun) == (False, False, False, True)
    assert settings.gossip
    assert settings.keep_interface
    assert settings.introducer
    assert [str(network) for network in settings.accept_routes] == ["192.168.0.0/16", "fd00::/8"]
    assert (settings.dht, settings.private_dht) == (False, ("192.0.2.7:5", "node:6"))
    assert (settings.state_dir, settings.runtime_dir) == (Path("/srv/state"), Path("/srv/run"))
    assert settings.control_socket == Path("/srv/x.sock")
    assert (settings.metrics_address, settings.otlp_endpoint) == ("127.0.0.1:9090", "http://otel:4317")
    assert (settings.log_level, settings.log_format) == ("debug", "json")


def test_a_file_names_the_secret_file_and_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WGMESH_SECRET")
    secret = tmp_path / "secret"
    secret.write_text(GOOD_SECRET)
    secret.chmod(0o600)
    file = tmp_path / "mesh.toml"
    file.write_text(f'secret-file = "{secret}"\ninterface = "mesh1"\n')

    settings = parsed("--config", str(file))

    assert settings.interface == "mesh1"
    sources = secret_sources(JoinFlags(config=file), {}, read_configuration(file))
    assert find_secret(sources).secret.uri() == GOOD_SECRET


def test_json_means_json_logs_unless_a_format_is_given() -> None:
    assert parsed("--json").log_format == "json"
    assert parsed("--json", "--log-format", "text").log_format == "text"


def test_every_row_of_the_table_is_a_flag() -> None:
    flags = {word for parameter in command.params for word in parameter.opts}

    assert {row.flag for row in SETTINGS} <= flags
    assert {f"--{name}" for name in REFUSED} <= flags


@pytest.mark.parametrize("name", REFUSED)
def test_a_flag_that_cannot_be_honoured_is_refused_with_its_sentence(wgmesh: Run, name: str) -> None:
    outcome = wgmesh("join", f"--{name}", *(() if name in REFUSED_SWITCHES else ("x",)))

    assert outcome.code == exits.USAGE
    assert outcome.err == f"wgmesh: --{name}: {REFUSED[name]}\n"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--secret", "short"), "the secret has 5 bytes"),
        (("--secret-file", "/nonexistent"), "cannot be read"),
        (("--interface", "0bad name"), "--interface: "),
        (("--interface", "../../etc"), "--interface: "),
        (("--listen-port", "99999"), "--listen-port: '99999' is not a whole number from 1 to 65535"),
        (("--listen-port", "22xyz"), "--listen-port: "),
        (("--advertise-routes", "10.0.0.0/33"), "--advertise-routes: "),
        (("--advertise-routes", "0.0.0.0/0"), "is a default route"),
        (("--mesh-subnet", "fd00::/64"), "--mesh-subnet: "),
        (("--mtu", "9"), "--mtu: "),
        (("--peer", "host:0"), "--peer: "),
        (("--log-level", "loud"), "--log-level: "),
        (("--config", "/nonexistent.toml"), "--config: "),
        (("--metrics", "x"), "--metrics: "),
        (("extra",), "unexpected extra argument"),
    ],
)
def test_bad_input_ends_with_2_before_anything_starts(wgmesh: Run, words: tuple[str, ...], problem: str) -> None:
    outcome = wgmesh("join", *words)

    assert outcome.code == exits.USAGE
    assert problem in outcome.err
    assert outcome.out == ""


def test_no_secret_at_all_ends_with_2(wgmesh: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WGMESH_SECRET")

    outcome = wgmesh("join")

    assert outcome.code == exits.USAGE
    assert "no secret was given" in outcome.err


def test_without_the_capability_join_says_so_and_ends_with_5(wgmesh: Run, tmp_path: Path) -> None:
    assert configuration, credentials  # imported while the interpreter's files may be read
    with unprivileged():
        outcome = wgmesh("join", "--no-lan-discovery", "--no-stun", "--state-dir", tmp_path / "state", "--json")

    assert outcome.code == exits.PERMISSION
    assert outcome.json["error"]["message"] == "making a WireGuard device needs root or CAP_NET_ADMIN; use sudo"
    assert not (tmp_path / "state").exists()


@pytest.mark.root  # without the capability join ends before it looks at the socket
def test_a_file_where_the_control_socket_should_be_is_refused_and_kept(wgmesh: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")

    # The last two flags keep a node quiet that starts because this very check is broken.
    quiet = ("--no-lan-discovery", "--no-stun")
    outcome = wgmesh("join", "--socket-path", tmp_path / "file", "--state-dir", tmp_path / "state", *quiet)

    assert outcome.code == exits.FAILED
    assert "is a file and not a socket" in outcome.err
    assert (tmp_path / "file").read_text() == "precious"


def test_capabilities_are_read_from_the_effective_set() -> None:
    status = "Name:\tx\nCapInh:\tffffffffffffffff\nCapEff:\t0000000000003000\n"

    assert effective(status) == {CAP_NET_ADMIN, 13}
    assert effective("Name:\tx\n") == frozenset()


def parsed(*words: str) -> MeshSettings:
    """What `join` would start with these words."""
    context = click.Context(command)
    command.parse_args(context, list(words))
    flags = flags_of(context.params)
    file = read_configuration(flags.config) if flags.config else {}
    return settings_of(flags, {}, file, derive(Secret.parse(GOOD_SECRET)).layout)


@contextmanager
def unprivileged() -> Iterator[None]:
    """Runs the block without root's capabilities."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
