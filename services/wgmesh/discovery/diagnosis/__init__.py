"""What discovery notices of trouble: clocks that are wrong, keys that two machines share."""
