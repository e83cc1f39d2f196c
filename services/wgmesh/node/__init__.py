"""Node: composes what discovery, nat and wireguard know into one desired device, and answers clients.

Owns    the control socket, the own addresses and their collisions, liveness verdicts, the order of handshakes.
Never   writes to the kernel, or parses a packet from the network.
Start   composition.py, then addresses.py, handshakes.py and liveness.py.
"""
