"""Finding peers through peers: members compare what they know through their tunnels.

Owns    the rounds of gossip between native nodes, and upstream's gossip where asked for.
Start   layer.py.
"""
