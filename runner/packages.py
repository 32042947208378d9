"""Installed packages, by the names of their metadata folders.

importlib.metadata says the same, and is asked where this finds nothing; but importing it takes a
third of the time of `twolayer list`.
"""

import os
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from . import __version__

_END = ".dist-info"


@cache
def _metadata_folders() -> dict[str, tuple[str, Path]]:
    """Version and metadata folder by normalised name; the first on sys.path counts."""
    folders: dict[str, tuple[str, Path]] = {}
    for place in dict.fromkeys(sys.path):
        try:
            entries = os.listdir(place or ".")
        except OSError:
            continue
        for entry in entries:
            if entry.endswith(_END):
                name, _, version = entry.removesuffix(_END).rpartition("-")
                folders.setdefault(_normal(name), (version, Path(place, entry)))
    return folders


def _normal(name: str) -> str:
    return name.replace("-", "_").replace(".", "_").lower()


@cache
def version(package: str) -> str:
    """The installed version of an importable package, without importing it; `?` if unknown."""
    if _normal(package) in _metadata_folders():
        return _metadata_folders()[_normal(package)][0]
    from importlib import metadata

    names = metadata.packages_distributions().get(package, ())
    return next(map(metadata.version, names), "?")


@cache
def entry_points(group: str) -> list[tuple[str, str, str]]:
    """(name, package, value) of every entry point in a group; no value if it can't be read."""
    points: list[tuple[str, str, str]] = []
    for package, (_, folder) in _metadata_folders().items():
        try:
            if f"[{group}]" in (folder / "entry_points.txt").read_text(encoding="utf-8"):
                from importlib.metadata import Distribution

                own = Distribution.at(folder).entry_points.select(group=group)
                points += [(point.name, package, point.value) for point in own]
        except OSError:
            continue
        except (UnicodeDecodeError, TypeError):  # a line without `=`
            points.append(("", package, ""))
    return sorted(points)


def versions(imports: Iterable[str]) -> dict[str, str]:
    """Versions of Python, of twolayer, of NumPy and of what an implementation imports."""
    python = sys.version.partition(" ")[0]
    return {"python": python, "twolayer": __version__} | {
        name: version(name) for name in (*imports, "numpy")
    }
