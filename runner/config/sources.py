"""The local files that an implementation executes, found by reading them: nothing is imported."""

from __future__ import annotations

import ast
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from . import frameworks

INSTALLED = ("site-packages", "dist-packages")


@dataclass(frozen=True)
class Sources:
    """An implementation's file and every local module that it imports, at any remove.

    A local module lies in a folder that Python would search for this file: the file's own, that
    of the package it is part of, one that it or PYTHONPATH puts on `sys.path`, or, for an
    installed module, its package. What comes with Python, and every framework that the runner
    knows, is never local, whatever a file beside it is called.

    Attributes:
        files: the files, the implementation's first.
        roots: where each local top-level module was found, by its name.
        packages: the other packages that these files import at their top.
        module: the name to import the file by, where that is more than its own.
    """

    files: tuple[Path, ...]
    roots: dict[str, Path]
    packages: tuple[str, ...]
    module: str

    @cached_property
    def sha256(self) -> dict[str, str]:
        """The hash of each file, by its path from the implementation's folder."""
        return {relative(path, self.files[0].parent): file_sha256(path) for path in self.files}

    def hash_beside(self, name: str) -> str:
        """The same of another file, by its path from the implementation's folder; "" if none."""
        path = self.files[0].parent / name
        return file_sha256(path) if path.is_file() else ""


def relative(path: Path | str, folder: Path) -> str:
    """A path as it is from a folder, the same on every machine."""
    return os.path.relpath(path, folder).replace(os.sep, "/")


def file_sha256(path: Path | str) -> str:
    """The SHA-256 of a file's bytes. Raises OSError."""
    import hashlib

    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def parse(path: Path) -> ast.Module:
    """A source, in whatever encoding it says. Raises OSError, SyntaxError or ValueError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of "\\d" and the like, which its run will log
        return ast.parse(path.read_bytes())


def read(source: Path, tree: ast.Module, module: str = "") -> Sources:
    """The sources of an implementation; `module` is its name if it is installed."""
    return _Reader(source, tree, module).sources()


class _Reader:
    def __init__(self, source: Path, tree: ast.Module, module: str) -> None:
        self.source, self.tree, self.module = source, tree, module
        self.files: dict[Path, None] = {source: None}
        self.roots: dict[str, Path] = {}
        self.packages: dict[str, None] = {}
        self.only, self.folders = _installed(source, module) if module else _around(source)
        self.root = self.folders[-1]
        self.folders += [folder for folder in _on_the_path() if folder not in self.folders]

    def sources(self) -> Sources:
        self.follow(self.source, self.tree)
        if not self.module:
            self.as_part_of_its_package()
        elif self.only != "twolayer":
            self.add_packages(self.module.split("."))
            self.roots.clear()  # it is found as it is installed
        return Sources(tuple(self.files), self.roots, tuple(self.packages), self.module)

    def as_part_of_its_package(self) -> None:
        """A file that imports from its own package is imported as part of it."""
        parts = self.source.relative_to(self.root).with_suffix("").parts
        if len(parts) > 1 and (parts[0] in self.roots or _is_relative(self.tree)):
            self.module = ".".join(parts)
            self.roots[parts[0]] = self.root
            self.add_packages(parts)

    def add_packages(self, parts: Sequence[str]) -> None:
        """Add the packages that a module is part of: they are imported with it."""
        for path in _chain(self.root, parts[:-1]):
            self.add(path)

    def follow(self, path: Path, tree: ast.Module) -> None:
        """Add what a file imports, anywhere in it."""
        statements = list(_statements(tree))
        added = _added_folders(statements, path)
        self.folders[:0] = [folder for folder in added if folder not in self.folders]
        for node in statements:
            for level, name in _imported(node):
                if level:
                    folder = path.parents[level - 1] if level <= len(path.parents) else path.parent
                    found = _chain(folder, name.split("."))
                else:
                    found = self.local(name)
                    if not found and node in tree.body:
                        self.packages |= _packages(name)
                for each in found:
                    self.add(each)

    def local(self, name: str) -> list[Path]:
        """The local files that importing a module executes; none if it is no local module."""
        parts = name.split(".")
        if parts[0] in sys.stdlib_module_names or _is_known(parts[0]):
            return []
        if self.only and parts[0] != self.only:
            return []
        for folder in self.folders:
            found = _chain(folder, parts)
            if found and not (found[0] == self.source and frameworks.is_installed(parts[0])):
                self.roots[parts[0]] = folder
                return found
        return []

    def add(self, path: Path) -> None:
        if path in self.files:
            return
        self.files[path] = None
        if path.suffix == ".py":
            try:
                self.follow(path, parse(path))
            except (OSError, SyntaxError, ValueError):
                return  # the run tells why, if it comes to import it


def _is_known(package: str) -> bool:
    return package in frameworks.KNOWN or package == "twolayer"


def _packages(name: str) -> dict[str, None]:
    top = name.partition(".")[0]
    return {} if top in sys.stdlib_module_names else {top: None}


def _installed(source: Path, module: str) -> tuple[str, list[Path]]:
    """The only local package of an installed module, if there is but one, and its folder."""
    top = module.partition(".")[0]
    depth = module.count(".") + (source.name == "__init__.py")
    root = source.parents[min(depth, len(source.parents) - 1)]
    alone = _is_known(top) or any(part in INSTALLED for part in root.parts)
    return (top if alone else ""), [root]


def _around(source: Path) -> tuple[str, list[Path]]:
    """The folders that a file's imports are found in: its own, and that of its package."""
    root = source.parent
    while (root / "__init__.py").is_file() and root.name.isidentifier():
        if root.name in sys.stdlib_module_names or _is_known(root.name):
            break
        root = root.parent
    return "", list(dict.fromkeys((source.parent, root)))


