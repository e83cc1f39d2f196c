from __future__ import annotations

import dataclasses
import ipaddress
import os
import re
from pathlib import Path

import pytest
from support.command_line import GOOD_SECRET
from wgmesh.cli.configuration import Given, build_settings, read_configuration
from wgmesh.cli.join_settings import REFUSED, SETTINGS
from wgmesh.core.errors import InvalidSetting
from wgmesh.core.keys.keyschedule import derive
from wgmesh.core.keys.secret import Secret
from wgmesh.core.settings import MeshSettings

LAYOUT = derive(Secret.parse(GOOD_SECRET)).layout
PORT = LAYOUT.gossip_port


def build(
    flags: dict[str, tuple[str, ...]] | None = None,
    environ: dict[str, str] | None = None,
    file: dict[str, Given] | None = None,
) -> MeshSettings:
    return build_settings(LAYOUT, "home", flags or {}, environ or {}, file or {})


def test_without_any_setting_the_defaults_hold() -> None:
    assert build() == MeshSettings(hostname="home", follows_host_name=True)


def test_each_default_in_the_help_is_the_real_one() -> None:
    real = {field.name: field.default for field in dataclasses.fields(MeshSettings)}
    spoken = [row for row in SETTINGS if row.default and row.name not in {"hostname", "mesh-subnet", "socket-path"}]

    for row in spoken:
        default = real[row.field]
        if row.default in {"none", "off"}:
            assert not default, row.name
        elif row.repeatable:
            given = {row.name: tuple(row.default.split(", "))}
            assert getattr(build(given), row.field) == default, row.name
        else:
            assert row.parse(row.default) == default, row.name


def test_interfaces_of_the_underlay_are_lists_from_every_source() -> None:
    settings = build({"underlay": ("eth0", "eth1.100,wg1"), "no-underlay": ("docker0",)})
    assert settings.underlay == ("eth0", "eth1.100", "wg1") and settings.no_underlay == ("docker0",)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"underlay": ("wg0",)}, "--underlay: wg0 is the mesh's own device"),
        ({"underlay": ("eth0",), "no-underlay": ("eth0",)}, "--underlay: --no-underlay eth0 is given as well"),
        ({"underlay": ("a/b",)}, "--underlay: 'a/b' is not the name of an interface"),
        ({"no-underlay": ("x" * 16,)}, "--no-underlay: .* is not the name of an interface"),
    ],
)
def test_an_underlay_that_cannot_be_is_refused(given: dict[str, tuple[str, ...]], problem: str) -> None:
    with pytest.raises(InvalidSetting, match=problem):
        build(given)


def test_every_setting_of_a_node_has_a_flag() -> None:
    fields = {field.name for field in dataclasses.fields(MeshSettings)}

    assert fields - {"follows_host_name", "is_port_chosen"} == {row.field for row in SETTINGS if row.field}


def test_a_port_that_was_chosen_is_told_from_the_default() -> None:
    chosen = [build({"listen-port": (text,)}) for text in ("51820", "0")]

    assert [settings.listen_port for settings in chosen] == [51820, 51820]
    assert [settings.is_port_chosen for settings in (*chosen, build())] == [True, False, False]


def test_a_name_that_was_chosen_does_not_follow_the_host() -> None:
    assert not build({"hostname": ("büro",)}).follows_host_name
    assert build({"hostname": ("büro",)}).hostname == "buro"


@pytest.mark.attack("a file that lies in the way", "break the program with deep or hostile TOML")
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("mtu = " + "[" * 5000, "nested too deeply"),
        ("mtu = " + "{a=" * 5000, "nested too deeply"),
        ("a" + ".a" * 5000 + " = 1", "more than 4096 dots"),
        ("mtu = " + "9" * 5000, "is not TOML"),
        ("mtu = 0x" + "f" * 5000, "mtu must be a text, a number"),
        ("mtu = nan", "mtu must be a text, a number"),
        ("mtu = 1\nmtu = 2", "is not TOML"),
        ("# " + "x" * 70_000, "larger than 65536 bytes"),
    ],
)
def test_a_hostile_file_is_one_clear_error(tmp_path: Path, text: str, problem: str) -> None:
    file = write(tmp_path, text)

    with pytest.raises(InvalidSetting, match=f"--config: .*{problem}"):
        read_configuration(file)


