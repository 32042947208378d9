"""The local files that an implementation executes, found by reading them: nothing is imported."""

import ast
import contextlib
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, cached_property
from importlib.machinery import PathFinder
from pathlib import Path

from . import frameworks

INSTALLED = ("site-packages", "dist-packages")


class Sources:
    """An implementation's file and every local module that it imports, at any remove.

    A local module lies in a folder that Python would search for this file: the file's own, that
    of the package it is part of, one that it or PYTHONPATH puts on `sys.path`, or, for an
    installed module, its package. What comes with Python, and every framework that the runner
    knows, is never local, whatever a file beside it is called.
    """

    def __init__(self, source: Path, tree: ast.Module, module: str = "") -> None:
        """Read a source; `module` is its name if it is installed."""
        self.files = [source]
        self.roots: dict[str, Path] = {}  # where each local top-level module was found
        self.packages: tuple[str, ...] = ()  # the others that are imported at a file's top
        self.module = module  # to import the file by, where that is more than its own name
        self._only = ""  # the one package whose modules are local, for an installed one
        if module:
            top = module.partition(".")[0]
            depth = module.count(".") + (source.name == "__init__.py")
            root = source.parents[min(depth, len(source.parents) - 1)]
            if _is_known(top) or any(part in INSTALLED for part in root.parts):
                self._only = top
            folders = [root]
        else:
            root = _above_package(source.parent)
            folders = [source.parent, root]
        self._folders = list(dict.fromkeys((*folders, *_own(tuple(sys.path)))))
        self._follow(source, tree)
        parts = tuple(module.split("."))
        if not module:  # a file that imports from its own package is imported as part of it
            parts = source.relative_to(root).with_suffix("").parts
            names = (name for node in _statements(tree) for name in _imported(node))
            if len(parts) > 1 and (parts[0] in self.roots or any(level for level, _ in names)):
                self.module = ".".join(parts)
                self.roots[parts[0]] = root
        if self.module and self._only != "twolayer":
            for path in _chain(root, parts[:-1]):  # packages are imported with their module
                self._add(path)
        if module:
            self.roots.clear()  # it is found as it is installed

    @cached_property
    def sha256(self) -> dict[str, str]:
        """The hash of each file, by its path from the implementation's folder."""
        return {relative(path, self.files[0].parent): file_sha256(path) for path in self.files}

    def hash_beside(self, name: str) -> str:
        """The same of another file, by its path from the implementation's folder; "" if none."""
        path = self.files[0].parent / name
        return file_sha256(path) if path.is_file() else ""

    def _follow(self, path: Path, tree: ast.Module) -> None:
        """Add what a file imports, anywhere in it."""
        statements = list(_statements(tree))
        added = _added_folders(statements, path)
        self._folders[:0] = [folder for folder in added if folder not in self._folders]
        for node in statements:
            for level, name in _imported(node):
                top = name.partition(".")[0]
                if level:
                    folder = path.parents[min(level, len(path.parents)) - 1]
                    files = _chain(folder, name.split("."))
                elif top in sys.stdlib_module_names:
                    continue
                elif not (files := self._local(top, name)) and node in tree.body:
                    self.packages = tuple(dict.fromkeys((*self.packages, top)))
                for file in files:
                    self._add(file)

    def _local(self, top: str, name: str) -> list[Path]:
        """The local files that importing a module executes; none if it is no local module."""
        if _is_known(top) or self._only not in ("", top):
            return []
        for folder in self._folders:
            files = _chain(folder, name.split("."))
            if files and not (files[0] == self.files[0] and frameworks.is_installed(top)):
                self.roots[top] = folder
                return files
        return []

    def _add(self, path: Path) -> None:
        if path not in self.files:
            self.files.append(path)
            if path.suffix == ".py":
                # What can't be read its run reports, if it comes to import it.
                with contextlib.suppress(OSError, SyntaxError, ValueError):
                    self._follow(path, parse_source(path))


def relative(path: Path | str, folder: Path) -> str:
    """A path as it is from a folder, the same on every machine."""
    return os.path.relpath(path, folder).replace(os.sep, "/")


def file_sha256(path: Path | str) -> str:
    """The SHA-256 of a file's bytes. Raises OSError."""
    import hashlib

    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def parse_source(path: Path) -> ast.Module:
    """A source, in whatever encoding it says. Raises OSError, SyntaxError or ValueError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of "\\d" and the like, which its run will log
        return ast.parse(path.read_bytes())


def _is_known(package: str) -> bool:
    return package in frameworks.KNOWN or package == "twolayer"


def _above_package(folder: Path) -> Path:
    """The folder that the package of a folder's files is in, or the folder itself."""
    while (folder / "__init__.py").is_file() and folder.name.isidentifier():
        if folder.name in sys.stdlib_module_names or _is_known(folder.name):
            break
        folder = folder.parent
    return folder


