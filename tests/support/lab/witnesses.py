"""How to know that a node has dealt with an attack that should do nothing.

What does nothing leaves no trace to wait for. So after the attack members speak that the node has never met, one on
each way that the attack took. Once all of them were peers of its WireGuard device, what came before them has gone the
same way to its end: it was read, judged, told to the node service, composed and applied.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType

from support.lab.insider import Insider
from support.lab.outsider import Outsider
from support.waiting import PATIENCE_S
from wgmesh.cli.probing import ProbeSession
from wgmesh.core.keys.keyschedule import derive
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import PublicKey
from wgmesh.demo.nodes import MeshNode
from wgmesh.demo.waiting import wait_for

AGAIN_S = 0.1  # after a flood the rate limits drop the first word, and admit a later one


@dataclass(frozen=True, slots=True)
class Way:
    """What carries a message to a node, and the type of message that is heard there."""

    send: Callable[[bytes], None]
    kind: str = "HELLO"


def wait_until_dealt_with(
    node: MeshNode, secret: str, ways: Sequence[Way], overhearing: Mapping[PublicKey, Way] = MappingProxyType({})
) -> set[bytes]:
    """Waits until `node` has dealt with all that was sent to it on these ways. Raises TimedOut.

    Returns the keys of the witnesses. They leave by the first way, and tell so those who have heard them too: a node
    keeps few places for those of one host that have proven nothing.
    """
    hearer = PublicKey(node.wait_until_ready().public_key)
    leaving = {**overhearing, hearer: ways[0]}
    witnesses = [Insider(Secret(secret)) for _ in ways]
    unheard = list(zip(witnesses, ways, strict=True))

    def all_are_heard() -> bool:
        peers = node.host.exec("wg", "show", node.interface, "peers")
        unheard[:] = [each for each in unheard if each[0].public_key.text not in peers]
        for witness, way in unheard:
            way.send(_word_of(witness, way.kind, hearer))
        return not unheard

    wait_for(all_are_heard, PATIENCE_S, f"{node.name} has dealt with what was sent to it", poll_s=AGAIN_S)
    for witness, (told, way) in product(witnesses, leaving.items()):
        payload = {"protocol": "wgmesh-v1", "timestamp": int(time.time()), "wg_pubkey": witness.public_key.text}
        way.send(witness.seal_to(told, "GOODBYE", witness.extended(payload)))
    return {witness.public_key.raw for witness in witnesses}


def wait_until_read(wire: Outsider, secret: str, address: str, port: int) -> None:
    """Waits until a node has read all that `wire` has sent to its exchange port. Raises TimedOut.

    It answers in the order in which it is asked.
    """
    session = ProbeSession(derive(Secret(secret)).gossip_key, os.urandom)

    def is_answered() -> bool:
        wire.send(session.question(time.monotonic(), time.time()), address, port)
        answers = [session.answer(*each, time.monotonic(), time.time()) for each in wire.received()]
        return any(answers)

    wait_for(is_answered, PATIENCE_S, f"{address} has read what was sent there", poll_s=AGAIN_S)


def _word_of(witness: Insider, kind: str, hearer: PublicKey) -> bytes:
    payload = witness.extended(witness.describe(witness.public_key, hostname="witness", wg_endpoint=""))
    if kind == "HELLO":
        return witness.seal_to(hearer, kind, payload)
    return witness.seal(kind, payload)  # nobody can prove anything to a whole LAN
