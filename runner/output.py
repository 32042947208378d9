"""Standard output and error: any encoding, closed streams, readers that have gone."""

import codecs
import os
import sys
from typing import TextIO

MOODS = {"ok": "good", "diverged": "mixed", "interrupted": "mixed"} | dict.fromkeys(
    ("failed", "crashed", "timeout", "out_of_memory"), "bad"
)
"""The outcomes of runs, and how good each is."""

COLOURS = {"bad": 1, "good": 2, "mixed": 3}  # as terminals number them

PLAIN = dict(zip("─│└┴┤┬┼…·×→±–—≤≥µ²▁▂▃▄▅▆▇█", "-|+++++..X>~--<>u2_.-=+*%#", strict=True))  # noqa: RUF001
"""Replacements in encodings without a character: one for one, so that columns line up."""


def prepare() -> None:
    """Make sure that the standard streams can be written to, whatever the text.

    A stream that was closed before the start goes nowhere; a character that its encoding
    lacks becomes the one in PLAIN, or a question mark.
    """
    codecs.register_error("twolayer", _plainly)
    for fd, name in ((0, "stdin"), (1, "stdout"), (2, "stderr")):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(fd, "r" if fd == 0 else "w"))  # noqa: SIM115 (stays open)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="twolayer")  # type: ignore[union-attr]


def _plainly(error: UnicodeError) -> tuple[str, int]:
    """The error handler of an encoder: like `replace`, but with what PLAIN has to offer."""
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end]
    return "".join(PLAIN.get(character, "?") for character in lacking), error.end


def printable(text: str) -> str:
    """A line of text without what could steer a terminal, end the line or turn it around."""
    if text.isprintable():  # nearly always, and a hundred times as fast
        return text
    return "".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def in_colour() -> bool:
    """Whether standard output is a terminal that is to show colours."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def emit(text: str, stream: TextIO | None = None, *, styled: bool = False) -> None:
    """Print lines, to standard output by default; what is not printable in them is replaced.

    Text that has colours of its own, and is printable but for them, is `styled`.

    If nobody reads any more, it and all that follows goes nowhere: results are saved, and the
    exit code still counts. Any other failure of standard output ends the command with 1.
    """
    stream = stream or sys.stdout
    shown = text if styled else "\n".join(map(printable, text.split("\n")))
    if stream is sys.stdout and in_colour():
        for word, mood in MOODS.items():  # where they are cells of a table
            shown = shown.replace(f"  {word} ", f"  \x1b[3{COLOURS[mood]}m{word}\x1b[0m ")
    try:
        print(shown, file=stream, flush=True)
    except OSError as error:
        forget(stream)
        if stream is not sys.stderr and not isinstance(error, BrokenPipeError):
            emit(f"standard output can't be written: {error.strerror}", sys.stderr)
            sys.exit(1)


def forget(stream: TextIO) -> None:
    """Let what is still to be written to a stream go nowhere, without a complaint."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
