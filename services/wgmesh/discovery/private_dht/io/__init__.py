"""The node of the private DHT: kademlia's server, its protocol and its look-ups, on UDP."""
