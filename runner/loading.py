"""Import an implementation in the process that trains it, and note the files that it loads."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import site
import sys
import sysconfig
import time
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from .catalogue import BUILT_IN
from .sources import file_sha256, relative


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
    if job["module"]:
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(name, source)
    if spec is None or spec.loader is None:
        raise ImportError(f"{source} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _free_name(source: Path) -> str:
    """The name of a file as a module, where no other module has it: `torch.py` is not torch."""
    name = source.stem
    while name in sys.modules or importlib.util.find_spec(name):
        name += "_"
    return name


class _Local:
    """Finds local modules in their folders before anything installed of the same name."""

    def __init__(self, roots: Mapping[str, str]) -> None:
        self.roots = roots

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: Any = None
    ) -> ModuleSpec | None:
        if path is not None or name not in self.roots:
            return None
        return PathFinder.find_spec(name, [self.roots[name]], target)


class Loaded:
    """The local files that a run loads although its source does not show it.

    Those are modules (by importlib, exec or a path set at run time) and data files. What is
    installed, is hidden, or was made by the run itself is not local.
    """

    def __init__(self, job: dict[str, Any]) -> None:
        self.source = Path(job["source"])
        self.known = set(job["files"])
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
                self.opened.add(os.path.abspath(path))

    def sha256(self) -> dict[str, str]:
        """The hash of each file, by its path from the implementation's folder."""
        modules = (sys.modules[name] for name in set(sys.modules) - self.before)
        files = {getattr(module, "__file__", None) for module in modules}
        paths = {os.path.realpath(path) for path in {*files, *self.opened} if path}
        found = {}
        for path in sorted(path for path in paths - self.known if self.is_local(path)):
            with contextlib.suppress(OSError):  # it may be gone by now
                found[relative(path, self.source.parent)] = file_sha256(path)
        return found

    def is_local(self, path: str) -> bool:
        parts = path.split(os.sep)
        if "__pycache__" in parts or any(part.startswith(".") for part in parts):
            return False
        if path.startswith(_not_local()):
            return False
        return os.path.isfile(path) and os.stat(path).st_mtime < self.begun


def _not_local() -> tuple[str, ...]:
    """The folders of the system, of Python, of installed packages and of twolayer."""
    system = ("/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sys", "/usr/lib", "/usr/share")
    installed = (*sysconfig.get_paths().values(), *site.getsitepackages(), sys.prefix)
    ours = (module for name, module in sys.modules.items() if name in ("twolayer", BUILT_IN))
    twolayer = (os.path.dirname(str(module.__file__)) for module in ours)
    folders = (*system, *installed, sys.base_prefix, *twolayer)
    return tuple(os.path.join(os.path.realpath(folder), "") for folder in folders)
