"""Import an implementation in the process that trains it, and note the files that it loads."""

import contextlib
import importlib
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import find_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from ..config.catalogue import BUILT_IN
from ..config.sources import INSTALLED, file_sha256, relative
from ..errors import UserError
from .contract import ContractError

SYSTEM = ("/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sys", "/usr")


def load_module(job: dict[str, Any]) -> ModuleType:
    """Import the implementation of a job; raises what its import raises.

    Its local modules come from where its source says that they are; after those, a file finds
    what else is beside it. It sees no arguments but its own name.
    """
    source = job["source"]
    sys.argv = [source]
    name = job["module"] or Path(source).stem
    while not job["module"] and (name in sys.modules or find_spec(name)):
        name += "_"  # a file torch.py is not torch
    sys.meta_path.insert(0, _Local(job["roots"], {} if job["module"] else {name: source}))
    if not job["installed"]:
        sys.path.append(os.path.dirname(source))
    module = importlib.import_module(name)
    for path, (file, sha256) in zip(job["files"], job["sha256"].items(), strict=True):
        if file_sha256(path) != sha256:
            raise UserError(f"{file} was edited after this command began; call it again")
    if not callable(getattr(module, "train", None)):
        raise ContractError("the file has no function train(cfg)")
    return module


class _Local:
    """Finds modules in their `roots` or `files`, by name, before anything installed so called."""

    def __init__(self, roots: dict[str, str], files: dict[str, str]) -> None:
        self.roots, self.files = roots, files

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: Any = None
    ) -> ModuleSpec | None:
        if file := self.files.get(name):
            return spec_from_file_location(name, file, loader=_FromSource(name, file))
        root = self.roots.get(name.partition(".")[0])
        spec = PathFinder.find_spec(name, path or [root], target) if root else None
        if spec and spec.origin and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _FromSource(name, spec.origin)
        return spec


class _FromSource(SourceFileLoader):
    """Compiles the file that is there, as it was hashed: a .pyc can be of an earlier one."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class Loaded:
    """The local files that a run loads although its source does not show it: modules and data.

    What is installed or was made by the run itself is not local; nor is what is hidden or
    temporary, unless the implementation is there, too.
    """

    def __init__(self, job: dict[str, Any]) -> None:
        self.folder = os.path.dirname(job["source"])
        self.known = {os.path.realpath(path) for path in job["files"]}
        self.tree = os.path.join(os.path.commonpath(map(os.path.dirname, self.known)), "")
        self.modules = set(sys.modules)
        self.opened: set[str] = set()
        self.begun = time.time()
        if not job["built_in"]:  # those are known, and a hook takes time
            sys.addaudithook(self._note)

    def _note(self, event: str, args: tuple[Any, ...]) -> None:
        """Take note of a file that is opened to be read."""
        if event == "open" and isinstance(args[0], str) and not args[2] & os.O_ACCMODE:
            with contextlib.suppress(OSError):  # the working folder may be gone
                self.opened.add(os.path.abspath(args[0]))

    def sha256(self) -> dict[str, str]:
        """The hash of each file, by its path: from the implementation's folder, if in its tree."""
        modules = [sys.modules[name] for name in set(sys.modules) - self.modules]
        files = [getattr(module, "__dict__", {}).get("__file__") for module in modules]
        paths = {os.path.realpath(p) for p in (*self.opened, *files) if isinstance(p, str)}
        hashes = {}
        for path in sorted(paths - self.known):
            inside = path.startswith(self.tree)
            with contextlib.suppress(OSError):  # it may be gone by now
                if self._is_local(path, inside):
                    hashes[relative(path, self.folder) if inside else path] = file_sha256(path)
        return hashes

    def _is_local(self, path: str, inside: bool) -> bool:
        """Whether a file is neither hidden, installed, temporary nor newer than the run."""
        ours = [sys.modules[name] for name in ("twolayer", BUILT_IN) if name in sys.modules]
        foreign = [sys.prefix, sys.base_prefix, *(os.path.dirname(str(m.__file__)) for m in ours)]
        if not inside:
            foreign += [*SYSTEM, tempfile.gettempdir()]
        parts = path.removeprefix(self.tree).split(os.sep)
        return (
            not any(part.startswith(".") or part in (*INSTALLED, "__pycache__") for part in parts)
            and not any(Path(path).is_relative_to(os.path.realpath(folder)) for folder in foreign)
            and os.path.isfile(path)
            and os.stat(path).st_mtime < self.begun
        )
