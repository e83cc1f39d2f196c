"""Sim: many nodes on a simulated internet, in virtual time.

Owns    the simulated hosts, links and WireGuard devices, and the nodes composed of the real cores on top of them.
Never   opens a socket, reads a clock, starts a process. The same seed gives the same run.
Start   world.py, then node.py; network.py is the ground they stand on.
"""