def test_an_error_does_not_repeat_a_value_that_is_a_page_long(tmp_path: Path) -> None:
    file = write(tmp_path, f'metrics = "{"[" * 5000}"')

    with pytest.raises(InvalidSetting, match=r"--metrics .* \.\.\. .* is not \[IPv6\]:PORT") as raised:
        build(file=read_configuration(file))
    assert len(str(raised.value)) < 400


def test_settings_may_come_from_a_process_substitution() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"mtu = 1300")
    os.close(writing)
    try:
        assert read_configuration(Path(f"/dev/fd/{reading}"))["mtu"].texts == ("1300",)
    finally:
        os.close(reading)


def test_a_flag_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, 'mtu = 1300\nlisten-port = 1000\nhostname = "file"')
    environ = {"WGMESH_MTU": "1310", "WGMESH_LISTEN_PORT": "2000"}

    settings = build({"mtu": ("1320",)}, environ, read_configuration(file))

    assert (settings.mtu, settings.listen_port, settings.hostname) == (1320, 2000, "file")


def test_every_kind_of_value_comes_from_a_file(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        'interface = "mesh0"\nno_stun = true\ngossip = false\nadvertise-routes = ["192.168.1.9/24", "192.168.2.0/24"]\n'
        'peer = ["192.0.2.1", "node:7"]\nstate-dir = "/srv/mesh"\nmesh-subnet = "10.9.0.0/16"\nmetrics = ":9090"',
    )

    settings = build(file=read_configuration(file))

    assert settings.interface == "mesh0"
    assert not settings.stun
    assert not settings.gossip
    assert [str(route) for route in settings.advertise_routes] == ["192.168.1.0/24", "192.168.2.0/24"]
    assert settings.static_peers == (f"192.0.2.1:{PORT}", "node:7")
    assert settings.state_dir == Path("/srv/mesh")
    assert settings.mesh_subnet == ipaddress.ip_network("10.9.0.0/16")
    assert settings.metrics_address == "127.0.0.1:9090"


def test_switches_turn_things_off_and_can_be_taken_back() -> None:
    off: dict[str, tuple[str, ...]] = {
        name: ("true",) for name in ("no-lan-discovery", "no-ipv6", "no-punching", "no-stun", "no-dht")
    }

    settings = build(off)

    assert not any((settings.lan_discovery, settings.ipv6, settings.punching, settings.stun, settings.dht))
    assert build(environ={"WGMESH_NO_STUN": "0"}).stun


def test_a_node_may_be_a_single_user_only_where_that_is_said() -> None:
    assert not build().single_user
    assert build(environ={"WGMESH_INSECURE_SINGLE_USER": "1"}).single_user


def test_lists_in_the_environment_are_parted_by_commas() -> None:
    settings = build(environ={"WGMESH_PEER": "192.0.2.1:5,[2001:db8::1]:6", "WGMESH_SOCKET": "/srv/x.sock"})

    assert settings.static_peers == ("192.0.2.1:5", "[2001:db8::1]:6")
    assert settings.control_socket == Path("/srv/x.sock")


def test_a_list_may_be_one_text_or_several() -> None:
    settings = build({"private-dht": ("192.0.2.1:5,[2001:db8::1]:6", "node:7")})

    assert settings.private_dht == ("192.0.2.1:5", "[2001:db8::1]:6", "node:7")


def test_named_dht_contacts_replace_the_built_in_ones() -> None:
    assert build({"dht-bootstrap": ("192.0.2.1:6881",)}).dht_bootstrap == ("192.0.2.1:6881",)


@pytest.mark.parametrize(
    ("other", "text", "problem"),
    [
        ("no-dht", "true", "--no-dht is given as well"),
        ("private-dht", "192.0.2.2:5", "with --private-dht the BitTorrent DHT stays off"),
    ],
)
def test_dht_contacts_without_the_dht_contradict_each_other(other: str, text: str, problem: str) -> None:
    with pytest.raises(InvalidSetting, match=problem):
        build({"dht-bootstrap": ("192.0.2.1:6881",), other: (text,)})


def test_an_empty_list_of_dht_contacts_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="no HOST:PORT is given"):
        build({"dht-bootstrap": ("",)})


