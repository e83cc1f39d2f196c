"""How long to wait before each new attempt."""

from __future__ import annotations

from collections.abc import Callable, Iterator


def delays(
    first_s: float, cap_s: float, random: Callable[[], float], factor: float = 2.0, jitter: float = 0.2
) -> Iterator[float]:
    """Yields waits without end: from `first_s`, growing by `factor`, around at most `cap_s`.

    `random` returns values in [0, 1). Each wait lies within `jitter` (a fraction) of its nominal length, so that nodes
    which failed together do not try again together.
    """
    nominal = min(first_s, cap_s)
    while True:
        yield nominal * (1 + jitter * (2 * random() - 1))
        nominal = min(nominal * factor, cap_s)
