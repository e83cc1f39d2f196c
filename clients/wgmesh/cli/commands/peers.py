"""`wgmesh peers list|count|get|ban|unban|bans`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
from wgmesh.cli import exits
from wgmesh.cli.health_code import code_of
from wgmesh.cli.interruption import ended_by_ctrl_c
from wgmesh.cli.options import NodeOptions, json_option, node_of, node_options, peer_argument
from wgmesh.cli.output import emit, emit_json, emit_table, redrawn, warn
from wgmesh.cli.parameters import Text

if TYPE_CHECKING:
    from wgmesh.v1 import node_service_pb2 as node_pb2


@click.group("peers", short_help="List, count, find or ban peers.", invoke_without_command=True)
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> int | None:
    """Looks at the peers that a running node knows, and bans those that it should no longer know."""
    if ctx.invoked_subcommand is not None:
        return None
    if as_json:
        raise click.UsageError(f"say what to do: {', '.join(command.commands)}", ctx)
    emit(ctx.get_help())
    return exits.USAGE


@command.command("list")
@click.option("--wide", is_flag=True, help="Full names and keys, and more columns.")
@click.option("--watch", is_flag=True, help="Show them again after each change until Ctrl-C.")
@node_options
@json_option
def list_peers(wide: bool, watch: bool, as_json: bool, **options: Any) -> int:
    """Lists all peers, with the proof for each: handshake, latency, bytes."""
    if watch:
        _watch(node_of(options), wide, as_json)
        return exits.OK
    with node_of(options).connect() as connection:
        seen = connection.look_at_peers()
    _say_health(seen.health)
    _show(seen.peers, seen.health, wide, as_json, compact=False)
    return code_of(seen.health)


@command.command("count")
@node_options
@json_option
def count_peers(as_json: bool, **options: Any) -> int:
    """Counts the peers: active ones are proven to be reachable."""
    from wgmesh.cli.render import counts_text, counts_value

    with node_of(options).connect() as connection:
        seen = connection.look_at_peers()
    _say_health(seen.health)
    if as_json:
        emit_json(counts_value(seen.peers))
    else:
        emit(counts_text(seen.peers))
    return code_of(seen.health)


@command.command("get")
@peer_argument
@node_options
@json_option
def get_peer(selector: str, as_json: bool, **options: Any) -> int:
    """Shows one peer.

    PEER is its public key, a unique beginning of it, its host name or a mesh address.
    """
    from wgmesh.cli.render import peer_text, peer_value

    with node_of(options).connect() as connection:
        seen = connection.get_peer(selector.removesuffix("..."))
    _say_health(seen.health)
    if as_json:
        emit_json(peer_value(seen.peer))
    else:
        emit(peer_text(seen.peer, time.time()))
    return code_of(seen.health)


@command.command("ban")
@peer_argument
@click.option(
    "--reason", type=Text(), default="", metavar="TEXT", help="Your own note, one line; `peers bans` shows it."
)
@node_options
@json_option
def ban_peer(selector: str, reason: str, as_json: bool, **options: Any) -> None:
    """Bans a peer: it is removed at once, and nothing of it counts until it is unbanned.

    PEER is its public key, a unique beginning of it, its host name or a mesh address; of a peer that is not known, its
    whole public key. The ban holds on this node only.
    """
    from wgmesh.cli.units import clean, key_text

    with node_of(options).connect() as connection:
        banned = connection.ban_peer(selector.removesuffix("..."), reason)
    if as_json:
        emit_json({"pubkey": key_text(banned.public_key), "hostname": banned.hostname})
    else:
        name = f" ({clean(banned.hostname)})" if banned.hostname else ""
        emit(f"Banned {key_text(banned.public_key)}{name}")


@command.command("unban")
@click.argument("key", type=Text())
@node_options
@json_option
def unban_peer(key: str, as_json: bool, **options: Any) -> None:
    """Takes a ban back.

    KEY is the banned public key, or a beginning of it that no other ban has.
    """
    from wgmesh.cli.units import key_text

    with node_of(options).connect() as connection:
        unbanned = connection.unban_peer(key.removesuffix("..."))
    if as_json:
        emit_json({"pubkey": key_text(unbanned.public_key)})
    else:
        emit(f"No longer banned: {key_text(unbanned.public_key)}")


@command.command("bans")
@node_options
@json_option
def list_bans(as_json: bool, **options: Any) -> None:
    """Lists the banned peers, the oldest ban first."""
    from wgmesh.cli.render import bans_table, bans_value

    with node_of(options).connect() as connection:
        answer = connection.list_bans()
    if answer.unread_count:
        warn(f"{answer.unread_count} entries of the file of bans name no key and ban nobody; repair or remove them")
    if as_json:
        emit_json(bans_value(answer.bans, answer.unread_count))
    elif answer.bans:
        emit_table(bans_table(answer.bans, time.time()), wide=True)
    else:
        emit("Nobody is banned")


def _say_health(health: node_pb2.Health) -> None:
    """Says on stderr, before everything else, that the node cannot do its work."""
    if code_of(health) != exits.OK:
        from wgmesh.cli.render import health_text

        warn(health_text(health, time.time()))


def _show(
    peers: Sequence[node_pb2.PeerStatus], health: node_pb2.Health, wide: bool, as_json: bool, compact: bool
) -> None:
    from wgmesh.cli.render import peers_table, peers_value

    if as_json:
        emit_json(peers_value(peers, health), compact)
    elif peers:
        emit_table(peers_table(peers, time.time(), wide), wide)
    else:
        emit("No peers yet")


def _watch(node: NodeOptions, wide: bool, as_json: bool) -> None:
    with ended_by_ctrl_c(exits.INTERRUPTED), node.connect() as connection:
        for seen in connection.watch_peers():
            with redrawn(as_json):
                _say_health(seen.health)
                _show(seen.peers, seen.health, wide, as_json, compact=True)
