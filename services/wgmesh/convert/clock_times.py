"""Steady times for people: as the host's clock shows them."""

from __future__ import annotations

from typing import TypeVar

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from wgmesh.convert.scalar import seconds_of, timestamp

MessageT = TypeVar("MessageT", bound=Message)


def by_the_clock(message: MessageT, ahead_s: float) -> MessageT:
    """Moves each time in a message, at any depth, by how far the host's clock is ahead of steady time. In place."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for each in (value,) if isinstance(value, Message) else value:
            if isinstance(each, Timestamp):
                moved = timestamp(seconds_of(each) + ahead_s)
                assert moved is not None
                each.CopyFrom(moved)
            else:
                by_the_clock(each, ahead_s)
    return message
