"""The program's entry: runs what the words ask for, reports an error and returns the exit code.

`main` is the only place where an error becomes text and an exit code. The two calls that have no time for click are
answered without it: `version`, which takes as long as Python needs to start, and a `join` without a mistake in it,
whose process becomes the supervisor and keeps what it has loaded. Everything else is for program.py, help and the
mistakes in a `join` too.
"""

from __future__ import annotations

import os
import sys

from wgmesh.cli import exits
from wgmesh.cli.versions import version_line
from wgmesh.core.errors import MeshError

COMPLETION_VARIABLE = "_WGMESH_COMPLETE"
JSON_FLAG = "--json"
NO_COMMAND = ("--help", "-h", "--")
VERSION_WORDS = (["version"], ["--version"], ["-v"])
SECRET_VARIABLE = "WGMESH_SECRET"
TRACEBACK_VARIABLE = "WGMESH_TRACEBACK"  # for those who look for a bug of the command line


def run_and_leave() -> None:
    """Runs the process's own command and ends it at once: to take gRPC and Python apart takes 25 ms, for nobody.

    Everything that must be done is done when `main` returns: nothing here is left to an exit handler of Python.
    """
    code = main()
    try:  # noqa: SIM105 - contextlib alone would take a fifth of the time of `version`
        sys.stderr.flush()
    except OSError:  # its reader is gone
        pass
    os._exit(code)


def main(argv: list[str] | None = None) -> int:
    """Runs the command in `argv` (default: the process's arguments) and returns its exit code."""
    _open_missing_streams()
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its lines speak of sockets; ours say what it means for the user
    arguments = command_first(list(sys.argv[1:] if argv is None else argv))
    try:
        if argv is None and (SECRET_VARIABLE in os.environ or any(map(_may_give_secret, arguments))):
            from wgmesh.cli.clean_start import start_again

            start_again(arguments)
        code = _run(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader has seen enough, for example `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.OK
    except (KeyboardInterrupt, EOFError):
        return exits.INTERRUPTED
    except MeshError as error:
        from wgmesh.cli import output

        code = exits.exit_code(error)
        output.report(type(error).__name__, str(error), code, as_json=JSON_FLAG in arguments)
        return code
    except Exception as error:  # the last place where a fault can become a sentence
        if TRACEBACK_VARIABLE in os.environ:
            raise
        from wgmesh.cli import faults, output

        output.report(MeshError.__name__, faults.sentence(error), exits.FAILED, as_json=JSON_FLAG in arguments)
        return exits.FAILED


def command_first(arguments: list[str]) -> list[str]:
    """Moves `--json` from before the command to behind it, since what comes first says which way a call goes."""
    count = next((number for number, word in enumerate(arguments) if word != JSON_FLAG), len(arguments))
    if count == 0 or count == len(arguments) or arguments[count] in NO_COMMAND:
        return arguments
    return [arguments[count], JSON_FLAG, *arguments[count + 1 :]]


def _begins_like_ours(variable: str) -> bool:
    return variable.startswith("WGMESH_")


def _may_give_secret(word: str) -> bool:
    return word == "--secret" or word.startswith("--secret=")


def _open_missing_streams() -> None:
    """A program started with a closed stream (`2>&-`) has none, and the next file that it opens would become it."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - for the life of the program


def _run(arguments: list[str]) -> int:
    if COMPLETION_VARIABLE not in os.environ:
        if arguments in VERSION_WORDS:
            print(version_line())
            return exits.OK
        if any(map(_begins_like_ours, os.environ)):
            from wgmesh.cli.output import warn
            from wgmesh.cli.variables import doubts

            for doubt in doubts(os.environ):
                warn(doubt)
        match arguments:
            case ["join", *words]:
                from wgmesh.cli.join_flags import read_flags

                flags = read_flags(words, os.environ)
                if flags is not None:
                    from wgmesh.cli.node_process import run_node

                    return run_node(flags)
    from wgmesh.cli.program import run

    return run(arguments)
