"""Messages between the processes: lines of JSON on a pipe."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any

STOP = b"stop "


def send(fd: int, message: dict[str, Any]) -> None:
    """Write one message, a line of JSON, to a pipe."""
    write_all(
        fd, b"\n" + json.dumps(message).encode() + b"\n"
    )  # a killed writer leaves half a line


def write_all(fd: int, data: bytes) -> None:
    """Write all of some data to a pipe. Nobody reading it is no error."""
    with contextlib.suppress(BrokenPipeError):
        while data:
            data = data[os.write(fd, data) :]


def split(pending: bytes) -> tuple[list[dict[str, Any]], bytes]:
    """The whole messages in `pending`, and what is left of an unfinished one.

    What is no message is passed over: half a line of a killed writer, or what a run wrote to
    a pipe that is not its own.
    """
    *lines, rest = pending.split(b"\n")
    messages = []
    for line in lines:
        with contextlib.suppress(ValueError):
            message = json.loads(line) if line else None
            if isinstance(message, dict) and isinstance(message.get("event"), str):
                messages.append(message)
    return messages, rest
