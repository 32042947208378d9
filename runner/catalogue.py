"""Which implementations there are, found and read without importing any of them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.machinery import ModuleSpec
from pathlib import Path

from . import frameworks, packages
from .errors import UserError, listed, nearest

ENTRY_POINTS = "twolayer.implementations"
BUILT_IN = "twolayer.impls"
_UNUSED: dict[str, bool | float] = {"bias": False, "momentum": 0.0}


@dataclass(frozen=True)
class Implementation:
    """One implementation: where its source is and what can be read from it.

    Attributes:
        name: what it is called on the command line and in the tables.
        source: its file.
        module: the name to import it by; empty for a file given by its path.
        origin: `built in`, the installed package it came with, or the path.
    """

    name: str
    source: Path
    module: str
    origin: str

    @cached_property
    def text(self) -> str:
        try:
            return self.source.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{self.source}: can't be read: {error}") from None

    @cached_property
    def _tree(self) -> ast.Module:
        try:
            return ast.parse(self.text)
        except SyntaxError as error:
            place = f"{self.source}:{error.lineno or 1}:{error.offset or 1}"
            raise UserError(f"{place}: is not valid Python: {error.msg}") from None

    @cached_property
    def title(self) -> str:
        """The first line of the docstring."""
        return (ast.get_docstring(self._tree) or "").partition("\n")[0]

    @cached_property
    def sha256(self) -> str:
        import hashlib

        return hashlib.sha256(self.text.encode()).hexdigest()

    @cached_property
    def family(self) -> str:
        """Which reference it is held to: its `FAMILY = "…"`, else sgd."""
        constants = (
            (target.id, node.value.value)
            for node in self._tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        )
        return next((str(value) for name, value in constants if name == "FAMILY"), "sgd")

    @cached_property
    def imports(self) -> tuple[str, ...]:
        """The packages outside the standard library that its file imports at the top."""
        names: list[str] = []
        for node in self._tree.body:
            if isinstance(node, ast.Import):
                names += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.append(node.module)
        tops = dict.fromkeys(name.partition(".")[0] for name in names)
        local = () if self.module else _neighbours(self.source)
        return tuple(n for n in tops if n not in sys.stdlib_module_names and n not in local)

    @cached_property
    def framework(self) -> str:
        return frameworks.main_framework(self.imports)

    @cached_property
    def preload(self) -> tuple[str, ...]:
        """Every module whose import is to be done, and timed, before its runs start."""
        dotted = {ast.unparse(node) for node in ast.walk(self._tree) if _is_dotted(node)}
        deferred = [
            module
            for name in self.imports
            if name in frameworks.KNOWN
            for trigger, module in frameworks.KNOWN[name].deferred
            if trigger in dotted
        ]
        return (*self.imports, *deferred)

    @cached_property
    def _train(self) -> ast.FunctionDef | None:
        functions = (node for node in self._tree.body if isinstance(node, ast.FunctionDef))
        return next((node for node in functions if node.name == "train"), None)

    @cached_property
    def _reads(self) -> set[str] | None:
        """The settings that it reads as `cfg.…`; None if it hands `cfg` on whole."""
        if self._train is None or not self._train.args.args:
            return None
        cfg = self._train.args.args[0].arg
        read = _uses(cfg, self._train)
        if read is not None:
            for node in self._tree.body:
                read |= (node is not self._train and _uses(cfg, node)) or set()
        return read

    def honours(self, setting: str) -> bool:
        """Whether it can do something with a setting: whether it reads `cfg.<setting>`.

        What the problem or the processes see to (sizes, seed, dtype, threads) any can. One
        that hands `cfg` on whole is believed to honour everything.
        """
        seen_to = setting not in _UNUSED and setting != "device"
        return seen_to or self._reads is None or setting in self._reads

    def refusal(self, setting: str, value: object) -> str:
        """Why it can't honour a setting's value; empty if it can."""
        if setting == "device":
            return self._device_refusal(str(value))
        if setting not in _UNUSED or value == _UNUSED[setting] or self.honours(setting):
            return ""
        unused = _UNUSED[setting]
        only = "false" if unused is False else f"{unused:g}"
        return f"must be {only} for {{who}}, which never {{reads}} cfg.{setting}"

    def _device_refusal(self, device: str) -> str:
        kind = device.partition(":")[0]
        allowed = frameworks.allowed_devices(self.imports)
        if not self.honours("device"):
            allowed = ("cpu",)
        if kind in ("auto", *allowed):
            return ""
        return f"must be {listed(('auto', *allowed), 'or')} for {{who}} ({self.framework})"

    def missing(self) -> list[str]:
        """The packages it needs that are not installed."""
        return frameworks.missing(self.imports)


def _neighbours(source: Path) -> set[str]:
    """The modules and packages beside a file, which it can import."""
    folders = (path.parent for path in source.parent.glob("*/__init__.py"))
    return {path.stem for path in (*source.parent.glob("*.py"), *folders)}


def _is_dotted(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)


def _uses(name: str, tree: ast.AST) -> set[str] | None:
    """Every `attribute` read as `name.attribute`; None if `name` is used on its own."""
    attributes, through, names = set(), 0, 0
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            names += node.id == name
        elif isinstance(node, ast.Attribute) and getattr(node.value, "id", None) == name:
            attributes.add(node.attr)
            through += 1
    return attributes if names == through else None


def names() -> list[str]:
    """The names of all built-in and installed implementations."""
    return list(_all())


def installed() -> list[Implementation]:
    """All built-in and installed implementations, built-in ones in the lesson's order."""
    return list(_all().values())


