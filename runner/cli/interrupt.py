"""Ctrl-C and requests to terminate, as events that a session looks at."""

import contextlib
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def stoppable(*events: threading.Event) -> Iterator[None]:
    """Each Ctrl-C or SIGTERM sets the next event, the gentlest first; after the last it ends all.

    A session stops beginning runs at its first event, and stops the runs under way at its second.
    """

    def stop(*_: object) -> None:
        event = next((event for event in events if not event.is_set()), None)
        if event is None:
            raise KeyboardInterrupt("what is finished is kept")
        event.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
