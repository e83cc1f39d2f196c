"""Finds the mesh secret: one resolver for all commands.

The order is flags, environment, configuration file, /etc/wgmesh/secret. Warnings are returned, so that the caller says
them once. No text here ever holds the secret.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from wgmesh.core.errors import InvalidSetting, PermissionDenied
from wgmesh.core.secret import STRONG_BITS, URI_VERSION, Secret

SYSTEM_SECRET_FILE = Path("/etc/wgmesh/secret")
STANDARD_INPUT = "-"
SECRET_BYTES_MAX = 64 * 1024  # far above any secret; whoever names a disk image by mistake gets an error, not a wait


@dataclass(frozen=True, slots=True)
class FoundSecret:
    """A secret, where it came from, and what the user should know about it."""

    secret: Secret
    origin: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SecretSources:
    """Every place that may hold the secret. `read_input` reads standard input, without echo where it is a terminal."""

    environ: Mapping[str, str]
    read_input: Callable[[], str]
    flag: str | None = None
    file_flag: str | None = None
    configured_file: str | None = None
    system_file: Path = SYSTEM_SECRET_FILE

    @property
    def given_by_flag(self) -> bool:
        return self.flag is not None or self.file_flag is not None


def find_secret(sources: SecretSources) -> FoundSecret:
    """Returns the secret of the first source that has one. Raises InvalidSetting if none has, and InvalidSecret."""
    found = find_optional_secret(sources)
    if found is None:
        raise InvalidSetting(
            "--secret",
            "no secret was given; use --secret-file FILE, --secret - (standard input) or WGMESH_SECRET,"
            " or make one with `wgmesh init --secret`",
        )
    return found


def find_optional_secret(sources: SecretSources) -> FoundSecret | None:
    """As find_secret, and None if no source has a secret."""
    if sources.flag is not None and sources.file_flag is not None:
        raise InvalidSetting("--secret", "give either --secret or --secret-file, not both")
    if sources.flag == STANDARD_INPUT:
        return _found(sources.read_input(), "standard input")
    if sources.flag is not None:
        visible = "the secret on the command line can be seen by every user of this machine; use --secret-file"
        return _found(sources.flag, "--secret", visible)
    if sources.file_flag is not None:
        return _from_file(Path(sources.file_flag), "--secret-file")
    if text := sources.environ.get("WGMESH_SECRET"):
        return _found(text, "WGMESH_SECRET")
    if name := sources.environ.get("WGMESH_SECRET_FILE"):
        return _from_file(Path(name), "WGMESH_SECRET_FILE")
    if sources.configured_file is not None:
        return _from_file(Path(sources.configured_file), "secret-file")
    return _from_system_file(sources.system_file)


def _from_system_file(path: Path) -> FoundSecret | None:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        raise PermissionDenied(f"{path} may not be read by this user; use sudo or name a secret") from None
    return _from_file(path, str(path))


def _from_file(path: Path, origin: str) -> FoundSecret:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(SECRET_BYTES_MAX + 1)
    except PermissionError:
        raise PermissionDenied(f"{origin}: {path} may not be read by this user; use sudo or change its owner") from None
    except OSError as error:
        raise InvalidSetting(origin, f"{path} cannot be read: {error.strerror}") from None
    if len(data) > SECRET_BYTES_MAX:
        raise InvalidSetting(origin, f"{path} is larger than {SECRET_BYTES_MAX} bytes and cannot be a secret")
    readable = stat.S_ISREG(mode) and bool(mode & (stat.S_IRGRP | stat.S_IROTH))
    shared = (f"{path} can be read by other users; run `chmod 600 {path}`",) if readable else ()
    return _found(data.decode("utf-8", "surrogateescape"), origin, *shared)


def _found(text: str, origin: str, *warnings: str) -> FoundSecret:
    secret = Secret.parse(text)
    return FoundSecret(secret, origin, (*warnings, *_doubts(secret)))


def _doubts(secret: Secret) -> list[str]:
    doubts = []
    if not secret.is_known_version:
        doubts.append(f"the secret's URI is not of version {URI_VERSION}; it is used as a {URI_VERSION} secret")
    if secret.estimated_entropy_bits < STRONG_BITS:
        doubts.append("the secret looks easy to guess; make a strong one with `wgmesh init --secret`")
    return doubts
