"""What can go wrong on the user's side, said so that it can be put right."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass

from .output import printable


class UserError(Exception):
    """A mistake in what was asked for. The text, a line, is all that a person needs."""

    def __str__(self) -> str:
        return printable(super().__str__())


@dataclass(frozen=True)
class Mistake:
    """One thing wrong in a config or on the command line.

    `origin` is where it was said (`configs/x.yaml:8:5`, `--lr`), `key` what it is about.
    `note` helps with every mistake of its kind: it is said once, after all of them.
    """

    origin: str
    key: str
    message: str
    note: str = ""

    def __str__(self) -> str:
        named = self.key and not self.origin.startswith("--")  # an option names itself
        return printable(f"{self.origin}: {self.key + ': ' if named else ''}{self.message}")


class ConfigError(UserError):
    """Everything that is wrong with a config, found in one pass: one line each, then notes."""

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
    """What keeps a path from being that of a file, such as `is a folder`; empty if it is one."""
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return MISSING
    except (OSError, ValueError) as error:  # too long, not allowed; with a NUL
        return f"can't be read: {getattr(error, 'strerror', None) or error}"
    if stat.S_ISDIR(mode):
        return "is a folder; name a file in it"
    return "" if stat.S_ISREG(mode) else "is not a regular file"


def nearest(word: str, known: Iterable[str]) -> str:
    """`(did you mean …?)` if a known word is close to `word`, else nothing."""
    import difflib

    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""


def listed(words: Iterable[str], last: str = "and") -> str:
    """`a, b and c`."""
    *most, end = list(words)
    return f"{', '.join(most)} {last} {end}" if most else end
