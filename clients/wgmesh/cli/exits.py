"""The exit codes, and which error ends in which."""

from __future__ import annotations

from wgmesh.core import errors

OK = 0
FAILED = 1
USAGE = 2
NOT_RUNNING = 3
NOT_FOUND = 4
PERMISSION = 5
UNABLE = 6
STARTING = 7
RESTARTING = 8
INTERRUPTED = 130  # 128 + SIGINT, as shells count

MEANINGS: dict[int, str] = {
    OK: "ok",
    FAILED: "failed",
    USAGE: "usage: a flag, a setting or a secret is wrong",
    NOT_RUNNING: "the daemon is not running",
    NOT_FOUND: "not found",
    PERMISSION: "permission denied",
    UNABLE: "the node runs and cannot look after its tunnels",
    STARTING: "the node is starting",
    RESTARTING: "a process of the node does not answer, and is being replaced",
    INTERRUPTED: "interrupted with Ctrl-C",
}

# The first row that fits decides, so a subclass stands above its parent.
EXIT_CODES: tuple[tuple[type[Exception], int], ...] = (
    (errors.MalformedMessage, FAILED),
    (errors.InvalidInput, USAGE),
    (errors.DaemonNotRunning, NOT_RUNNING),
    (errors.NodeStarting, STARTING),
    (errors.NodeRestarting, RESTARTING),
    (errors.NotFound, NOT_FOUND),
    (errors.PermissionDenied, PERMISSION),
    (errors.MeshError, FAILED),
)


def documented(code: int) -> int:
    """Returns the code if the table has it, else 1: a service's own codes mean nothing to the user of the program."""
    return code if code in MEANINGS else FAILED


def exit_code(error: Exception) -> int:
    """Returns the exit code for an error; 1 for one that the table does not know."""
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), FAILED)
