"""Turns a gRPC failure back into the error that the server raised."""

from __future__ import annotations

import grpc
import grpc.aio
from wgmesh.core import errors

ERROR_NAME_KEY = "wgmesh-error"  # trailing metadata: the class name of the error that the server raised

_BY_STATUS: dict[grpc.StatusCode, type[errors.MeshError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidInput,
    grpc.StatusCode.NOT_FOUND: errors.NotFound,
    grpc.StatusCode.UNAVAILABLE: errors.NotReady,
    grpc.StatusCode.CANCELLED: errors.NotReady,
    grpc.StatusCode.ABORTED: errors.NotReady,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.NotReady,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.Busy,
    grpc.StatusCode.PERMISSION_DENIED: errors.PermissionDenied,
    grpc.StatusCode.ALREADY_EXISTS: errors.AlreadyRunning,
    grpc.StatusCode.UNIMPLEMENTED: errors.NotSupported,
    grpc.StatusCode.DATA_LOSS: errors.CorruptState,
}

_OTHER_VERSION = "{0} does not understand this question: it is of another version than this program; restart it"
_BROKEN_OFF = "{0} has broken off the answer: it is being stopped or restarted; try again in a moment"
_BUG = "{0} met a bug; its log says more"

# What a status means that gRPC made, and no method of ours: the library's own words are for its programmers.
WITHOUT_NAME: dict[grpc.StatusCode, str] = {
    grpc.StatusCode.CANCELLED: _BROKEN_OFF,
    grpc.StatusCode.ABORTED: _BROKEN_OFF,
    grpc.StatusCode.UNAVAILABLE: "{0} does not answer: it is being started, restarted or stopped; try again in a"
    " moment, and see the log of the node if that does not help",
    grpc.StatusCode.DEADLINE_EXCEEDED: "{0} has not answered in time: it hangs, or the machine is very busy; see the"
    " log of the node",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "{0} has too much to do or to say at present; try again in a moment",
    grpc.StatusCode.UNKNOWN: _BUG,
    grpc.StatusCode.INTERNAL: _BUG,
    grpc.StatusCode.DATA_LOSS: _BUG,
    grpc.StatusCode.PERMISSION_DENIED: "{0} does not allow this",
    grpc.StatusCode.UNAUTHENTICATED: "{0} does not allow this",
}


def _subclasses(root: type[errors.MeshError]) -> dict[str, type[errors.MeshError]]:
    found = {root.__name__: root}
    for child in root.__subclasses__():
        found |= _subclasses(child)
    return found


def error_from_rpc(failure: grpc.aio.AioRpcError, answerer: str) -> errors.MeshError:
    """The error that stands for `failure`: by the name the server gave, else by the status code.

    `answerer` is who was asked, as the subject of a sentence.
    """
    name = next((value for key, value in failure.trailing_metadata() or () if key == ERROR_NAME_KEY), "")
    kind = _subclasses(errors.MeshError).get(name if isinstance(name, str) else "")
    kind = kind or _BY_STATUS.get(failure.code(), errors.MeshError)
    text = failure.details() if name else None
    text = text or WITHOUT_NAME.get(failure.code(), _OTHER_VERSION).format(answerer)
    error = kind.__new__(kind)  # a subclass may take other arguments; the text is all that travels
    Exception.__init__(error, text)
    return error
