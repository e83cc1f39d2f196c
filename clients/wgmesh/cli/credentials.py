"""Finds the mesh secret: one resolver for all commands.

The order is flags, environment, configuration file, /etc/wgmesh/secret. No text here ever holds the secret.
"""

from __future__ import annotations

import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from wgmesh.cli.app import SECRET_VARIABLE
from wgmesh.cli.clean_start import STANDARD_INPUT, VISIBLE_SECRET
from wgmesh.cli.output import warn
from wgmesh.core.errors import InvalidSetting, PermissionDenied, UnreadableFile
from wgmesh.core.keys.secret import STRONG_BITS, URI_VERSION, Secret
from wgmesh.runtime.files import read_named

SYSTEM_SECRET_FILE = Path("/etc/wgmesh/secret")
SECRET_BYTES_MAX = 64 * 1024  # far above any secret; a disk image that is named by mistake gives an error, not a wait


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


def required_secret(sources: SecretSources) -> Secret:
    """Finds the secret and says its warnings on stderr. Raises what find_secret raises."""
    found = find_secret(sources)
    for warning in found.warnings:
        warn(warning)
    return found.secret


def read_secret_input() -> str:
    """One secret from standard input; at a terminal without showing it."""
    if sys.stdin.isatty():
        from getpass import getpass

        return getpass("Secret: ")
    return sys.stdin.read(SECRET_BYTES_MAX)


def find_secret(sources: SecretSources) -> FoundSecret:
    """Returns the secret of the first source that has one. Raises InvalidSetting if none has, and InvalidSecret."""
    found = find_optional_secret(sources)
    if found is None:
        raise InvalidSetting(
            "--secret",
            "no secret was given; use --secret-file FILE or --secret - (standard input), or make one with"
            f" `wgmesh init --secret`. Looked at: {', '.join(_places(sources))}",
        )
    return found


def find_optional_secret(sources: SecretSources) -> FoundSecret | None:
    """As find_secret, and None if no source has a secret."""
    if sources.flag is not None and sources.file_flag is not None:
        raise InvalidSetting("--secret", "give either --secret or --secret-file, not both")
    if sources.flag == STANDARD_INPUT:
        return _found(sources.read_input(), "standard input")
    if sources.flag is not None:
        return _found(sources.flag, "--secret", VISIBLE_SECRET)
    if sources.file_flag is not None:
        return _from_file(Path(sources.file_flag), "--secret-file")
    if text := sources.environ.get(SECRET_VARIABLE):
        return _found(text, SECRET_VARIABLE)
    if name := sources.environ.get("WGMESH_SECRET_FILE"):
        return _from_file(Path(name), "WGMESH_SECRET_FILE")
    if sources.configured_file is not None:
        return _from_file(Path(sources.configured_file), "secret-file")
    return _from_system_file(sources.system_file)


def _places(sources: SecretSources) -> tuple[str, ...]:
    """Every place that was looked at, in the order in which they count."""
    flags = ("--secret", "--secret-file")
    return (*flags, SECRET_VARIABLE, f"{SECRET_VARIABLE}_FILE", "secret-file of --config", str(sources.system_file))


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
        data = read_named(path, SECRET_BYTES_MAX)
    except UnreadableFile as error:
        if not error.permitted:
            raise PermissionDenied(
                f"{origin}: {path} may not be read by this user; use sudo or change its owner"
            ) from None
        raise InvalidSetting(origin, f"{path} cannot be read: {error.problem}") from None
    shared = (f"{path} can be read by other users; run `chmod 600 {path}`",) if _is_shared(path) else ()
    return _found(data.decode("utf-8", "surrogateescape"), origin, *shared)


def _is_shared(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:  # it is gone since it was read: nobody reads it any more
        return False
    return stat.S_ISREG(mode) and bool(mode & (stat.S_IRGRP | stat.S_IROTH))


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
