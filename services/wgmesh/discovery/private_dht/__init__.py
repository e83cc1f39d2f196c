"""Finding peers in a DHT of one's own, for networks cut off from the public one: kademlia, sealed and bounded.

Owns    the node, what it stores, what is put and read and when.
Start   layer.py for what it finds, io/server.py for the node.
"""
