"""One check of the network: what the NAT does, asked of several servers, and only when somebody wants to know."""
