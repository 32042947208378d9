"""Errors for users, and words for them."""

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .output import printable


class UserError(Exception):
    """A mistake of the user. Its text, a line, says what was given and what to do."""

    def __str__(self) -> str:
        return printable(super().__str__())


@dataclass(frozen=True)
class Mistake:
    """A mistake in a config or on the command line."""

    origin: str  # its place, such as `configs/x.yaml:8:5` or `--lr`
    key: str  # the name of the setting
    message: str
    note: str = ""  # helps with all mistakes of its kind: printed once, after them

    def __str__(self) -> str:
        key = "" if self.origin.startswith("--") else self.key  # an option names itself
        return printable(": ".join(filter(None, (self.origin, key, self.message))))


class ConfigError(UserError):
    """All mistakes in a config: one line each, then notes."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = list(dict.fromkeys(mistakes))
        notes = dict.fromkeys(mistake.note for mistake in self.mistakes if mistake.note)
        super().__init__("\n".join((*map(str, self.mistakes), *notes)))

    def __str__(self) -> str:
        return str(self.args[0])


def error_data(
    kind: str, message: str, *, traceback: str | None = None, signal: str | None = None
) -> dict[str, str | None]:
    """What went wrong in a run, as its record keeps it."""
    return {"type": kind, "message": message, "traceback": traceback, "signal": signal}


MISSING = "there is no such file"


def no_file(path: str | os.PathLike[str]) -> str:
    """Why a path can't be read as a file, such as `is a folder`; empty if it can."""
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return MISSING
    except (OSError, ValueError) as error:  # too long, not allowed; with a NUL
        return f"can't be read: {getattr(error, 'strerror', None) or error}"
    if stat.S_ISDIR(mode):
        return "is a folder; name a file in it"
    return "" if stat.S_ISREG(mode) else "is not a regular file"


def one_line(error: Mapping[str, Any]) -> str:
    """Why a run or another job failed; of an exception in its code, the type, too."""
    first = printable(str(error["message"]).strip().partition("\n")[0])
    if not error["traceback"]:
        return first
    return f"{error['type']}: {first}" if first else str(error["type"])


def nearest(word: str, known: Iterable[str]) -> str:
    """`(did you mean …?)` if a known word is close to `word`, else nothing."""
    import difflib

    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""


def listed(words: Iterable[str], last: str = "and") -> str:
    """`a, b and c`."""
    *most, end = list(words)
    return f"{', '.join(most)} {last} {end}" if most else end
