"""Names of hosts as a mesh carries them: ASCII, and equal where only the case differs."""

from __future__ import annotations

import re
import unicodedata

LONGEST_HOSTNAME = 63  # one label of DNS (RFC 1035, section 2.3.4); Linux allows 64, and columns and metrics want less
_FOREIGN = re.compile(r"[^A-Za-z0-9_.-]+")
_SEPARATORS = re.compile(r"\.(?=\.)|(?<=\.)-+|-+(?=\.)")


def normalised_hostname(text: str) -> str:
    """Returns the name that others are told: ASCII letters, digits, `-`, `_` and `.`, at most 63 of them.

    Accents fall off their letters (`büro` becomes `buro`). A label in letters that have no such form is encoded as DNS
    encodes it (`xn--...`), and everything else, such as a space, becomes a hyphen. Returns an empty text where nothing
    is left.
    """
    labels = (_ascii_label(label) for label in text.strip().split("."))
    name = _SEPARATORS.sub("", ".".join(labels))
    return name[:LONGEST_HOSTNAME].strip("-.")


def same_hostname(one: str, other: str) -> bool:
    """Whether two names are the same to a person: without case, and in the form in which a mesh carries them."""
    return bool(one) and (
        one.casefold() == other.casefold()
        or normalised_hostname(one).lower() == normalised_hostname(other).lower() != ""
    )


def _ascii_label(label: str) -> str:
    plain = "".join(
        sign for sign in unicodedata.normalize("NFKD", label.replace("ß", "ss")) if not unicodedata.combining(sign)
    )
    if any(sign.isalpha() and not sign.isascii() for sign in plain):
        letters = re.sub(r"\W+", "-", unicodedata.normalize("NFKC", label).lower()).strip("-")
        return "xn--" + letters.encode("punycode").decode("ascii")
    return _FOREIGN.sub("-", plain).strip("-")
