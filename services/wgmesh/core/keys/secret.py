"""The mesh secret: the one thing that all members share.

There is one parser for every way a secret arrives (flag, variable, file, QR code), so that all of them agree.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable

from wgmesh.core.errors import InvalidSecret

# specification (protocol notes, section 1)
URI_PREFIX = "wgmesh://"
URI_VERSION = "v1"
MINIMUM_BYTES = 16
# Go's TrimSpace set. str.strip() without it would also take U+001C..U+001F, which are key material for Go nodes.
WHITE_SPACE = "\t\n\v\f\r \u0085\u00a0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))

# our choice
GENERATED_BYTES = 32  # 256 bits: as strong as the keys derived from it
STRONG_BITS = 80.0  # below this, an offline search over the public network id is within reach of a determined stranger
WORD_BITS = math.log2(7776)  # one word of a Diceware list: a generous guess for a word that a person picked
_WORD = re.compile(r"(?<![^\W\d_])[^\W\d_]?[a-z]{2,}(?![^\W\d_])")


class Secret:
    """A parsed secret. Its characters themselves are the key material: nothing is decoded."""

    __slots__ = ("_text", "uri_version")

    def __init__(self, text: str, uri_version: str | None = None) -> None:
        """Takes the secret without its URI. Raises InvalidSecret when it is shorter than 16 bytes of UTF-8."""
        try:
            length = len(_to_bytes(text))
        except UnicodeEncodeError:
            raise InvalidSecret("the secret is not valid text; pass what `wgmesh init --secret` printed") from None
        if length < MINIMUM_BYTES:
            raise InvalidSecret(
                f"the secret has {length} bytes, {MINIMUM_BYTES} are needed; make one with `wgmesh init --secret`"
            )
        self._text = text
        self.uri_version = uri_version
        """The version word of the URI it came from, or None. Anything but `v1` deserves a warning, not a refusal."""

    @classmethod
    def parse(cls, text: str) -> Secret:
        """Parses a bare secret or a `wgmesh://` URI exactly as upstream's `join`. Raises InvalidSecret."""
        trimmed = text.strip(WHITE_SPACE)
        if not trimmed.startswith(URI_PREFIX):
            return cls(trimmed)
        version, slash, path = trimmed.removeprefix(URI_PREFIX).partition("/")
        if not slash:  # without a version the whole remainder is the secret, a query included
            return cls(version)
        return cls(path.partition("?")[0], uri_version=version)

    @classmethod
    def generate(cls, random_bytes: Callable[[int], bytes]) -> Secret:
        """Makes a new secret from 32 bytes of the given source, as url-safe base64 without padding (43 characters)."""
        return cls(base64.urlsafe_b64encode(random_bytes(GENERATED_BYTES)).rstrip(b"=").decode("ascii"))

    def reveal(self) -> str:
        return self._text

    def reveal_bytes(self) -> bytes:
        """The key material: UTF-8, or the original bytes where the input was not UTF-8."""
        return _to_bytes(self._text)

    def uri(self) -> str:
        """The form to hand to other machines. It reveals the secret."""
        return f"{URI_PREFIX}{URI_VERSION}/{self._text}"

    @property
    def is_known_version(self) -> bool:
        return self.uri_version in (None, URI_VERSION)

    @property
    def estimated_entropy_bits(self) -> float:
        """A rough upper guess of how hard the secret is to find: words count as words, runs like `1234` as one sign."""
        rest, words = _WORD.subn(" ", self._text)
        pairs = zip(" " + rest, rest, strict=False)
        signs = [sign for before, sign in pairs if abs(ord(sign) - ord(before)) > 1 and sign != " "]
        return words * WORD_BITS + len(signs) * _bits_per_sign(signs)

    def __repr__(self) -> str:
        return "Secret(...)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


def _to_bytes(text: str) -> bytes:
    # Arguments and variables reach Python with undecodable bytes as surrogates; upstream takes such bytes as they are.
    return text.encode("utf-8", "surrogateescape")


def _bits_per_sign(signs: list[str]) -> float:
    """log2 of the size of the alphabet that the signs seem to be drawn from."""
    if not signs:
        return 0.0
    alphabets = ((10, str.isdigit), (26, str.islower), (26, str.isupper), (12, lambda sign: not sign.isalnum()))
    return math.log2(sum(size for size, holds in alphabets if any(map(holds, signs))) or 2)
