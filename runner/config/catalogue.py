"""Which implementations there are, found and read without importing any of them."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import NamedTuple

from .. import packages
from ..errors import UserError, listed, nearest, no_file
from ..output import printable
from . import frameworks, sources
from .sources import Sources

ENTRY_POINTS = "twolayer.implementations"
BUILT_IN = "twolayer.impls"
_UNUSED = {"bias": False, "momentum": 0}
_WHOLE = {"values", "with_", "__dict__"}

FAMILIES = ("sgd", "adam", "dynamic")
"""The references there are: SGD or Adam on the plain net, SGD on the net of drawn depth."""


class Refusal(NamedTuple):
    """Why an implementation can't honour a setting: what it must be, and a reason."""

    setting: str
    allowed: str
    reason: str

    def of(self, *names: str) -> str:
        """In words, of one or more implementations."""
        if self.setting == "device":
            return f"must be {self.allowed} for {listed(names)} ({self.reason})"
        reads = "reads" if len(names) == 1 else "read"
        never = f"which never {reads} cfg.{self.setting}{self.reason}"
        return f"must be {self.allowed} for {listed(names)}, {never}"


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
    def _tree(self) -> ast.Module:
        try:
            return sources.parse(self.source)
        except SyntaxError as error:
            place = f"{self.source}:{error.lineno or 1}:{error.offset or 1}"
            raise UserError(f"{place}: is not valid Python: {error.msg}") from None
        except (OSError, ValueError) as error:
            raise UserError(f"{self.source}: can't be read: {error}") from None

    @cached_property
    def sources(self) -> Sources:
        """Its file and the local modules that it imports."""
        return sources.read(self.source, self._tree, self.module)

    @property
    def built_in(self) -> bool:
        return self.module.startswith(f"{BUILT_IN}.")

    @cached_property
    def title(self) -> str:
        """The first line of the docstring."""
        return (ast.get_docstring(self._tree) or "").partition("\n")[0]

    @cached_property
    def sha256(self) -> str:
        """The hash of all that it executes; of its file, where that is all."""
        import hashlib
        import json

        files = self.sources.sha256
        if len(files) == 1:
            return next(iter(files.values()))
        return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()

    @cached_property
    def family(self) -> str:
        """Which reference it is held to: its `FAMILY = "…"`, else sgd.

        Raises UserError if there is no such reference.
        """
        for node in self._tree.body:
            if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
                continue
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if "FAMILY" in map(ast.unparse, targets):
                value = node.value
                said = str(value.value) if isinstance(value, ast.Constant) else ast.unparse(value)
                if said in FAMILIES:
                    return said
                place = f"{self.source}:{node.lineno}: FAMILY"
                raise UserError(
                    f"{place}: there is no reference {said}; there are {listed(FAMILIES)}"
                )
        return "sgd"

    @property
    def imports(self) -> tuple[str, ...]:
        """The packages that its files import at the top: neither Python's own nor local."""
        return self.sources.packages

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
        """The settings that it reads as `cfg.…`; None if it reads or hands on all of them."""
        if self._train is None or not self._train.args.args:
            return None
        cfg = self._train.args.args[0].arg
        read = _uses(cfg, self._train)
        if read is not None:
            for node in self._tree.body:
                read |= (node is not self._train and _uses(cfg, node)) or set()
        return None if read is None or read & _WHOLE else read

    def honours(self, setting: str) -> bool:
        """Whether it can do something with a setting: whether it reads `cfg.<setting>`.

        What the problem or the processes see to (sizes, seed, dtype, threads) any can. One
        that takes all settings at once, or hands `cfg` on, is believed to honour everything.
        """
        seen_to = setting not in _UNUSED and setting != "device"
        return seen_to or self._reads is None or setting in self._reads

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices that it can train on, as words of the `device` setting."""
        if self.framework == "python" or not self.honours("device"):
            return ("cpu",)
        known = frameworks.KNOWN.get(self.framework)
        return known.devices if known else frameworks.DEVICES

    def refusal(self, setting: str, value: object) -> Refusal | None:
        """Why it can't honour a setting's value; None if it can."""
        if setting == "device":
            if str(value).partition(":")[0] in ("auto", *self.devices):
                return None
            return Refusal(setting, listed(("auto", *self.devices), "or"), self.framework)
        if setting not in _UNUSED or value == _UNUSED[setting] or self.honours(setting):
            return None
        declare = "" if self.module else "; read it in train to declare that it can"
        return Refusal(setting, str(_UNUSED[setting]).lower(), declare)

    def missing(self) -> list[str]:
        """The packages that it imports and that can't be found."""
        return [name for name in self.imports if not frameworks.is_installed(name)]


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
    if why := no_file(path):
        raise UserError(f"no implementation at {path}: {why}")
    if path.suffix != ".py" or not path.stem.isidentifier() or path.stem == "__init__":
        raise UserError(f"{path}: an implementation is a .py file named like a variable")
    source, known = path.resolve(), _all()
    if source.parent == built_in_folder() and source.stem in known:
        return known[source.stem]
    try:
        str(source).encode()
    except UnicodeEncodeError:
        message = "its path is not UTF-8, so no config could name it; rename it or its folder"
        raise UserError(f"{source}: {message}") from None
    name = path.stem if path.stem not in known else f"{source.parent.name}/{path.stem}"
    return Implementation(printable(name), source, "", str(path))


def told_apart(items: Sequence[Implementation]) -> list[Implementation]:
    """The same, files of one name called by as many of their folders as it takes: `after/mine`."""
    depth, names = 1, [item.name for item in items]
    while shared := {name for name, count in Counter(names).items() if count > 1}:
        depth += 1
        names = [
            "/".join(item.source.with_suffix("").parts[-depth:]) if name in shared else name
            for item, name in zip(items, names, strict=True)
        ]
    return [replace(item, name=printable(name)) for item, name in zip(items, names, strict=True)]


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


def problems() -> list[str]:
    """What is wrong with installed packages that register implementations, a sentence each."""
    return _registered()[1]


def _all() -> dict[str, Implementation]:
    return _registered()[0]


def _registered() -> tuple[dict[str, Implementation], list[str]]:
    """The implementations that can be used, and why others can't."""
    found, wrong = {item.name: item for item in _built_in()}, []
    for package, name, value in packages.entry_points(ENTRY_POINTS):
        module = value.partition(":")[0].strip()
        spec = locate(module)
        if name in found:
            wrong.append(f"{package} registers {name}, which is taken ({found[name].origin})")
        elif spec is None or not spec.origin:
            why = f"there is no module {module}" if module else "its entry points can't be read"
            wrong.append(f"{package} registers {name}, but {why}")
        else:
            found[name] = Implementation(name, Path(spec.origin), module, package)
    return found, wrong


def _built_in() -> Iterator[Implementation]:
    files = {path.stem: path for path in built_in_folder().glob("*.py")}
    rest = sorted(name for name in files if name not in LESSON and name.isidentifier())
    for name in (*LESSON, *rest):
        if name in files and not name.startswith("_"):
            yield Implementation(name, files[name], f"{BUILT_IN}.{name}", "built in")


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
