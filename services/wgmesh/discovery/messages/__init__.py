"""What a datagram is worth: rate limits, the seal, replays, and whether the sender proved its key.

Owns    the way from bytes to a Message, and what the sender has proven.
Never   knows who is a member.
Start   inbox.py, then authentication.py.
"""
