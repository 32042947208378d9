"""What may be deleted from results: leftovers of killed writers, and runs made again since."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError
from .rows import FINISHED, newest, read, size
from .store import TEMPORARY, Store, place, temporary_name

_NAME = re.compile(rf"{re.escape(TEMPORARY)}(?P<place>[\w.]+)-(?P<pid>\d+)-[0-9a-f]{{32}}")


@dataclass(frozen=True)
class Waste:
    """Something that may go. `reason` says why it may, or why it has to stay."""

    path: Path
    reason: str
    bytes: int


def leftovers(store: Store) -> tuple[list[Waste], list[Waste]]:
    """What writers left unfinished: that of dead ones, and that of those that may be alive.

    A temporary name says where and by which process it is written. Of other machines nothing
    can be said from here, so theirs stay.
    """
    dead: list[Waste] = []
    kept: list[Waste] = []
    for path in _temporaries(store):
        reason = _may_live(path.name)
        group = kept if reason else dead
        group.append(Waste(path, reason or "left by a killed run", size(path)))
    return dead, kept


def _temporaries(store: Store) -> Iterator[Path]:
    for folder in (store.folder, store.runs):
        with contextlib.suppress(OSError):
            names = sorted(os.listdir(folder))
            yield from (folder / name for name in names if name.startswith(TEMPORARY))


def _may_live(name: str) -> str:
    """Why the writer of a temporary may be alive; nothing if it is not."""
    match = _NAME.fullmatch(name)
    if match is None:
        return "its name doesn't say who writes it"
    if match["place"] != place():
        return f"written on {match['place']}, not here"
    return f"process {match['pid']} is alive" if _alive(int(match["pid"])) else ""


def _alive(pid: int) -> bool:
    """Whether there is a process of that number; one that took it over counts as well."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return pid > 0


def superseded(store: Store) -> list[Waste]:
    """Attempts older than the newest of the same key that came to an end by itself."""
    runs, _ = read(store)
    counts = {run.record.key: run for run in newest(runs, lambda record: record.key)}
    return [
        Waste(run.folder, f"made again as {newer.folder.name}", size(run.folder))
        for run in runs
        if (newer := counts[run.record.key]).record.outcome in FINISHED
        and run.age < newer.age
        and not run.folder.is_symlink()
    ]


def delete(waste: Iterable[Waste]) -> None:
    """Delete for good. A run is renamed first, so that at no moment half of it is read.

    Raises UserError, naming the first that can't be deleted.
    """
    for each in waste:
        path = each.path
        try:
            if not path.name.startswith(TEMPORARY):
                path = path.rename(path.with_name(temporary_name()))
            _remove(path)
        except FileNotFoundError:
            continue  # somebody else was faster
        except OSError as error:
            raise UserError(f"{each.path}: can't be deleted: {error.strerror}") from None


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
