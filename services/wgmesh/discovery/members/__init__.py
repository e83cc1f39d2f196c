"""Who is there: the table of peers, and what is remembered of those who left or are not wanted.

Owns    the peer table, candidates, tombstones, bans, contacts, the peer cache.
Never   sends a datagram.
Start   membership.py, then table.py.
"""
