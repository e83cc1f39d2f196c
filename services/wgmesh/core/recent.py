"""What was noted last, within a bound."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar, overload

KeyT = TypeVar("KeyT", bound=Hashable)
ValueT = TypeVar("ValueT")


class Recent(Generic[KeyT, ValueT]):
    """A mapping that forgets what was noted longest ago where there is too much."""

    def __init__(self, max_count: int) -> None:
        self._max_count = max_count
        self._values: dict[KeyT, ValueT] = {}

    def note(self, key: KeyT, value: ValueT) -> None:
        """Puts a value in the place of the last one of its key."""
        self._values.pop(key, None)
        self._values[key] = value
        if len(self._values) > self._max_count:
            del self._values[next(iter(self._values))]

    @overload
    def get(self, key: KeyT) -> ValueT | None: ...
    @overload
    def get(self, key: KeyT, default: ValueT) -> ValueT: ...
    def get(self, key: KeyT, default: ValueT | None = None) -> ValueT | None:
        return self._values.get(key, default)

    def forget(self, key: KeyT) -> None:
        self._values.pop(key, None)

    def __len__(self) -> int:
        return len(self._values)
