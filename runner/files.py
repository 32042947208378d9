"""Files and folders that appear whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import UserError

TEMPORARY = ".tmp-"
"""How the names of what is still being written begin."""


@contextmanager
def writing(name: object) -> Iterator[None]:
    """Raise UserError, `NAME: can't be written: …`, where the block meets an OSError."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{name}: can't be written: {error.strerror or error}") from None


@contextmanager
def aside(folder: Path) -> Iterator[Path]:
    """A new name in a folder for a file or a folder, which is removed at the end of the block,
    also after an error or Ctrl-C, unless it has been renamed by then.
    """
    temporary = folder / f"{TEMPORARY}{os.urandom(16).hex()}"
    try:
        yield temporary
    finally:
        with suppress(OSError):
            remove(temporary)


@contextmanager
def appearing(path: Path, name: object = None) -> Iterator[Path]:
    """A path to write to, which takes the place of `path` at the end of the block.

    If the block fails, `path` is left as it was. Raises UserError, with `name` for the path,
    where it can't be written.
    """
    with writing(name or path), aside(path.parent) as temporary:
        yield temporary
        temporary.replace(path)


def write(path: Path, content: str | bytes, name: object = None) -> None:
    """Replace a file by one with this content, on disk when this returns; see `appearing`."""
    with appearing(path, name) as temporary:
        put(temporary, content)


def put(path: Path, content: str | bytes) -> None:
    """Write a file and wait until it is on disk."""
    with path.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())


def sync(folder: Path) -> None:
    """Wait until the names in a folder are on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Delete a file, a link or a folder with all in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def size(path: Path) -> int:
    """The bytes in a file or a link, or in all files under a folder; 0 for what has gone."""
    files = [path]
    if path.is_dir() and not path.is_symlink():
        files = [Path(folder, name) for folder, _, names in os.walk(path) for name in names]
    total = 0
    for file in files:
        with suppress(OSError):
            total += file.lstat().st_size
    return total
