"""Messages between the processes: lines of JSON on a pipe."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any

STOP = b"stop "


def send(fd: int, message: dict[str, Any]) -> None:
    """Write one message, a line of JSON, to a pipe. Nobody reading it is no error."""
    data = b"\n" + json.dumps(message).encode() + b"\n"  # a killed writer may leave half a line
    with contextlib.suppress(BrokenPipeError):
        while data:
            data = data[os.write(fd, data) :]


def split(pending: bytes) -> tuple[list[dict[str, Any]], bytes]:
    """The whole messages in `pending`, and what is left of an unfinished one."""
    *lines, rest = pending.split(b"\n")
    messages = []
    for line in lines:
        with contextlib.suppress(json.JSONDecodeError):  # half a line of a killed writer
            if line:
                messages.append(json.loads(line))
    return messages, rest
