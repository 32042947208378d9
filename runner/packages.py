"""Installed packages, by the names of their metadata folders.

importlib.metadata says the same, and is asked where this finds nothing; but importing it and
parsing whole metadata files takes longer than all else that `twolayer list` does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from functools import cache

_END = ".dist-info"


@cache
def _folders() -> dict[str, tuple[str, str]]:
    """Version and metadata folder by normalised name; the first on sys.path counts."""
    found: dict[str, tuple[str, str]] = {}
    for place in dict.fromkeys(sys.path):
        try:
            entries = os.listdir(place or ".")
        except OSError:
            continue
        for entry in entries:
            if entry.endswith(_END):
                name, _, version = entry.removesuffix(_END).rpartition("-")
                found.setdefault(_normal(name), (version, os.path.join(place, entry)))
    return found


def _normal(name: str) -> str:
    return name.replace("-", "_").replace(".", "_").lower()


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
        try:
            with open(os.path.join(folder, "entry_points.txt"), encoding="utf-8") as file:
                text = file.read()
        except OSError:
            continue
        if f"[{group}]" in text:
            found += [(name, package, value) for name, value in _section(text, group)]
    for name, package, value in sorted(found):
        yield package, name, value


def _section(text: str, group: str) -> list[tuple[str, str]]:
    from configparser import ConfigParser, Error

    parser = ConfigParser(delimiters="=", interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
    try:
        parser.read_string(text)
    except Error:
        return [("an implementation", "")]  # nobody knows which
    return parser.items(group)


def versions(imports: Iterable[str]) -> dict[str, str]:
    """Versions of Python, of twolayer, of NumPy and of what an implementation imports."""
    import platform

    from . import __version__

    installed = {name: version(name) for name in dict.fromkeys([*imports, "numpy"])}
    return {"python": platform.python_version(), "twolayer": __version__, **installed}
