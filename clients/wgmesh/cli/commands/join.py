"""`wgmesh join`, as click reads it: its help, and the answer to a mistake in its flags."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from wgmesh.cli.join_flags import CONFIG_VARIABLE, JoinFlags
from wgmesh.cli.join_settings import REFUSED, REFUSED_SWITCHES, SETTINGS
from wgmesh.cli.options import json_option, secret_options
from wgmesh.cli.values import parse_path


def _parameter_name(name: str) -> str:
    return name.replace("-", "_")


def _words(*choices: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    return lambda ctx, parameter, incomplete: [word for word in choices if word.startswith(incomplete)]


_COMPLETED = {"log-level": _words("debug", "info", "warn", "error"), "log-format": _words("text", "json")}


def _setting_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds one option for each row of the tables; the texts are parsed when all sources are known."""
    for row in reversed(SETTINGS):
        words = [row.flag, _parameter_name(row.name), *([row.short] if row.short else [])]
        if row.is_switch:
            option = click.option(*words, is_flag=True, default=False, help=row.help)
        else:
            text = f"{row.help} [default: {row.default}]"
            kind = click.Path() if row.parse is parse_path else click.STRING
            choices = _COMPLETED.get(row.name)
            option = click.option(
                *words, type=kind, metavar=row.metavar, multiple=row.repeatable, help=text, shell_complete=choices
            )
        command = option(command)
    for name in REFUSED:
        is_switch = name in REFUSED_SWITCHES
        command = click.option(f"--{name}", _parameter_name(name), is_flag=is_switch, default=None, hidden=True)(
            command
        )
    return command


@click.command("join", short_help="Join the mesh of a secret and stay until stopped.")
@secret_options
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    envvar=CONFIG_VARIABLE,
    help="TOML file; its keys are the names of these flags.",
)
@_setting_options
@json_option
def command(**options: Any) -> int:
    """Joins the mesh of a secret and stays until it is stopped.

    Every flag can also be set as WGMESH_<FLAG> and in the file of --config; a flag wins over the environment, and that
    over the file. With --json, logs are JSON too.
    """
    from wgmesh.cli.node_process import run_node

    return run_node(flags_of(options))


def flags_of(options: Mapping[str, Any]) -> JoinFlags:
    """What click has read."""
    return JoinFlags(
        settings=_given_settings(options),
        secret=options["secret"],
        secret_file=options["secret_file"],
        config=options["config"],
        as_json=options["as_json"],
    )


def _given_settings(options: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    given: dict[str, Sequence[str]] = {}
    for name in (*(row.name for row in SETTINGS), *REFUSED):
        value = options[_parameter_name(name)]
        if value is True:
            given[name] = ("true",)
        elif isinstance(value, tuple) and value:
            given[name] = value
        elif isinstance(value, str):
            given[name] = (value,)
    return given
