"""What may be deleted from results: leftovers of killed commands, and runs made again since."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError
from ..files import TEMPORARY, aside, remove
from .rows import FINISHED, newest, read, size
from .store import BENCHES, Store

DAY_S = 24 * 3600
"""A temporary file or folder that nobody has written to for so long is left over."""


@dataclass(frozen=True)
class Waste:
    """Something that may be deleted. `reason` says why it may, or why it has to stay."""

    path: Path
    reason: str
    bytes: int


def leftovers(store: Store) -> tuple[list[Waste], list[Waste]]:
    """What commands left unfinished, and what they may still be writing."""
    left: list[Waste] = []
    kept: list[Waste] = []
    for folder in (store.folder, store.runs, store.folder / BENCHES):
        for path in sorted(folder.glob(f"{TEMPORARY}*")):
            with contextlib.suppress(FileNotFoundError):  # finished just now
                if time.time() - path.lstat().st_mtime > DAY_S:
                    left.append(Waste(path, "left by a killed command", size(path)))
                else:
                    kept.append(Waste(path, "written to within the last day", size(path)))
    return left, kept


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
    for path in (each.path for each in waste):
        try:
            with aside(path.parent) as temporary:
                path.rename(temporary)
                remove(temporary)
        except FileNotFoundError:
            continue  # another process was faster
        except OSError as error:
            raise UserError(f"{path}: can't be deleted: {error.strerror}") from None
