"""The program as click knows it: finds the command, runs it, and says what is wrong with the words.

Commands are imported when they are called, since a start of 80 ms leaves no room for what another command needs.
"""

from __future__ import annotations

import os
from importlib import import_module

import click
from wgmesh.cli import catalogue, exits, output
from wgmesh.cli.app import COMPLETION_VARIABLE, JSON_FLAG
from wgmesh.cli.options import json_option

PROGRAM = "wgmesh"

_FOOTER = (
    ("WGMESH_SECRET, WGMESH_SECRET_FILE", "the secret, or the file that holds it; else /etc/wgmesh/secret"),
    ("WGMESH_SOCKET", "the control socket of the node"),
    ("WGMESH_<FLAG>", "any flag of join, for example WGMESH_LISTEN_PORT"),
)


class Program(click.Group):
    """The top-level command. Its commands come from the catalogue."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [row.name for row in catalogue.CATALOGUE]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        row = catalogue.entry(cmd_name)
        if row is None:
            return None
        command: click.Command = import_module(f"wgmesh.cli.commands.{row.module}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if catalogue.entry(name) is None and not name.startswith("-"):
            raise click.UsageError(f"there is no command `{name}`{_nearest(name)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section in dict.fromkeys(row.section for row in catalogue.CATALOGUE):
            with formatter.section(section):
                formatter.write_dl([(row.name, row.summary) for row in catalogue.CATALOGUE if row.section == section])
        with formatter.section("Environment"):
            formatter.write_dl(_FOOTER)
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in exits.MEANINGS.items()])


program = json_option(
    Program(
        name=PROGRAM,
        callback=lambda as_json: None,
        help="Builds an encrypted WireGuard mesh out of machines that share one secret.\n\n"
        "Every command has --json and --help; `wgmesh help COMMAND` is the same as `wgmesh COMMAND --help`.",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
)


def run(arguments: list[str]) -> int:
    """Runs the command and returns its exit code. Raises the MeshError that ended it, or KeyboardInterrupt."""
    try:
        return _run(arguments)
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.ClickException as error:
        code = exits.USAGE if isinstance(error, click.UsageError) else exits.FAILED
        output.report(type(error).__name__, _sentence(error), code, as_json=JSON_FLAG in arguments)
        return code


def _sentence(error: click.ClickException) -> str:
    text = error.format_message()
    if isinstance(error, click.UsageError) and error.ctx is not None:
        text = f"{text if text.endswith(('.', '?')) else f'{text}.'} See `{error.ctx.command_path} --help`."
    return text


def _run(arguments: list[str]) -> int:
    if os.environ.get(COMPLETION_VARIABLE):
        from wgmesh.cli.completing import complete

        return complete(program, PROGRAM, COMPLETION_VARIABLE)
    if not arguments:
        _invoke(["--help"])
        return exits.USAGE
    if not [word for word in arguments if word != JSON_FLAG]:
        raise click.UsageError("say which command; `wgmesh help` lists them all")
    if arguments[0] in catalogue.NOT_YET:
        raise click.UsageError(f"{arguments[0]}: {catalogue.NOT_YET[arguments[0]]}")
    return _invoke(_normalised(arguments))


def _invoke(arguments: list[str]) -> int:
    # Not click's own main(): that one exits by itself where a pipe breaks.
    try:
        with program.make_context(PROGRAM, arguments) as context:
            result = program.invoke(context)
    except click.exceptions.Exit as finished:  # --help
        return finished.exit_code
    return result if isinstance(result, int) else exits.OK


def _normalised(arguments: list[str]) -> list[str]:
    """`help X` is `X --help`; `--version` and `-v` mean the version only as the very first word."""
    match arguments:
        case ["help", *rest]:
            return [*rest, "--help"]
        case ["--version" | "-v", *rest]:
            return ["version", *rest]
        case _:
            return arguments


def _nearest(name: str) -> str:
    from difflib import get_close_matches

    names = [row.name for row in catalogue.CATALOGUE] + ["help"]
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean `{close[0]}`?" if close else "; `wgmesh help` lists them all"
