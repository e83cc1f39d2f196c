"""The processes, signals, locks, directories and privileges that the supervisor touches."""
