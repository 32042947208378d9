"""The implementations, found and read without importing any of them."""

import ast
import contextlib
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib.machinery import ModuleSpec
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from .. import packages
from ..errors import UserError, listed, nearest, no_file
from ..output import printable
from . import frameworks, sources
from .settings import DEFAULTS, OPTIONAL
from .sources import Sources

ENTRY_POINTS = "twolayer.implementations"
BUILT_IN = "twolayer.impls"
LESSON = (
    *("numpy_manual", "torch_manual", "autograd", "custom_relu", "tf_graph"),
    *("nn", "adam", "sgd", "custom_module", "dynamic_net"),
)
"""The built-in implementations in the order in which they are taught; `impls: all`."""

REFERENCES = ("sgd", "adam", "dynamic")
"""SGD or Adam on the plain net, SGD on the net of drawn depth."""

_NAME = re.compile(r"[\w.-]+")
_WHOLE = {"values", "with_", "__dict__"}


class Refusal(NamedTuple):
    """A setting that can't have its value, and why, with places for the implementations."""

    setting: str
    reason: str

    def of(self, *names: str) -> str:
        """In words, of one or more implementations."""
        return self.reason.format(names=listed(names), reads="reads" if len(names) == 1 else "read")


@dataclass(frozen=True)
class Implementation:
    """One implementation, and what can be read from its source."""

    name: str  # on the command line and in tables
    source: Path
    module: str  # to import it by; empty for a file given by its path
    origin: str  # `built in`, the installed package it came with, or the path

    @cached_property
    def _tree(self) -> ast.Module:
        try:
            return sources.parse_source(self.source)
        except SyntaxError as error:
            place = f"{self.source}:{error.lineno or 1}:{error.offset or 1}"
            raise UserError(f"{place}: is not valid Python: {error.msg}") from None
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise UserError(f"{self.source}: can't be read: {why}") from None

    @cached_property
    def sources(self) -> Sources:
        """Its file and the local modules that it imports."""
        return Sources(self.source, self._tree, self.module)

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
    def _reference(self) -> tuple[str, str, int]:
        """How it names its reference (REFERENCE, once FAMILY), which, and on what line."""
        for node in self._tree.body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for name in {"REFERENCE", "FAMILY"}.intersection(map(ast.unparse, targets)):
                    return name, ast.unparse(node.value).strip("'"), node.lineno
        return "", "sgd", 0

    @property
    def reference(self) -> str:
        """Its `REFERENCE = "…"`, else sgd. Raises UserError if there is no such reference."""
        name, reference, line = self._reference
        if reference not in REFERENCES:
            message = f"must be {listed(REFERENCES, 'or')} (got {reference})"
            raise UserError(f"{self.source}:{line}: {name}: {message}")
        return reference

    @property
    def imports(self) -> tuple[str, ...]:
        """The packages that its files import at the top: neither Python's own nor local."""
        return self.sources.packages

    @cached_property
    def framework(self) -> str:
        """The framework that it is labelled with: NumPy only where it is alone."""
        known = [name for name in self.imports if name in frameworks.KNOWN and name != "numpy"]
        return (*known, *self.imports, "python")[0]

    @cached_property
    def preload(self) -> tuple[str, ...]:
        """Every module whose import is to be done, and timed, before its runs start."""
        known = [frameworks.KNOWN[name] for name in self.imports if name in frameworks.KNOWN]
        late = {used: module for framework in known for used, module in framework.deferred}
        nodes = ast.walk(self._tree) if late else ()
        names = {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)}
        return (*self.imports, *(module for used, module in late.items() if used in names))

    @cached_property
    def _reads(self) -> set[str] | None:
        """The settings that it reads as `cfg.…`; None if it reads or hands on all of them."""
        body = self._tree.body
        trains = [n for n in body if isinstance(n, ast.FunctionDef) and n.name == "train"]
        if not trains or not trains[0].args.args:
            return None
        cfg = trains[0].args.args[0].arg
        if (read := _uses(cfg, trains[0])) is None:
            return None
        read = read.union(*(_uses(cfg, node) or () for node in body if node is not trains[0]))
        return None if read & _WHOLE else read

    def honours(self, setting: str) -> bool:
        """Whether it reads `cfg.<setting>`; one that hands `cfg` on is believed to.

        Sizes, seed, dtype and threads are seen to by the problem or the process, for all.
        """
        optional = setting in OPTIONAL or setting == "device"
        return not optional or self._reads is None or setting in self._reads

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
            allowed = ("auto", *self.devices)
            if str(value).partition(":")[0] in allowed:
                return None
            reason = f"must be {listed(allowed, 'or')} for {{names}} ({self.framework})"
        elif setting not in OPTIONAL or value == DEFAULTS[setting] or self.honours(setting):
            return None
        else:
            default = str(DEFAULTS[setting]).lower().removesuffix(".0")
            reason = f"must be {default} for {{names}}, which never {{reads}} cfg.{setting}"
            reason += "" if self.module else "; read it in train to declare that it can"
        return Refusal(setting, reason)

    def missing(self) -> list[str]:
        """The packages that it imports and that can't be found."""
        return [name for name in self.imports if not frameworks.is_installed(name)]

    @cached_property
    def missing_frameworks(self) -> str:
        """Those that it needs and that can't be found, and what to do; empty if it can run."""
        lacking = (name for name in self.missing() if name in frameworks.KNOWN)
        return "; ".join(map(frameworks.install_hint, lacking))

    def notes(self) -> list[str]:
        """Possible problems of its runs."""
        notes = []
        if lacking := [name for name in self.missing() if name not in frameworks.KNOWN]:
            lacks = f"imports {listed(lacking)}, which can't be found before the run"
            notes.append(f"{self.name} {lacks}")
        name, reference, line = self._reference
        if name == "FAMILY" and reference in REFERENCES:
            notes.append(f"{self.source}:{line}: FAMILY is now called REFERENCE")
        return notes


