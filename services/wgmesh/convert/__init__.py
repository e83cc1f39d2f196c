"""Convert: the only code that knows both the shared values and the contract.

Owns    `<thing>_to_proto` and `<thing>_from_proto`, one pair a value.
Never   decides anything; a message that is no valid value raises InvalidInput.
Start   scalar.py, then peer.py.
"""
