"""A supervisor that only tells, on the real name of an interface of this process's own."""

from __future__ import annotations

import os
import selectors
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from wgmesh.runtime.node_report import NodeReport
from wgmesh.supervisor.io import interface_lock

_serial = count(1)


def own_interface() -> str:
    """A name that no other process of this machine has, as tests may run side by side."""
    return f"t{os.getpid()}-{next(_serial)}"


@contextmanager
def telling(report: NodeReport) -> Iterator[None]:
    """Answers everybody who asks for the interface with the same report while the context is open."""
    with interface_lock.held(report.interface) as answers:
        assert answers is not None
        ended, end = os.pipe()
        selector = selectors.DefaultSelector()
        selector.register(answers.descriptor, selectors.EVENT_READ)
        selector.register(ended, selectors.EVENT_READ)

        def answer() -> None:
            while ended not in [key.fd for key, _ in selector.select()]:
                answers.answer(report)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield
        finally:
            os.close(end)
            thread.join()
            selector.close()
            os.close(ended)