def test_listen_port_0_is_the_default_as_in_upstream() -> None:
    assert build({"listen-port": ("0",)}).listen_port == 51820


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("interface", "0bad name"),
        ("interface", "a" * 16),
        ("listen-port", "65536"),
        ("mtu", "100"),
        ("mesh-subnet", "fd00::/8"),
        ("advertise-routes", "0.0.0.0/0"),
        ("peer", "host:0"),
        ("dht-bootstrap", "host"),
        ("private-dht", "host:x"),
        ("accept-routes", "0.0.0.0/0"),
        ("accept-routes", "none,private"),
        ("accept-routes", ","),
        ("stun", "host:x"),
        ("metrics", "nowhere"),
        ("otlp-endpoint", "ftp://x"),
        ("log-level", "loud"),
        ("log-format", "xml"),
        ("hostname", ""),
        ("state-dir", ""),
    ],
)
def test_a_wrong_value_names_its_flag(name: str, text: str) -> None:
    with pytest.raises(InvalidSetting) as raised:
        build({name: (text,)})

    assert str(raised.value).startswith(f"--{name}: ")


def test_a_wrong_value_names_where_it_came_from(tmp_path: Path) -> None:
    file = write(tmp_path, "mtu = 5")

    with pytest.raises(InvalidSetting, match=r"^--mtu \(from WGMESH_MTU\): "):
        build(environ={"WGMESH_MTU": "x"})
    with pytest.raises(InvalidSetting, match=rf"^--mtu \(from {file}\): "):
        build(file=read_configuration(file))


@pytest.mark.parametrize("mesh", [str(LAYOUT.default_ipv4_network), str(LAYOUT.ipv6_network)])
def test_a_route_into_the_mesh_itself_is_refused(mesh: str) -> None:
    with pytest.raises(InvalidSetting, match=r"--advertise-routes: .* overlaps the mesh's own network"):
        build({"advertise-routes": (mesh,)})


def test_more_routes_than_an_announcement_carries_are_refused_with_their_number() -> None:
    routes = [f"172.16.{number}.0/24" for number in range(100, 140)]

    with pytest.raises(InvalidSetting, match=r"--advertise-routes: 40 networks are given, .* the first \d+;") as raised:
        build({"advertise-routes": (",".join(routes),)})

    fitting = int(re.findall(r"the first (\d+);", str(raised.value))[0])
    assert len(build({"advertise-routes": (",".join(routes[:fitting]),)}).advertise_routes) == fitting


def test_a_route_may_overlap_the_derived_network_when_another_is_chosen() -> None:
    route = str(LAYOUT.default_ipv4_network)

    assert build({"advertise-routes": (route,), "mesh-subnet": ("192.168.0.0/16",)}).advertise_routes
    with pytest.raises(InvalidSetting, match="overlaps"):
        build({"advertise-routes": ("192.168.5.0/24",), "mesh-subnet": ("192.168.0.0/16",)})


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_honoured_is_refused_from_every_source(name: str, tmp_path: Path) -> None:
    variable = "WGMESH_" + name.upper().replace("-", "_")
    file = read_configuration(write(tmp_path, f'{name} = "x"'))
    sources = ({"flags": {name: ("true",)}}, {"environ": {variable: "1"}}, {"file": file})

    for source in sources:
        with pytest.raises(InvalidSetting) as raised:
            build(**source)
        assert str(raised.value) == f"--{name}: {REFUSED[name]}"


def test_stun_servers_and_no_stun_contradict_each_other() -> None:
    with pytest.raises(InvalidSetting, match="--no-stun is given as well"):
        build({"stun": ("stun.example.org",), "no-stun": ("true",)})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("listen-prot = 1", "did you mean 'listen-port'"),
        ("x = 1", "there is no setting 'x'"),
        ("secret = 'abc'", "put the secret into a file of its own"),
        ("mtu = ", "is not TOML"),
        ("mtu = [1300]", "mtu must be"),
        ("mtu = 1300.5", "mtu must be"),
        ("[mtu]\nx = 1", "mtu must be"),
    ],
)
def test_a_wrong_file_names_the_entry(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(InvalidSetting, match=problem):
        read_configuration(write(tmp_path, text))


def test_a_file_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="No such file"):
        read_configuration(tmp_path / "absent.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidSetting, match="is not TOML"):
        read_configuration(tmp_path / "binary.toml")
    (tmp_path / "huge.toml").write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(InvalidSetting, match="larger than"):
        read_configuration(tmp_path / "huge.toml")


def write(directory: Path, text: str) -> Path:
    path = directory / "mesh.toml"
    path.write_text(text)
    return path