def _on_the_path() -> Iterator[Path]:
    """The folders of users' own modules that are on `sys.path`, by PYTHONPATH or a .pth file."""
    for place in map(Path, sys.path):
        own = not any(place.is_relative_to(each) for each in (sys.prefix, sys.base_prefix))
        if own and place.is_dir() and not any(part in INSTALLED for part in place.parts):
            yield place.resolve()


def _chain(folder: Path, parts: Sequence[str]) -> list[Path]:
    """The files that importing `a.b.c` from a folder executes: packages, then the module."""
    found = []
    for part in parts:
        package = folder / part / "__init__.py"
        if package.is_file():
            found.append(package)
        elif modules := [f for f in _modules(folder, part) if f.is_file()]:
            return [*found, modules[0]]
        folder = folder / part
    return found


def _modules(folder: Path, name: str) -> Iterator[Path]:
    """The files that a module can be, in the order in which Python looks for them."""
    return (folder / f"{name}{suffix}" for suffix in (*EXTENSION_SUFFIXES, ".py", ".pyc"))


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
        case (
            ast.Assign(value=ast.Call(func=called, args=[ast.Constant(value=str(name)), *_]))
            | ast.Expr(value=ast.Call(func=called, args=[ast.Constant(value=str(name)), *_]))
        ):
            if _last_name(called) in ("import_module", "__import__"):
                yield 0, name


def _last_name(called: ast.expr) -> str:
    """`c` of `a.b.c`."""
    return str(getattr(called, "attr", getattr(called, "id", "")))


def _is_relative(tree: ast.Module) -> bool:
    return any(level for node in _statements(tree) for level, _ in _imported(node))


def _added_folders(nodes: Iterable[ast.AST], file: Path) -> Iterator[Path]:
    """The folders that a file puts on `sys.path`, as far as that can be read from it."""
    values: dict[str, str] = {"__file__": str(file)}
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                if (text := _path(value, values)) is not None:
                    values[name] = text
            case ast.Expr(value=ast.Call(func=called, args=[*_, last])):
                if ast.unparse(called) in ("sys.path.insert", "sys.path.append"):
                    text = _path(last, values)
                    if text is not None and os.path.isdir(text):
                        yield Path(os.path.realpath(text))


def _path(node: ast.expr, values: dict[str, str]) -> str | None:
    """The path that an expression of os.path or pathlib comes to; None if it is another."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.Name(id=name):
            return values.get(name)
        case ast.Attribute(value=inner, attr="parent"):
            return _called("dirname", [_path(inner, values)])
        case ast.Subscript(value=ast.Attribute(value=inner, attr="parents"), slice=index):
            above = Path(_path(inner, values) or "").parents
            number = index.value if isinstance(index, ast.Constant) else None
            known = isinstance(number, int) and 0 <= number < len(above)
            return str(above[number]) if known else None  # type: ignore[index]
        case ast.BinOp(left=left, op=ast.Div() | ast.Add() as op, right=right):
            name = "join" if isinstance(op, ast.Div) else "add"
            return _called(name, [_path(left, values), _path(right, values)])
        case ast.JoinedStr(values=parts):
            return _called("add", [_path(each, values) for each in parts])
        case ast.FormattedValue(value=inner):
            return _path(inner, values)
        case ast.Call(func=called, args=args):
            of = [called.value] if isinstance(called, ast.Attribute) and not args else []
            return _called(_last_name(called), [_path(each, values) for each in (*of, *args)])
    return None


def _called(name: str, texts: list[str | None]) -> str | None:
    """What a function of os.path or pathlib makes of some texts."""
    known = [text for text in texts if text is not None]
    if len(known) < len(texts) or not known:
        return None
    if name in ("join", "joinpath", "Path"):
        return os.path.join(*known)
    if name == "add":
        return "".join(known)
    if name == "dirname":
        return os.path.dirname(known[0])
    plain = ("str", "fspath", "abspath", "realpath", "normpath", "resolve", "absolute")
    return os.path.abspath(known[0]) if name in plain else None
