"""The local files that an implementation executes, found by reading them: nothing is imported."""

from __future__ import annotations

import ast
import contextlib
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from functools import cached_property
from importlib import machinery
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from . import frameworks

INSTALLED = {"site-packages", "dist-packages"}


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
        parts = module.split(".")
        if module:
            root = _above(source, len(parts) + (source.name == "__init__.py"))
            if _is_known(parts[0]) or INSTALLED.intersection(root.parts):
                self._only = parts[0]
        else:
            root = _above_package(source.parent)
            parts = list(source.relative_to(root).with_suffix("").parts)
        first = () if module else (source.parent,)
        self._folders = list(dict.fromkeys((*first, root, *_on_the_path())))
        self._follow(source, tree)
        if not module and len(parts) > 1:  # what imports from its package is a part of it
            levels = [level for node in _statements(tree) for level, _ in _imported(node)]
            if parts[0] in self.roots or any(levels):
                self.module = ".".join(parts)
                self.roots[parts[0]] = root
        if self.module and self._only != "twolayer":  # packages are imported with their module
            self._add(_chain(root, parts[:-1]))
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
                    self._add(_chain(_above(path, level), name.split(".")))
                elif top not in sys.stdlib_module_names:
                    files = self._local(top, name)
                    self._add(files)
                    if not files and node in tree.body:
                        self.packages = tuple(dict.fromkeys((*self.packages, top)))

    def _local(self, top: str, name: str) -> list[Path]:
        """The local files that importing a module executes; none if it is no local module."""
        if not _is_known(top) and self._only in ("", top):
            for folder in self._folders:
                files = _chain(folder, name.split("."))
                if files and not (files[0] == self.files[0] and frameworks.is_installed(top)):
                    self.roots[top] = folder
                    return files
        return []

    def _add(self, files: list[Path]) -> None:
        for path in files:
            if path not in self.files:
                self.files.append(path)
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


def _above(path: Path, levels: int) -> Path:
    """The folder so many levels above a file, or the topmost."""
    return path.parents[min(levels, len(path.parents)) - 1]


def _above_package(folder: Path) -> Path:
    """The folder that the package of a folder's files is in, or the folder itself."""
    while (folder / "__init__.py").is_file() and folder.name.isidentifier():
        if folder.name in sys.stdlib_module_names or _is_known(folder.name):
            break
        folder = folder.parent
    return folder


def _on_the_path() -> Iterator[Path]:
    """The folders of users' own modules that are on `sys.path`, by PYTHONPATH or a .pth file."""
    for place in map(Path, sys.path):
        own = not any(place.is_relative_to(prefix) for prefix in (sys.prefix, sys.base_prefix))
        if own and place.is_dir() and not INSTALLED.intersection(place.parts):
            yield place.resolve()


_LOADERS = (  # in the order of Python's search
    (machinery.ExtensionFileLoader, machinery.EXTENSION_SUFFIXES),
    (machinery.SourceFileLoader, machinery.SOURCE_SUFFIXES),
    (machinery.SourcelessFileLoader, machinery.BYTECODE_SUFFIXES),
)


def _chain(folder: Path, parts: Sequence[str]) -> list[Path]:
    """The files that importing `a.b.c` from a folder executes: packages, then the module."""
    files = []
    for part in parts:
        spec = machinery.FileFinder(str(folder), *_LOADERS).find_spec(part)
        if spec and spec.origin:
            files.append(Path(spec.origin))
        if not spec or spec.submodule_search_locations is None:
            break
        folder = folder / part
    return files


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Every statement in a node, in order; much less than `ast.walk`, which `list` would feel."""
    for name in ("body", "handlers", "orelse", "finalbody", "cases"):
        for child in getattr(node, name, ()):
            yield child
            yield from _statements(child)


_IMPORTERS = ("import_module", "__import__")


def _imported(node: ast.AST) -> Iterator[tuple[int, str]]:
    """How many dots lead, and the name behind them, of every module that a node may import."""
    match node:
        case ast.Import(names=names):
            yield from ((0, alias.name) for alias in names)
        case ast.ImportFrom(module=module, names=names, level=level):
            base = f"{module}." if module else ""
            yield from ((level, f"{base}{alias.name}".removesuffix(".*")) for alias in names)
        case ast.Assign(value=ast.Call() as call) | ast.Expr(value=ast.Call() as call):
            name = getattr(call.args[0], "value", None) if call.args else None
            if isinstance(name, str) and ast.unparse(call.func).endswith(_IMPORTERS):
                yield 0, name


_PATHS = SimpleNamespace(str=str, Path=Path, fspath=os.fspath)
for _name in ("join", "dirname", "abspath", "realpath", "normpath"):
    setattr(_PATHS, _name, getattr(os.path, _name))
_PATHS.path = _PATHS
_ATTRIBUTES = {*vars(_PATHS), "parent", "parents", "joinpath", "resolve", "absolute"}
_NODES = (
    *(ast.Constant, ast.Name, ast.Load, ast.Attribute, ast.Subscript, ast.Call, ast.keyword),
    *(ast.BinOp, ast.Div, ast.Add, ast.JoinedStr, ast.FormattedValue),
)


class _Names(dict[str, Any]):
    """The names of a file; any other is a module's, or a function's that makes paths."""

    def __missing__(self, name: str) -> Any:
        return getattr(_PATHS, name, _PATHS)


def _added_folders(nodes: list[ast.AST], file: Path) -> Iterator[Path]:
    """The folders that a file puts on `sys.path`, as far as that can be read from it."""
    names = _Names(__file__=str(file))
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                names[name] = _path(value, names) or names[name]
            case ast.Expr(value=ast.Call(func=function, args=[*_, last])):
                if ast.unparse(function) in ("sys.path.insert", "sys.path.append"):
                    path = _path(last, names)
                    if path and os.path.isdir(path):
                        yield Path(os.path.realpath(path))


def _path(node: ast.expr, names: _Names) -> str | Path | None:
    """The path that an expression computes; None, unevaluated, if it can do anything else."""
    for part in ast.walk(node):
        if not isinstance(part, _NODES) or getattr(part, "attr", "path") not in _ATTRIBUTES:
            return None
    try:
        value = eval(compile(ast.Expression(node), "path", "eval"), {"__builtins__": {}}, names)
    except Exception:
        return None
    return value if isinstance(value, str | Path) else None
