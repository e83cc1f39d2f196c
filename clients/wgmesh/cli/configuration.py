"""Merges flags, environment, configuration file and defaults into the settings of one node.

The order is flags, then `WGMESH_*`, then the file, then the defaults of MeshSettings. Every wrong value is reported
with the flag it stands for and the place it came from.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wgmesh.cli.join_settings import REFUSED, SETTINGS, Setting, setting
from wgmesh.cli.values import overlapping, parse_host_port, parse_switch
from wgmesh.core.announcement_room import networks_problem
from wgmesh.core.errors import InvalidSetting
from wgmesh.core.keyschedule import MeshKeys, derive
from wgmesh.core.secret import Secret
from wgmesh.core.settings import MeshSettings

SECRET_FILE_KEY = "secret-file"
CONFIGURATION_BYTES_MAX = 1024 * 1024  # settings fill a screen; anything larger is another file by mistake


@dataclass(frozen=True, slots=True)
class Given:
    """The texts that were given for one setting, and where."""

    texts: tuple[str, ...]
    where: str


def read_configuration(path: Path) -> dict[str, Given]:
    """Reads a TOML file whose keys are the names of flags. Raises InvalidSetting naming the entry."""
    try:
        with path.open("rb") as file:
            data = file.read(CONFIGURATION_BYTES_MAX + 1)
    except OSError as error:
        raise InvalidSetting("--config", f"{path} cannot be read: {error.strerror}") from None
    if len(data) > CONFIGURATION_BYTES_MAX:
        raise InvalidSetting("--config", f"{path} is larger than {CONFIGURATION_BYTES_MAX} bytes")
    try:
        document = tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidSetting("--config", f"{path} is not TOML: {error}") from None
    return {key.replace("_", "-"): _entry(path, key, value) for key, value in document.items()}


def build_settings(
    secret: Secret,
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
    keys = derive(secret)
    merged = _merged(flags, environ, file)
    fields: dict[str, Any] = {"hostname": hostname}
    if runtime_dir is not None:
        fields["runtime_dir"] = runtime_dir
    for row in SETTINGS:
        if row.name in merged:
            value = _parsed(row, merged[row.name], keys)
            if row.field:
                fields[row.field] = value
    settings = MeshSettings(secret=secret, **fields)
    _check_routes(settings, keys)
    _check_stun(merged, settings)
    _check_dht(merged, settings)
    return settings


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


def _parsed(row: Setting, given: Given, keys: MeshKeys) -> object:
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
            return tuple(parse_host_port(text, keys.gossip_port) for text in given.texts)
        if row.repeatable:
            return tuple(row.parse(text) for text in given.texts)
        return row.parse(given.texts[-1])
    except ValueError as error:
        raise InvalidSetting(name, str(error)) from None
    except InvalidSetting as error:
        raise InvalidSetting(name, str(error).removeprefix(f"{error.setting}: ")) from None


def _check_routes(settings: MeshSettings, keys: MeshKeys) -> None:
    meshes = (settings.mesh_subnet or keys.default_ipv4_network, keys.ipv6_network)
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


def _entry(path: Path, key: str, value: object) -> Given:
    name = key.replace("_", "-")
    if name == "secret":
        raise InvalidSetting(
            "--config", f"{path}: put the secret into a file of its own and name it with {SECRET_FILE_KEY}"
        )
    row = setting(name)
    if row is None and name not in REFUSED and name != SECRET_FILE_KEY:
        raise InvalidSetting("--config", f"{path}: there is no setting {key!r}{_nearest(name)}")
    items = value if isinstance(value, list) and row is not None and row.repeatable else [value]
    if not all(isinstance(item, str | int) for item in items):
        raise InvalidSetting(
            "--config", f"{path}: {key} must be a text, a number, true or false, or a list where it may be repeated"
        )
    return Given(tuple(str(item).lower() if isinstance(item, bool) else str(item) for item in items), f" (from {path})")


def _nearest(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, [row.name for row in SETTINGS], n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
