"""STUN (RFC 8489): the codec, and a prober that asks servers where they see a socket."""
