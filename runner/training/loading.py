"""Import an implementation in the process that trains it, and note the files that it loads."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import site
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from ..config.catalogue import BUILT_IN
from ..config.sources import file_sha256, relative
from ..errors import UserError


def load_module(job: dict[str, Any]) -> Any:
    """Import the implementation of a job; raises whatever its import raises.

    Its local modules come from where its source says that they are; after those, a file finds
    what else is beside it. It sees no arguments but its own name.
    """
    source = Path(job["source"])
    sys.argv = [str(source)]
    sys.meta_path.insert(0, _Local(job["roots"]))
    name = job["module"] or _free_name(source)
    if not job["installed"]:
        sys.path.append(str(source.parent))
    module = importlib.import_module(name) if job["module"] else _from_file(name, source)
    _check_unchanged(job)
    return module


def _from_file(name: str, source: Path) -> ModuleType:
    loader = _FromSource(name, str(source))
    spec = importlib.util.spec_from_file_location(name, source, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    loader.exec_module(module)
    return module


def _check_unchanged(job: dict[str, Any]) -> None:
    """Raise UserError if a file is not what the run is recorded as: it was edited meanwhile."""
    for path, (name, sha256) in zip(job["files"], job["sha256"].items(), strict=True):
        if file_sha256(path) != sha256:
            raise UserError(f"{name} was edited after this command began; call it again")


def _free_name(source: Path) -> str:
    """The name of a file as a module, where no other module has it: `torch.py` is not torch."""
    name = source.stem
    while name in sys.modules or importlib.util.find_spec(name):
        name += "_"
    return name


class _FromSource(SourceFileLoader):
    """Compiles the file that is there, as it was hashed: a .pyc can be of an earlier one."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _Local:
    """Finds local modules in their folders before anything installed of the same name."""

    def __init__(self, roots: Mapping[str, str]) -> None:
        self.roots = roots

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: Any = None
    ) -> ModuleSpec | None:
        top = name.partition(".")[0]
        if top not in self.roots:
            return None
        spec = PathFinder.find_spec(name, path or [self.roots[top]], target)
        if spec and spec.origin and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _FromSource(name, spec.origin)
        return spec


class Loaded:
    """The local files that a run loads although its source does not show it.

    Those are modules (by importlib, exec or a path set at run time) and data files. What is
    installed or was made by the run itself is not local; nor is what is hidden or temporary,
    unless the implementation is there, too.
    """

    def __init__(self, job: dict[str, Any]) -> None:
        self.source = Path(job["source"])
        self.known = {os.path.realpath(path) for path in job["files"]}
        self.tree = os.path.commonpath([os.path.dirname(path) for path in self.known])
        self.before = set(sys.modules)
        self.opened: set[str] = set()
        self.begun = time.time()
        if not job["built_in"]:  # those are known, and a hook takes time
            sys.addaudithook(self.note)

    def note(self, event: str, args: tuple[Any, ...]) -> None:
        """Take note of a file that is opened to be read."""
        if event == "open":
            path, _, flags = args
            if isinstance(path, str) and not flags & (os.O_WRONLY | os.O_RDWR):
                with contextlib.suppress(OSError):  # the working folder may be gone
                    self.opened.add(os.path.abspath(path))

    def sha256(self) -> dict[str, str]:
        """The hash of each file, by its path from the implementation's folder.

        A file that is not in the implementation's tree has its whole path for a name.
        """
        modules = (sys.modules[name] for name in set(sys.modules) - self.before)
        files = [getattr(module, "__dict__", {}).get("__file__") for module in modules]
        paths = {os.path.realpath(path) for path in {*self.opened, *_texts(files)}}
        found = {}
        for path in sorted(path for path in paths - self.known if self.is_local(path)):
            inside = path.startswith(os.path.join(self.tree, ""))
            with contextlib.suppress(OSError):  # it may be gone by now
                name = relative(path, self.source.parent) if inside else path
                found[name] = file_sha256(path)
        return found

    def is_local(self, path: str) -> bool:
        inside = path.startswith(os.path.join(self.tree, ""))
        parts = (path.removeprefix(self.tree) if inside else path).split(os.sep)
        if "__pycache__" in parts or any(part.startswith(".") for part in parts):
            return False
        if path.startswith(_folders(_installed() if inside else (*_installed(), *_elsewhere()))):
            return False
        return os.path.isfile(path) and os.stat(path).st_mtime < self.begun


def _texts(values: Iterable[Any]) -> Iterator[str]:
    return (value for value in values if isinstance(value, str))


def _installed() -> Iterator[str]:
    """The folders of Python, of installed packages and of twolayer."""
    ours = (module for name, module in sys.modules.items() if name in ("twolayer", BUILT_IN))
    yield from (os.path.dirname(str(module.__file__)) for module in ours)
    yield from (sys.prefix, sys.base_prefix, site.getusersitepackages())
    yield from sysconfig.get_paths().values()


def _elsewhere() -> Iterator[str]:
    """The folders of the system and of temporary files."""
    yield from ("/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sys", "/usr")
    with contextlib.suppress(OSError):  # there may be none
        yield tempfile.gettempdir()


def _folders(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(os.path.join(os.path.realpath(path), "") for path in paths)
