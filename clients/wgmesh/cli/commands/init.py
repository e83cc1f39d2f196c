"""`wgmesh init`: a new secret."""

from __future__ import annotations

import os
from pathlib import Path

import click
from wgmesh.cli.options import json_option
from wgmesh.cli.output import emit, emit_json
from wgmesh.cli.private_files import write_private
from wgmesh.core.keys.secret import Secret


@click.command("init", short_help="Make a new mesh secret.")
@click.option("--secret", "make_secret", is_flag=True, help="Make a secret of 256 random bits.")
@click.option("--quiet", "-q", is_flag=True, help="Print the URI alone, or nothing with --out.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write it to a new file, mode 0600.")
@json_option
@click.pass_context
def command(ctx: click.Context, make_secret: bool, quiet: bool, out: Path | None, as_json: bool) -> None:
    """Makes a new mesh secret. Every machine that has it can join the mesh."""
    if not make_secret:
        raise click.UsageError("say what to make: `wgmesh init --secret`", ctx)
    uri = Secret.generate(os.urandom).uri()
    if out is not None:
        write_private(out, f"{uri}\n".encode())
        if as_json:
            emit_json({"file": str(out)})
        elif not quiet:
            emit(f"The new mesh secret is in {out}.\n\nJoin with it on every machine:\n\n  {_joining(str(out))}")
    elif as_json:
        emit_json({"uri": uri})
    elif quiet:
        emit(uri)
    else:
        emit(
            f"New mesh secret:\n\n{uri}\n\nShare it with the machines of the mesh only, for example in the file"
            f" /etc/wgmesh/secret (mode 0600), and join on each:\n\n  {_joining('/etc/wgmesh/secret')}"
        )


def _joining(path: str) -> str:
    return f"sudo wgmesh join --secret-file {path}"
