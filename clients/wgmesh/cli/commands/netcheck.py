"""`wgmesh netcheck`: what does the NAT do?"""

from __future__ import annotations

import time
from typing import Any

import click
from wgmesh.cli import exits
from wgmesh.cli.options import json_option, node_of, node_options
from wgmesh.cli.output import emit, emit_json, emit_table


@click.command("netcheck", short_help="Check what the NAT does.")
@node_options
@json_option
def command(as_json: bool, **options: Any) -> int:
    """Makes the running node ask its STUN servers what the NAT in front of it does, which takes a few seconds.

    A verdict in words comes first, then what was found, each with who saw it. Nothing is believed because one server
    says so. Ends with 0 if a server answered, and with 1 if none did, as where UDP is blocked.
    """
    with node_of(options).connect() as connection:
        findings = list(connection.check_network())
    from wgmesh.cli.netcheck_text import CheckText

    check = CheckText(findings)
    if as_json:
        emit_json(check.value())
    else:
        emit(check.verdict() + "\n")
        emit_table(check.table(time.time()), wide=True)
        for title, lines in (("Notes", check.notes()), ("Advice", check.advice())):
            if lines:
                emit("\n".join(["", title, "-" * len(title), *lines]))
    return exits.OK if check.is_answered else exits.FAILED
