"""The sockets of the metrics process: the scrape page and the road to a backend."""
