"""Every error that wgmesh raises on purpose.

MeshError
├── InvalidInput          what was given cannot be used as it is
│   ├── InvalidSecret     a secret that is too short or malformed
│   ├── InvalidSetting    a flag, a file entry or an option
│   ├── UnreadableFile    something is there and cannot be read as a file: forbidden, a FIFO, too large
│   ├── MalformedMessage  bytes from the network that are not what they claim
│   │   └── StaleMessage  one whose time is too far from ours
│   └── WeakKey           a public key with which nothing can be agreed
├── NotFound
│   └── PeerNotFound
├── NotReady              not now; trying again may help
│   ├── DaemonNotRunning
│   ├── NodeStarting      its processes start for the first time
│   ├── NodeRestarting    a process of it that has run is being replaced
│   └── DeviceUnavailable the device could not be looked at or changed
├── Busy                  too much is asked at one time already
├── PermissionDenied
├── AlreadyRunning        somebody else holds the interface, the socket or the lock
│   └── InterfaceTaken    an interface of the wanted name exists, and is not this node's
├── CorruptState          a state file that must not be overwritten silently
└── NotSupported          this version or this machine cannot do it

The text of an error is one or two sentences: what happened and what to do next.
"""

from __future__ import annotations


class MeshError(Exception):
    """The root of the tree."""


class InvalidInput(MeshError):
    """What was given cannot be used as it is."""


class InvalidSecret(InvalidInput):
    """A secret is too short or malformed. The text never holds the secret."""


class InvalidSetting(InvalidInput):
    """A flag, a file entry or an option is wrong."""

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(f"{setting}: {problem}")
        self.setting = setting


class UnreadableFile(InvalidInput):
    """Something is there that cannot be read as a file. `problem` is the reason alone, for a caller's own sentence."""

    def __init__(self, path: str, problem: str, *, permitted: bool = True) -> None:
        super().__init__(f"{path} cannot be read: {problem}. Put a regular file there, or name another one.")
        self.problem = problem
        self.permitted = permitted


class MalformedMessage(InvalidInput):
    """Bytes from the network are not what they claim to be."""


class NotSealed(MalformedMessage):
    """Bytes were not sealed with the key that they should be: of another mesh, or of no mesh at all."""


class UnknownType(MalformedMessage):
    """A message is authentic, and its type is none that fits what is in it: of a later version, or forged."""


class WeakKey(InvalidInput):
    """A public key with which no secret can be agreed."""


class StaleMessage(MalformedMessage):
    """A message is authentic, and its time is too far from ours. `offset_s` is how far it is ahead, in seconds."""

    def __init__(self, problem: str, offset_s: float) -> None:
        super().__init__(problem)
        self.offset_s = offset_s


class NotFound(MeshError):
    """A named thing does not exist."""


class PeerNotFound(NotFound):
    """No peer, or more than one, fits a selector."""


class NotReady(MeshError):
    """Not now; trying again may help."""


class DaemonNotRunning(NotReady):
    """Nothing answers on the control socket."""


class NodeStarting(NotReady):
    """A supervisor runs, and the node process has not been ready yet."""


class NodeRestarting(NotReady):
    """A supervisor runs, and the node process, which has run before, does not answer."""


class DeviceUnavailable(NotReady):
    """The WireGuard device could not be looked at or changed."""


class Busy(MeshError):
    """Too much is asked at one time already; it helps to end some of it."""


class PermissionDenied(MeshError):
    """The caller may not do this."""


class AlreadyRunning(MeshError):
    """Somebody else holds the interface, the socket or the lock."""


class InterfaceTaken(AlreadyRunning):
    """An interface of the wanted name exists, and is not this node's. It is left as it is."""


class CorruptState(MeshError):
    """A state file cannot be read and must not be overwritten silently."""


class NotSupported(MeshError):
    """This version or this machine cannot do it."""
