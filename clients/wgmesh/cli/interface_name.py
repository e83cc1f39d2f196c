"""Which interface names are allowed: they become file names and kernel objects."""

from __future__ import annotations

import re

from wgmesh.core.errors import InvalidSetting

DEFAULT_INTERFACE = "wg0"
MAX_INTERFACE_NAME_BYTES = 15  # Linux, IFNAMSIZ less the terminating zero
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]*")


def parse_interface_name(text: str) -> str:
    """Returns the name, the default for an empty one. Raises InvalidSetting."""
    if not text:
        return DEFAULT_INTERFACE
    if not _NAME.fullmatch(text):
        problem = f"{text!r} must start with a letter and hold only letters, digits, `_` and `-`, such as wg0 or mesh-1"
        raise InvalidSetting("interface", problem)
    if len(text) > MAX_INTERFACE_NAME_BYTES:
        raise InvalidSetting("interface", f"{text!r} is longer than {MAX_INTERFACE_NAME_BYTES} characters")
    return text
