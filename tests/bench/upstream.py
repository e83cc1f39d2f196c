"""What upstream's program took. It is not run here: the numbers were measured once, before this program was begun.

Each stands only beside a measurement of ours that was made in the same way.
"""

from __future__ import annotations

from bench.report import Upstream

FIRST_PING = Upstream("5.1 s", "Two nodes on a LAN with DNS and an answering STUN server.")
FIRST_PING_SILENT_STUN = Upstream(
    "11.1 s", "The same with STUN servers that do not answer: it waits for two, 3 s each."
)
FIRST_PING_CUT_OFF = Upstream("never", "Without DNS it finds no first contact of the DHT, and that ends the program.")
FIRST_PING_DHT = Upstream("5.1 s", "Two nodes that share nothing but a Mainline swarm of seven.")
TEN_AT_ONCE = Upstream("11.1 s", "Ten nodes, all started at once. One a second was not measured.")
TWENTY_AT_ONCE = Upstream("17.1 s", "Twenty nodes, all started at once. One a second was not measured.")
MEMORY = Upstream(
    "13.4 MB", "PSS of its only process. Its DHT cannot be turned off, so this stands beside ours with it."
)
IDLE_CPU = Upstream("0.25 to 0.6 %", "Two nodes, of one processor, with its DHT.")
STATUS = Upstream("10 ms", "Its `status` prints what follows from the secret, and asks no running node.")
