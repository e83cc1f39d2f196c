"""A supervisor's access to what nodes share, got and given back over and over: `access_storm.py DIRECTORY ROUNDS SEED`.

Each round is a process of its own; one in four is killed while it has the access. Prints what any of them lacked.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from pathlib import Path

from wgmesh.supervisor.io.privileges import account_of, obstacle
from wgmesh.supervisor.io.wireguard_access import SHARED, granted
from wgmesh.supervisor.settings import IDENTITIES, SupervisorSettings

TRIALS_MAX = 8  # each takes some milliseconds, long enough for others to come and go
KILLED_SHARE = 0.25


def main() -> int:
    directory, rounds, chance = Path(sys.argv[1]), int(sys.argv[2]), random.Random(int(sys.argv[3]))
    settings = SupervisorSettings("storm0", directory, directory)
    for _ in range(rounds):
        trials, is_killed = chance.randint(0, TRIALS_MAX), chance.random() < KILLED_SHARE
        pid = os.fork()
        if pid == 0:
            try:
                one_round(settings, trials, is_killed)
            finally:
                sys.stdout.flush()
                os._exit(0)
        os.waitpid(pid, 0)
    return 0


def one_round(settings: SupervisorSettings, trials: int, is_killed: bool) -> None:
    account = account_of(IDENTITIES["wireguard"])
    with granted(account, settings) as access:
        if access.obstacle:
            print(f"not granted: {access.obstacle}")
            return
        for _ in range(trials):
            if lack := obstacle(account, [(shared.path, shared.mode) for shared in SHARED]):
                print(f"lost: {lack}")
        if is_killed:
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