def find(name: str, folder: Path | None = None) -> Implementation:
    """The implementation with this name, or in this file (`./mine.py`, from `folder`).

    Raises UserError if there is none.
    """
    if name.endswith(".py") or "/" in name:
        return from_file((folder or Path()) / name)
    known = _all()
    if name not in known:
        hint = nearest(name, known) or f"; known are {listed(known)}"
        raise UserError(f"no implementation is called {name}{hint}")
    return known[name]


def from_file(path: Path) -> Implementation:
    """An implementation that is a file somewhere.

    Raises UserError if there is no such file or its name can't be a module's.
    """
    if not path.is_file():
        raise UserError(f"no implementation at {path}: there is no such file")
    if path.suffix != ".py" or not path.stem.isidentifier():
        raise UserError(f"{path}: an implementation is a .py file named like a variable")
    if path.resolve().parent == built_in_folder():
        return _all()[path.stem]
    try:
        str(path.resolve()).encode()
    except UnicodeEncodeError:
        message = "its path is not UTF-8, so no config could name it; rename it or its folder"
        raise UserError(f"{path.resolve()}: {message}") from None
    return Implementation(path.stem, path.resolve(), "", str(path))


def built_in_folder() -> Path:
    return _folder(BUILT_IN)


def configs_folder() -> Path:
    return _folder("twolayer.configs")


def _folder(package: str) -> Path:
    spec = locate(package)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"{package} is not installed; install twolayer again")
    return Path(next(iter(spec.submodule_search_locations)))


LESSON = (
    *("numpy_manual", "torch_manual", "autograd", "custom_relu", "tf_graph"),
    *("nn", "adam", "sgd", "custom_module", "dynamic_net"),
)
"""The order in which they are taught."""


def _all() -> dict[str, Implementation]:
    found = {item.name: item for item in _built_in()}
    for item in _from_packages():
        if item.name in found:
            taken = found[item.name].origin
            raise UserError(f"{item.origin} registers {item.name}, which is taken ({taken})")
        found[item.name] = item
    return found


def _built_in() -> Iterator[Implementation]:
    files = {path.stem: path for path in built_in_folder().glob("*.py")}
    rest = sorted(name for name in files if name not in LESSON and name.isidentifier())
    for name in (*LESSON, *rest):
        if name in files and not name.startswith("_"):
            yield Implementation(name, files[name], f"{BUILT_IN}.{name}", "built in")


def _from_packages() -> Iterator[Implementation]:
    for package, name, value in packages.entry_points(ENTRY_POINTS):
        module = value.partition(":")[0].strip()
        spec = locate(module)
        if spec is None or not spec.origin:
            raise UserError(f"{package} registers {name}, but there is no module {module}")
        yield Implementation(name, Path(spec.origin), module, package)


def locate(module: str) -> ModuleSpec | None:
    """Find a module without importing the packages above it, as importlib would."""
    spec, path, parts = None, None, module.split(".")
    for depth in range(1, len(parts) + 1):
        name = ".".join(parts[:depth])
        finders = (finder for finder in sys.meta_path if hasattr(finder, "find_spec"))
        specs = (finder.find_spec(name, path) for finder in finders)
        spec = next((found for found in specs if found), None)
        if spec is None:
            return None
        path = spec.submodule_search_locations
        if path is None and depth < len(parts):
            return None  # a plain module has nothing below it
    return spec
