"""nat: how this node and its peers can be reached.

Owns    what the outside sees of WireGuard's own port (STUN), the measured path through the tunnel to each peer,
        and the TCP probe server that answers peers who measure theirs.
Never   decides who is a member, writes to the kernel, delays anything because a server is silent.
Start   __main__.py, then prober.py (asks), classify.py (concludes), tunnel_probe.py (measures),
        check/machine.py (what the NAT does, on demand).
"""
