"""The WireGuard device of one node.

Owns: the private key, the device with its peers, addresses and routes, and the only road to the kernel
(observe -> admit -> plan -> apply).
Never: opens a network socket, decides who is a peer, or lets the private key leave this process.
Start: plan.py, then reconciler.py.
"""
