"""`wgmesh ping`: does a peer answer through the tunnel?"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from wgmesh.cli import exits
from wgmesh.cli.options import NodeOptions, json_option, node_of, node_options, peer_argument
from wgmesh.cli.output import emit, emit_json
from wgmesh.cli.parameters import Seconds, WholeNumber
from wgmesh.core.errors import NotReady

if TYPE_CHECKING:
    from wgmesh.cli.ping_text import PingRun
    from wgmesh.client.node import NodeClient

INTERVAL_S = 1.0
WAIT_S = 2.0  # four times the slowest ordinary round trip on earth


@click.command("ping", short_help="Ping a peer through the tunnel.")
@peer_argument
@click.option("--count", "-c", type=WholeNumber(1, 1_000_000), metavar="N", help="End after N pings. [default: Ctrl-C]")
@click.option(
    "--interval",
    "-n",
    type=Seconds(0.1, 3600),
    default=INTERVAL_S,
    show_default=True,
    metavar="SECONDS",
    help="Time from one ping to the next.",
)
@click.option(
    "--wait",
    "-W",
    type=Seconds(0.05, 60),
    default=WAIT_S,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for each answer.",
)
@node_options
@json_option
def command(selector: str, count: int | None, interval: float, wait: float, as_json: bool, **options: Any) -> int:
    """Pings a peer through the tunnel until --count or Ctrl-C, and says how long each answer took.

    PEER is its public key, a unique beginning of it, its host name or a mesh address. With --json one document follows
    at the end. Ends with 0 if the peer has answered at all, and with 1 if it never has.
    """
    from wgmesh.cli.ping_text import PingRun

    run, node = PingRun(), node_of(options)
    with node.connect() as connection, _told_at_the_end(run, as_json):
        for number in itertools.count(1):
            due_at = time.monotonic() + interval
            line = _ping(node, connection, selector, wait, run)
            if not as_json:
                emit(line)
            if number == count:
                break
            time.sleep(max(0.0, due_at - time.monotonic()))
    return exits.OK if run.received else exits.FAILED


def _ping(node: NodeOptions, connection: NodeClient, selector: str, wait_s: float, run: PingRun) -> str:
    try:
        return run.add(connection.ping_peer(selector.removesuffix("..."), wait_s), wait_s)
    except NotReady as error:  # the node or the tunnel is being restarted: a ping that is lost, and not the last
        if not run.sent:
            raise
        run.not_asked()
        return f"not sent: seq={run.sent}: {node.explained(error)}"


@contextmanager
def _told_at_the_end(run: PingRun, as_json: bool) -> Iterator[None]:
    """Says what the pings came to, however they end."""
    try:
        yield
    finally:
        if run.sent and as_json:
            emit_json(run.value())
        elif run.sent:
            emit(f"\n{run.summary()}")
