"""Discovery: who is there.

Owns    the exchange socket, LAN multicast, the peer table, the peer cache, static peers, gossip.
Never   touches WireGuard or routes; claims that a peer is alive on its own word alone.
Start   assembly.py wires the parts, engine.py drives them; peer_table.py and reception.py hold most of the thinking.
"""
