"""A line with a delay: hands frames from either of two interfaces to the other, some time later, in their order.

A program: `python delayed_line.py DELAY_S LEFT RIGHT`. The kernel's own delay (netem) is not there on every machine.
What is at its ends computes checksums by itself (`ethtool -K DEVICE tx off`): frames are handed on as they are.
"""

from __future__ import annotations

import select
import socket
import struct
import sys
import time
from collections import deque
from contextlib import suppress

ETH_P_ALL = 3  # linux/if_ether.h
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC = 263, 1, 1  # linux/if_packet.h
PACKET_OUTGOING = 4
FRAME_BYTES = 65535
WAITING_MAX = 10_000  # frames; the oldest go first, as in a router that is full


def main() -> None:
    delay_s = float(sys.argv[1])
    left, right = (_open(name) for name in sys.argv[2:4])
    other = {left: right, right: left}
    waiting: deque[tuple[float, socket.socket, bytes]] = deque(maxlen=WAITING_MAX)
    print("running", flush=True)
    while True:
        wait_s = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for end in select.select([left, right], [], [], wait_s)[0]:
            frame, source = end.recvfrom(FRAME_BYTES)
            if source[2] != PACKET_OUTGOING:  # that is what we have sent ourselves
                waiting.append((time.monotonic() + delay_s, other[end], frame))
        while waiting and waiting[0][0] <= time.monotonic():
            _, to, frame = waiting.popleft()
            with suppress(OSError):  # the other end is down: a line without anybody at its end
                to.send(frame)


def _open(name: str) -> socket.socket:
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    end.bind((name, ETH_P_ALL))
    everybodys = struct.pack("IHH8x", socket.if_nametoindex(name), PACKET_MR_PROMISC, 0)
    end.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, everybodys)
    return end


if __name__ == "__main__":
    main()
