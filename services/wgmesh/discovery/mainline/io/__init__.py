"""The session of libtorrent, and the file of remembered nodes."""
