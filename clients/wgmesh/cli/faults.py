"""What is said of an exception that nobody has foreseen: the system's reason, or that it is a bug."""

from __future__ import annotations

from wgmesh.cli.app import TRACEBACK_VARIABLE


def sentence(error: Exception) -> str:
    """One sentence for a person, without the words of Python where the system has better ones."""
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else "the program cannot go on: "
        return f"{where}{error.strerror}"
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    return f"this is a bug of wgmesh ({type(error).__name__}); with {TRACEBACK_VARIABLE}=1 it says where, for a report"