def _uses(name: str, tree: ast.AST) -> set[str] | None:
    """Every `attribute` read as `name.attribute`; None if `name` is used on its own."""
    nodes = list(ast.walk(tree))
    named = [node for node in nodes if isinstance(node, ast.Name) and node.id == name]
    read = [n.attr for n in nodes if isinstance(n, ast.Attribute) and n.value in named]
    return set(read) if len(read) == len(named) else None


def names() -> list[str]:
    """The names of all built-in and installed implementations."""
    return [item.name for item in installed()]


def installed() -> list[Implementation]:
    """All built-in and installed implementations, built-in ones in the lesson's order."""
    return list(_registered()[0].values())


def problems() -> list[str]:
    """What is wrong with installed packages that register implementations, a sentence each."""
    return [f"{problem}; it is left out" for _, problem in _registered()[1]]


def find(name: str, folder: Path | None = None) -> Implementation:
    """The implementation of a name or a file (`./mine.py`, from `folder`); else a UserError."""
    if name.endswith(".py") or "/" in name:
        return from_file((folder or Path()) / name)
    known, wrong = _registered()
    if name not in known:
        hint = nearest(name, known) or f"; known are {listed(known)}"
        why = dict(wrong).get(name, f"is not an implementation{hint}")
        raise UserError(f"{name}: {why}")
    return known[name]


def from_file(path: Path) -> Implementation:
    """An implementation in a file; a UserError if there is none, or no module can be named so."""
    if why := no_file(path):
        raise UserError(f"{path}: {why}")
    if path.suffix != ".py" or not path.stem.isidentifier() or path.stem == "__init__":
        raise UserError(f"{path}: must be a .py file named like a variable")
    source, (known, _) = path.resolve(), _registered()
    if source.stem in known and source.parent == built_in_folder():
        return known[source.stem]
    try:
        str(source).encode()
    except UnicodeEncodeError:
        message = "its path is not UTF-8, so no config could name it; rename it or its folder"
        raise UserError(f"{source}: {message}") from None
    name = path.stem if path.stem not in known else f"{source.parent.name}/{path.stem}"
    return Implementation(printable(name), source, "", str(path))


def with_distinct_names(items: Sequence[Implementation]) -> list[Implementation]:
    """The same; files of one name get as many of their folders as it takes: `after/mine`."""
    depth, names = 1, [item.name for item in items]
    while shared := {name for name, count in Counter(names).items() if count > 1}:
        depth += 1
        names = [
            "/".join(item.source.with_suffix("").parts[-depth:]) if name in shared else name
            for item, name in zip(items, names, strict=True)
        ]
    pairs = [(item, printable(name)) for item, name in zip(items, names, strict=True)]
    return [item if item.name == name else replace(item, name=name) for item, name in pairs]


def _folder(package: str) -> Path:
    spec = locate(package)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"{package}: is not installed; install twolayer again")
    return Path(next(iter(spec.submodule_search_locations)))


built_in_folder = partial(_folder, BUILT_IN)
configs_folder = partial(_folder, "twolayer.configs")


def _registered() -> tuple[dict[str, Implementation], list[tuple[str, str]]]:
    """The implementations that can be used; the names of others, and why they can't."""
    usable, wrong = {each.name: each for each in _built_in()}, []
    for name, package, value in packages.entry_points(ENTRY_POINTS):
        module = value.partition(":")[0].strip()
        spec = None
        with contextlib.suppress(ImportError, ValueError):  # of a finder, at an odd name
            spec = locate(module)
        if name in usable:
            why = f"which is taken ({usable[name].origin})"
        elif not module:
            why = "but its entry points can't be read"
        elif not _NAME.fullmatch(name) or name == "all" or name.endswith(".py"):
            why = "but a name must be of letters, digits, _, - and ., and not all"
        elif spec is None or not spec.origin:
            why = f"but there is no module {module}"
        else:
            usable[name] = Implementation(name, Path(spec.origin), module, package)
            continue
        wrong.append((name, f"{package} registers {name or 'an implementation'}, {why}"))
    return usable, wrong


def _built_in() -> Iterator[Implementation]:
    folder = built_in_folder()
    others = sorted({path.stem for path in folder.glob("[!_]*.py")}.difference(LESSON))
    for name in (*LESSON, *filter(str.isidentifier, others)):
        if (source := folder / f"{name}.py").is_file():
            yield Implementation(name, source, f"{BUILT_IN}.{name}", "built in")


def locate(module: str) -> ModuleSpec | None:
    """Find a module without importing the packages above it, as importlib would."""
    path, spec = None, None
    for name in accumulate(module.split("."), "{}.{}".format):
        finders = (finder for finder in sys.meta_path if hasattr(finder, "find_spec"))
        spec = next(filter(None, (finder.find_spec(name, path) for finder in finders)), None)
        path = spec.submodule_search_locations if spec else None
        if path is None and name != module:
            return None  # a plain module has nothing below it
    return spec
