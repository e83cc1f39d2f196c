"""A STUN server for the benchmark's LAN. Run it as a program: `python stun_server.py ADDRESS:PORT`."""

from __future__ import annotations

import socket
import sys

from wgmesh.core.errors import MalformedMessage
from wgmesh.core.model import Endpoint
from wgmesh.core.stun import codec as stun


def main() -> None:
    host, _, port = sys.argv[1].rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((host, int(port)))
        print("listening", flush=True)
        while True:
            data, source = server.recvfrom(2048)
            try:
                request = stun.decode(data)
            except MalformedMessage:
                continue
            mapped = stun.Attribute(stun.AttributeType.XOR_MAPPED_ADDRESS, Endpoint.of(*source))
            answer = stun.Message(stun.MessageType.BINDING_SUCCESS, request.transaction_id, (mapped,))
            server.sendto(stun.encode(answer, fingerprint=True), source)


if __name__ == "__main__":
    main()
