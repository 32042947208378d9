"""Installed packages, by the names of their metadata folders.

importlib.metadata says the same, and is asked where this finds nothing; but importing it and
parsing whole metadata files takes longer than all else that `twolayer list` does.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

_FOLDER = re.compile(r"(?P<name>.+?)-(?P<version>[^-]+)\.dist-info")


@cache
def _folders() -> dict[str, tuple[str, Path]]:
    """Version and metadata folder by normalised name; the first on sys.path counts."""
    found: dict[str, tuple[str, Path]] = {}
    for place in map(Path, dict.fromkeys(sys.path)):
        for folder in place.glob("*.dist-info") if place.is_dir() else ():
            if match := _FOLDER.fullmatch(folder.name):
                found.setdefault(_normal(match["name"]), (match["version"], folder))
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()


@cache
def version(package: str) -> str:
    """The installed version of an importable package, without importing it; `?` if unknown."""
    if _normal(package) in _folders():
        return _folders()[_normal(package)][0]
    from importlib import metadata

    for name in metadata.packages_distributions().get(package, ()):
        return metadata.version(name)
    return "?"


def entry_points(group: str) -> Iterator[tuple[str, str, str]]:
    """(package, name, value) of every entry point in a group, in the order of the names."""
    found = []
    for package, (_, folder) in _folders().items():
        file = folder / "entry_points.txt"
        if file.is_file() and f"[{group}]" in (text := file.read_text(encoding="utf-8")):
            found += [(name, package, value) for name, value in _section(text, group)]
    for name, package, value in sorted(found):
        yield package, name, value


def _section(text: str, group: str) -> list[tuple[str, str]]:
    from configparser import ConfigParser

    parser = ConfigParser(delimiters="=", interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
    parser.read_string(text)
    return parser.items(group)


def versions(imports: Iterable[str]) -> dict[str, str]:
    """Versions of Python, of twolayer, of NumPy and of what an implementation imports."""
    import platform

    from . import __version__

    installed = {name: version(name) for name in dict.fromkeys([*imports, "numpy"])}
    return {"python": platform.python_version(), "twolayer": __version__, **installed}