@cache
def _own(path: tuple[str, ...]) -> list[Path]:
    """The folders of users' own modules that are on `sys.path`, by PYTHONPATH or a .pth file."""
    theirs = (sys.prefix, sys.base_prefix)
    places = [place for place in map(Path, path) if not any(map(place.is_relative_to, theirs))]
    own = (place for place in places if not any(part in INSTALLED for part in place.parts))
    return [place.resolve() for place in own if place.is_dir()]


def _chain(folder: Path, parts: Sequence[str]) -> list[Path]:
    """The files that importing `a.b.c` from a folder executes: packages, then the module."""
    files, places = [], [str(folder)]
    for part in parts:
        spec = PathFinder.find_spec(part, places)
        files += [Path(spec.origin)] if spec and spec.origin else []
        places = list(spec.submodule_search_locations or ()) if spec else []
    return files


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Every statement in a node, in order; much less than `ast.walk`, which `list` would feel."""
    for name in ("body", "handlers", "orelse", "finalbody", "cases"):
        for child in getattr(node, name, ()):
            yield child
            yield from _statements(child)


def _imported(node: ast.AST) -> Iterator[tuple[int, str]]:
    """How many dots lead, and the name behind them, of every module that a node may import."""
    match node:
        case ast.Import(names=names):
            yield from ((0, alias.name) for alias in names)
        case ast.ImportFrom(module=module, names=names, level=level):
            base = f"{module}." if module else ""
            yield from ((level, f"{base}{alias.name}".removesuffix(".*")) for alias in names)
        case ast.Assign(value=call) | ast.Expr(value=call):
            match call:
                case ast.Call(func=function, args=[ast.Constant(value=str(name)), *_]):
                    if _last_name(function) in ("import_module", "__import__"):
                        yield 0, name


def _last_name(function: ast.expr) -> str:
    """`c` of `a.b.c`."""
    return str(getattr(function, "attr", getattr(function, "id", "")))


def _added_folders(nodes: Iterable[ast.AST], file: Path) -> Iterator[Path]:
    """The folders that a file puts on `sys.path`, as far as that can be read from it."""
    values: dict[str, str | None] = {"__file__": str(file)}
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                values[name] = _path(value, values) or values.get(name)
            case ast.Expr(value=ast.Call(func=function, args=[*_, last])):
                if ast.unparse(function) in ("sys.path.insert", "sys.path.append"):
                    path = _path(last, values)
                    if path is not None and os.path.isdir(path):
                        yield Path(os.path.realpath(path))


def _path(node: ast.expr, values: dict[str, str | None]) -> str | None:
    """The path that an expression of os.path or pathlib comes to; None if it is another."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.Name(id=name):
            return values.get(name)
        case ast.Subscript(
            value=ast.Attribute(value=inner, attr="parents"),
            slice=ast.Constant(value=int(number)),
        ):
            above = Path(_path(inner, values) or "").parents
            return str(above[number]) if 0 <= number < len(above) else None
        case ast.Attribute(value=inner, attr="parent"):
            call, parts = "dirname", [inner]
        case ast.BinOp(left=left, op=ast.Div() | ast.Add() as op, right=right):
            call, parts = "join" if isinstance(op, ast.Div) else "add", [left, right]
        case ast.JoinedStr(values=parts):
            call = "add"
        case ast.FormattedValue(value=inner):
            call, parts = "add", [inner]
        case ast.Call(func=ast.Attribute(value=inner, attr=call), args=[]):
            parts = [inner]
        case ast.Call(func=function, args=parts):
            call = _last_name(function)
        case _:
            return None
    texts = [path for part in parts if (path := _path(part, values)) is not None]
    return _CALLS[call](texts) if call in _CALLS and 0 < len(texts) == len(parts) else None


_CALLS: dict[str, Callable[[list[str]], str]] = {
    "add": "".join,
    "dirname": lambda texts: os.path.dirname(texts[0]),
    **dict.fromkeys(("join", "joinpath", "Path"), lambda texts: os.path.join(*texts)),
    **dict.fromkeys(
        ("str", "fspath", "abspath", "realpath", "normpath", "resolve", "absolute"),
        lambda texts: os.path.abspath(texts[0]),
    ),
}
"""What functions of os.path and methods of pathlib make of some texts."""
