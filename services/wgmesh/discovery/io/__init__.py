"""What discovery needs of the kernel and the disk: sockets, interface news, the cache file, name resolution."""
