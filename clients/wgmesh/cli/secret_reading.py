"""Reads the secret in a process of its own, which ends when it has done so.

Python leaves copies of whatever it has read: in buffers, in texts, in memory that it has freed. The process that
becomes the supervisor is the one that all processes of the node are forked from, so the secret is not read in it. It is
told what follows from the secret and opens nothing, and holds the descriptor of a sealed file with the rest.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import signal
from dataclasses import dataclass
from typing import Any

from wgmesh.cli.credentials import SecretSources, find_secret
from wgmesh.core import errors
from wgmesh.core.errors import InvalidSetting, MeshError
from wgmesh.core.keys.keyschedule import MeshLayout, derive
from wgmesh.runtime.sealed_secret import SealedSecret
from wgmesh.supervisor.io.capabilities import die_with_parent, forbid_dumps

_INHERITED_FILE = re.compile(r"/(?:dev|proc/self)/fd/([0-9]+)")
_STANDARD_STREAMS = 3


@dataclass(frozen=True, slots=True)
class Reading:
    """What the process that becomes the supervisor learns of a secret."""

    secret: SealedSecret
    layout: MeshLayout
    warnings: tuple[str, ...]


def read_apart(sources: SecretSources) -> Reading:
    """Finds the secret in another process. Raises what find_secret raises, NotSupported and KeyboardInterrupt.

    A descriptor that was named as the secret's file (`/dev/fd/N`) is closed, since the children would inherit it.
    """
    sealed = SealedSecret.empty()
    try:
        answer = _answer_of_reader(sources, sealed)
        if "error" in answer:
            raise _rebuilt(**answer["error"])
    except BaseException:
        sealed.close()
        raise
    finally:
        _close_inherited(sources.file_flag)
    port, ipv4, ipv6 = answer["layout"]
    layout = MeshLayout(port, ipaddress.IPv4Network(ipv4), ipaddress.IPv6Network(ipv6))
    return Reading(sealed, layout, tuple(answer["warnings"]))


def _answer_of_reader(sources: SecretSources, sealed: SealedSecret) -> dict[str, Any]:
    reading, writing = os.pipe()
    # Ctrl-C reaches both. This process waits for the other, which may have to give a terminal its echo back.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        pid = os.fork()
        if pid == 0:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            _read(sources, sealed, writing)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            data = pipe.read()
        os.waitpid(pid, 0)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    if not data:
        raise KeyboardInterrupt
    answer: dict[str, Any] = json.loads(data)
    return answer


def _read(sources: SecretSources, sealed: SealedSecret, writing: int) -> None:
    """The whole life of the reader. An interrupt, or the end of a terminal's input, leaves the pipe empty."""
    try:
        die_with_parent()
        forbid_dumps()
        os.write(writing, json.dumps(_found(sources, sealed)).encode())
    except (KeyboardInterrupt, EOFError):
        pass
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(0)


def _found(sources: SecretSources, sealed: SealedSecret) -> dict[str, Any]:
    try:
        found = find_secret(sources)
    except MeshError as error:
        setting = error.setting if isinstance(error, InvalidSetting) else ""
        return {"error": {"kind": type(error).__name__, "setting": setting, "text": str(error)}}
    sealed.put(found.secret)
    layout = derive(found.secret).layout
    parts = layout.gossip_port, str(layout.default_ipv4_network), str(layout.ipv6_network)
    return {"layout": parts, "warnings": found.warnings}


def _rebuilt(kind: str, setting: str, text: str) -> MeshError:
    if setting:
        return InvalidSetting(setting, text.removeprefix(f"{setting}: "))
    error: MeshError = getattr(errors, kind)(text)
    return error


def _close_inherited(name: str | None) -> None:
    match = _INHERITED_FILE.fullmatch(name or "")
    if match and int(match[1]) >= _STANDARD_STREAMS:
        os.close(int(match[1]))
