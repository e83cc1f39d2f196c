"""The wire format: sealed envelopes, the messages inside them, records for the DHTs."""
