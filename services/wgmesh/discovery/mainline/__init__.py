"""Finding peers in the BitTorrent Mainline DHT (BEP 5, BEP 44).

Owns    what is announced and asked under which name and when; addresses that the DHT reports.
Never   believes what the DHT says before the peer has answered.
Start   layer.py.
"""
