"""Keys and secrets: what one secret gives, and how a member proves that it holds a private key."""
