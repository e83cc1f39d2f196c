"""Core: the values and pure functions that every part of wgmesh shares.

Owns    keys, secrets, addresses, the wire format of messages, the error tree.
Never   does I/O, reads a clock, draws randomness, logs.
Start   model.py, then secret.py and envelope.py.
"""
