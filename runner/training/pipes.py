"""Messages between the processes, lines of JSON on a pipe; and exceptions as data for them."""

import contextlib
import json
import os
import traceback
from types import TracebackType
from typing import Any

from ..errors import UserError, error_data

STOP = b"stop "


def send(fd: int, message: dict[str, Any]) -> None:
    """Write one message to a pipe."""
    # It begins a line of its own, since a killed writer leaves half of one.
    write_all(fd, b"\n" + json.dumps(message).encode() + b"\n")


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


def exception_data(error: BaseException) -> dict[str, Any]:
    """An exception as data: with its traceback from the user's code on, unless it needs none."""
    shown, trace = error, _users_part(error)
    if trace is None and error.__cause__:  # as of a StopIteration that leaves a generator
        shown, trace = error.__cause__, _users_part(error.__cause__)
    trace = trace or shown.__traceback__  # nothing but ours: a mistake of our own
    text: str | None
    try:
        message = str(error)
        text = "".join(traceback.format_exception(type(shown), shown, trace))
    except Exception as another:
        message = f"can't be shown: its __str__ raises {type(another).__name__}"
        text = "".join(traceback.format_tb(trace))
    if isinstance(error, SystemExit) and trace:  # by argparse, say, which has printed why
        place = f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"
        message, text = f"{place} ends the process with sys.exit({error.code!r})", None
    if isinstance(error, UserError):
        text = None
    return error_data(type(error).__name__, message, traceback=text)


def _users_part(error: BaseException) -> TracebackType | None:
    """The traceback of an error without our frames at its top; None if it has no others."""
    trace = error.__traceback__
    while trace:
        top, _, rest = trace.tb_frame.f_globals.get("__name__", "").partition(".")
        ours = top == "importlib" or (top == "twolayer" and not rest.startswith("impls."))
        if not ours:
            return trace
        trace = trace.tb_next
    return None
