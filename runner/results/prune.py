"""What may be deleted from results: leftovers of killed commands, and runs made again since."""

import contextlib
import time
from collections.abc import Iterable
from pathlib import Path

from ..errors import UserError
from ..files import TEMPORARY, aside, remove, size
from .record import FINISHED
from .rows import Row, newest, read
from .store import BENCHES, Store

DAY_S = 24 * 3600
"""A temporary file or folder that nobody has written to for so long is left over."""


def leftovers(store: Store) -> tuple[list[Row], list[Row]]:
    """What commands left unfinished, and what they may still be writing: path, reason, bytes."""
    left: list[Row] = []
    kept: list[Row] = []
    for folder in (store.folder, store.runs, store.folder / BENCHES):
        for path in sorted(folder.glob(f"{TEMPORARY}*")):
            with contextlib.suppress(FileNotFoundError):  # finished just now
                if time.time() - path.lstat().st_mtime > DAY_S:
                    left.append(_waste(path, "left by a killed command"))
                else:
                    kept.append(_waste(path, "written to within the last day"))
    return left, kept


def superseded(store: Store) -> list[Row]:
    """Attempts older than the newest of the same key that came to an end by itself."""
    runs, _ = read(store)
    counts = {run.key: run for run in newest(runs, lambda run: run.key)}
    return [
        _waste(run.folder, f"made again as {newer.folder.name}")
        for run in runs
        if (newer := counts[run.key]).outcome in FINISHED
        and run.age < newer.age
        and not run.folder.is_symlink()
    ]


def _waste(path: Path, reason: str) -> Row:
    return {"path": str(path), "reason": reason, "bytes": size(path)}


def delete(waste: Iterable[Row]) -> None:
    """Delete for good. Raises UserError, naming the first that can't be deleted."""
    for path in (Path(row["path"]) for row in waste):
        try:
            with aside(path.parent) as temporary:
                path.rename(temporary)  # first, so that at no moment half of a run is read
                remove(temporary)
        except FileNotFoundError:
            continue  # another process was faster
        except OSError as error:
            raise UserError(f"{path}: can't be deleted: {error.strerror}") from None
