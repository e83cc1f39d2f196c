"""Merges flags, environment, configuration file and defaults into the settings of one node.

The order is flags, then `WGMESH_*`, then the file, then the defaults of MeshSettings. Every wrong value is reported
with the flag it stands for and the place it came from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wgmesh.cli.join_settings import DEFAULT_PORT_WORD, REFUSED, SETTINGS, Setting, setting
from wgmesh.cli.values import overlapping, parse_host_port, parse_switch
from wgmesh.core.errors import InvalidSetting, UnreadableFile
from wgmesh.core.keys.keyschedule import MeshLayout
from wgmesh.core.settings import MeshSettings
from wgmesh.core.wire.announcement_room import networks_problem
from wgmesh.runtime.files import read_named

SECRET_FILE_KEY = "secret-file"
CONFIGURATION_BYTES_MAX = 64 * 1024  # settings fill a screen; a thousand routes have 20 KB; more is another file
DOTS_MAX = 4096  # a thousand routes have 3000; in a key each is a level, and tomllib takes quadratic time for them
PROBLEM_CHARACTERS_MAX = 200  # two lines; a value may be as long as the file
NUMBER_BITS_MAX = 64  # as TOML has it; Python would take millions of digits, and then refuse to print them


@dataclass(frozen=True, slots=True)
class Given:
    """The texts that were given for one setting, and where."""

    texts: tuple[str, ...]
    where: str


def read_configuration(path: Path) -> dict[str, Given]:
    """Reads a TOML file whose keys are the names of flags. Raises InvalidSetting naming the entry."""
    import tomllib

    try:
        data = read_named(path, CONFIGURATION_BYTES_MAX)
        if data.count(b".") > DOTS_MAX:
            raise InvalidSetting("--config", f"{path} has more than {DOTS_MAX} dots; no file of settings has so many")
        document = tomllib.loads(data.decode("utf-8"))
    except UnreadableFile as error:
        raise InvalidSetting("--config", f"{path} cannot be read: {error.problem}") from None
    except RecursionError:
        raise InvalidSetting("--config", f"{path} is nested too deeply; no setting is") from None
    except ValueError as error:  # not TOML, not UTF-8, or a number of thousands of digits
        raise InvalidSetting("--config", f"{path} is not TOML: {error}") from None
    return {key.replace("_", "-"): _entry(path, key, value) for key, value in document.items()}


def build_settings(
    layout: MeshLayout,
    hostname: str,
    flags: Mapping[str, Sequence[str]],
    environ: Mapping[str, str],
    file: Mapping[str, Given],
    runtime_dir: Path | None = None,
) -> MeshSettings:
    """Returns the settings of a node. `hostname` and `runtime_dir` are the defaults on this machine.

    `flags` maps a setting's name to the texts given for it; a switch that was given has the text "true".
    Raises InvalidSetting.
    """
    merged = _merged(flags, environ, file)
    fields: dict[str, Any] = {
        "hostname": hostname,
        "follows_host_name": "hostname" not in merged,
        "is_port_chosen": "listen-port" in merged and merged["listen-port"].texts[-1] != DEFAULT_PORT_WORD,
    }
    if runtime_dir is not None:
        fields["runtime_dir"] = runtime_dir
    for row in SETTINGS:
        if row.name in merged:
            value = _parsed(row, merged[row.name], layout)
            if row.field:
                fields[row.field] = value
    settings = MeshSettings(**fields)
    _check_routes(settings, layout)
    _check_stun(merged, settings)
    _check_dht(merged, settings)
    _check_underlay(settings)
    return settings


def given_text(
    name: str, flags: Mapping[str, Sequence[str]], environ: Mapping[str, str], file: Mapping[str, Given]
) -> str | None:
    """The text that counts for a setting with one value; None where none was given."""
    given = _merged(flags, environ, file).get(name)
    return given.texts[-1] if given is not None else None


def _merged(
    flags: Mapping[str, Sequence[str]], environ: Mapping[str, str], file: Mapping[str, Given]
) -> dict[str, Given]:
    """The texts that win, by the name of the setting. A refused setting is an error wherever it stands."""
    for name, sentence in REFUSED.items():
        variable = "WGMESH_" + name.upper().replace("-", "_")
        if name in flags or environ.get(variable) or name in file:
            raise InvalidSetting(f"--{name}", sentence)
    merged = dict(file)
    for row in SETTINGS:
        if text := environ.get(row.variable):
            texts = tuple(item for item in text.split(",") if item.strip()) if row.repeatable else (text,)
            merged[row.name] = Given(texts, f" (from {row.variable})")
        if row.name in flags:
            merged[row.name] = Given(tuple(flags[row.name]), "")
    return merged


def _parsed(row: Setting, given: Given, layout: MeshLayout) -> object:
    name = row.flag + given.where
    try:
        if row.is_switch:
            return parse_switch(given.texts[-1]) is row.value_if_set
        if row.field in ("advertise_routes", "accept_routes"):
            return row.parse(",".join(given.texts))
        if row.is_list:
            return tuple(
                dict.fromkeys(row.parse(item) for text in given.texts for item in text.split(",") if item.strip())
            )
        if row.field == "static_peers":  # a peer is called at the mesh's own port unless it says another
            return tuple(parse_host_port(text, layout.gossip_port) for text in given.texts)
        if row.repeatable:
            return tuple(row.parse(text) for text in given.texts)
        return row.parse(given.texts[-1])
    except ValueError as error:
        raise InvalidSetting(name, _shortened(str(error))) from None
    except InvalidSetting as error:
        raise InvalidSetting(name, _shortened(str(error).removeprefix(f"{error.setting}: "))) from None


def _shortened(problem: str) -> str:
    """The problem with what stands in its middle left out, where it repeats a value that is a page long."""
    half = PROBLEM_CHARACTERS_MAX // 2
    return problem if len(problem) <= PROBLEM_CHARACTERS_MAX else f"{problem[:half]} ... {problem[-half:]}"


def _check_routes(settings: MeshSettings, layout: MeshLayout) -> None:
    meshes = (settings.mesh_subnet or layout.default_ipv4_network, layout.ipv6_network)
    clash = overlapping(settings.advertise_routes, meshes)
    if clash is not None:
        raise InvalidSetting("--advertise-routes", f"{clash[0]} overlaps the mesh's own network {clash[1]}")
    problem = networks_problem(settings.advertise_routes, settings.hostname)
    if problem:
        raise InvalidSetting("--advertise-routes", problem)


def _check_stun(merged: Mapping[str, Given], settings: MeshSettings) -> None:
    if "stun" in merged and not settings.stun:
        raise InvalidSetting("--stun", "--no-stun is given as well; leave out one of the two")


def _check_dht(merged: Mapping[str, Given], settings: MeshSettings) -> None:
    if "dht-bootstrap" not in merged:
        return
    if not settings.dht:
        raise InvalidSetting("--dht-bootstrap", "--no-dht is given as well; leave out one of the two")
    if settings.private_dht:
        raise InvalidSetting(
            "--dht-bootstrap", "with --private-dht the BitTorrent DHT stays off; leave out one of the two"
        )
    if not settings.dht_bootstrap:
        raise InvalidSetting("--dht-bootstrap", "no HOST:PORT is given; --no-dht switches the DHT off")


def _check_underlay(settings: MeshSettings) -> None:
    if settings.interface in settings.underlay:
        raise InvalidSetting("--underlay", f"{settings.interface} is the mesh's own device; it cannot carry itself")
    for name in settings.underlay:
        if name in settings.no_underlay:
            raise InvalidSetting("--underlay", f"--no-underlay {name} is given as well; leave out one of the two")


def _entry(path: Path, key: str, value: object) -> Given:
    name = key.replace("_", "-")
    if name == "secret":
        raise InvalidSetting(
            "--config", f"{path}: put the secret into a file of its own and name it with {SECRET_FILE_KEY}"
        )
    row = setting(name)
    if row is None and name not in REFUSED and name != SECRET_FILE_KEY:
        raise InvalidSetting("--config", f"{path}: there is no setting {_shortened(repr(key))}{_nearest(name)}")
    items = value if isinstance(value, list) and row is not None and row.repeatable else [value]
    if not all(_is_plain(item) for item in items):
        raise InvalidSetting(
            "--config", f"{path}: {key} must be a text, a number, true or false, or a list where it may be repeated"
        )
    return Given(tuple(str(item).lower() if isinstance(item, bool) else str(item) for item in items), f" (from {path})")


def _is_plain(item: object) -> bool:
    return isinstance(item, str) or (isinstance(item, int) and item.bit_length() <= NUMBER_BITS_MAX)


def _nearest(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, [row.name for row in SETTINGS], n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
