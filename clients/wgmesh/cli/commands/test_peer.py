"""`wgmesh test-peer`: does a member of the mesh answer at an address?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from wgmesh.cli.options import json_option, node_of, node_options, secret_options, secret_sources
from wgmesh.cli.output import emit, emit_json, warn
from wgmesh.core.errors import DaemonNotRunning, InvalidSetting, MeshError, NotFound

if TYPE_CHECKING:
    from wgmesh.core.keys.secret import Secret
    from wgmesh.v1 import node_service_pb2 as node_pb2

NO_ANSWER_CAUSES = "The node is down or has another secret, or a firewall or NAT is in the way."


@click.command("test-peer", short_help="Ask an address whether a member of the mesh answers there.")
@click.option("--peer", required=True, metavar="HOST[:PORT]", help="Address; without a port the mesh's exchange port.")
@secret_options
@node_options
@json_option
def command(peer: str, as_json: bool, **options: Any) -> None:
    """Asks an address whether a member of the mesh answers there, and how this machine looks from there.

    The running node asks, and it and the node that answers know each other from then on. With --secret or
    --secret-file, or where no node runs and a secret is found, the command asks by itself, which changes nothing on
    the other side.
    """
    from wgmesh.cli.render import probe_text, probe_value

    host, port = _address(peer)
    given = secret_sources(options).given_by_flag
    answer, address = _ask_alone(_secret(options), host, port, options) if given else _ask(host, port, options)
    if as_json:
        emit_json(probe_value(answer, address))
    else:
        emit(probe_text(answer, address))


def _ask(host: str, port: int, options: dict[str, Any]) -> tuple[node_pb2.ProbePeerResponse, str]:
    """Through the running node, else alone if a secret is found."""
    from wgmesh.cli.probing import resolve

    node = node_of(options)
    try:
        with node.connect() as connection:
            address = str(resolve(host, port or 1)[0][1].host)
            answer = connection.probe_peer(address, port, node.timeout_s)
    except NotFound as error:  # nobody answered: a failed test, unlike a peer that is not in a list
        raise MeshError(f"{str(error).rstrip('.')}. {NO_ANSWER_CAUSES}") from None
    except DaemonNotRunning as error:
        secret = _secret(options)
        if secret is None:
            raise DaemonNotRunning(f"{error}, or give --secret-file to ask without it") from None
        return _ask_alone(secret, host, port, options)
    return answer, _shown(address, port)


def _ask_alone(
    secret: Secret | None, host: str, port: int, options: dict[str, Any]
) -> tuple[node_pb2.ProbePeerResponse, str]:
    from google.protobuf.duration_pb2 import Duration
    from wgmesh.cli.probing import probe, resolve
    from wgmesh.core.keys.keyschedule import derive
    from wgmesh.v1 import endpoint_pb2
    from wgmesh.v1 import node_service_pb2 as node_pb2

    assert secret is not None  # a flag was given, or the caller looked
    keys = derive(secret)
    found = probe(keys.gossip_key, resolve(host, port or keys.gossip_port), options["timeout"])
    observed = found.reply.observed_endpoint
    answer = node_pb2.ProbePeerResponse(
        public_key=found.reply.public_key.raw,
        hostname=found.reply.hostname,
        mesh_ipv4=str(found.reply.mesh_ipv4),
        round_trip_time=Duration(nanos=int(found.round_trip_s % 1 * 1e9), seconds=int(found.round_trip_s)),
        observed_endpoint=endpoint_pb2.Endpoint(host=str(observed.host), port=observed.port),
    )
    return answer, str(found.source)


def _secret(options: dict[str, Any]) -> Secret | None:
    from wgmesh.cli.credentials import find_optional_secret

    found = find_optional_secret(secret_sources(options))
    for warning in found.warnings if found else ():
        warn(warning)
    return found.secret if found else None


def _address(text: str) -> tuple[str, int]:
    """Host and port, which is 0 if left out."""
    from wgmesh.cli.values import split_host_port

    try:
        return split_host_port(text)
    except ValueError as error:
        raise InvalidSetting("--peer", str(error)) from None


def _shown(address: str, port: int) -> str:
    host = f"[{address}]" if ":" in address and port else address
    return f"{host}:{port}" if port else host
