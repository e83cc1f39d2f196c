"""The exchange: HELLO, REPLY and GOODBYE between two members on the exchange socket.

Owns    what we say of ourselves, whom to ask and when, what an answer means.
Never   decides how a peer is found first.
Start   hellos.py.
"""
