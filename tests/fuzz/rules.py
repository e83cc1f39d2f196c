"""What holds whatever the bytes are: the rules that every target asserts."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TypeVar

from support.discovery.discovery_wire import KEYS, SECRET
from wgmesh.core.errors import MalformedMessage, MeshError

ERROR_CHARACTERS_MAX = 400  # one or two sentences
SHORTEST_SECRET = 12  # shorter texts occur by chance

ValueT = TypeVar("ValueT")


def _spellings(raw: bytes) -> tuple[str, ...]:
    standard = base64.b64encode(raw).decode()
    return (repr(raw)[2:-1], raw.hex(), standard, base64.urlsafe_b64encode(raw).decode(), standard.rstrip("="))


HIDDEN = (SECRET.reveal(), *_spellings(KEYS.gossip_key), *_spellings(KEYS.psk.reveal()), *_spellings(KEYS.network_id))


def accepted(
    parse: Callable[[], ValueT],
    errors: type[MeshError] | tuple[type[MeshError], ...] = MalformedMessage,
    hidden: tuple[str, ...] = (),
) -> ValueT | None:
    """Returns what `parse` makes, or None where it raises one of the documented errors.

    Any other exception passes through, which is a finding; so is an error text that is long, breaks a log line or holds
    one of `hidden` or of the mesh's own secrets.
    """
    try:
        return parse()
    except errors as error:
        check_text(str(error), hidden)
        return None


def check_text(text: str, hidden: tuple[str, ...] = ()) -> None:
    """Asserts that a text may be shown to anybody."""
    assert len(text) <= ERROR_CHARACTERS_MAX, "an error text grows with the input"
    assert text.isprintable(), "an error text holds control characters"
    check_hidden(text, hidden)


def check_hidden(text: str, hidden: tuple[str, ...] = ()) -> None:
    """Asserts that a text gives nothing secret away."""
    for secret in (*HIDDEN, *hidden):
        assert len(secret) < SHORTEST_SECRET or secret not in text, "a text gives a secret away"
