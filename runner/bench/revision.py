"""Implementations as they were at a git revision, to be measured beside those of today."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import subprocess
import tarfile
from pathlib import Path

from ..config import catalogue
from ..config.plan import Run
from ..errors import UserError
from ..machine import git


def at_revision(runs: list[Run], revision: str, folder: Path) -> list[Run]:
    """The same runs with the sources of a revision, which are unpacked into `folder`.

    Raises UserError if an implementation is in no git repository, or was not there yet.
    """
    if revision.startswith("-"):
        raise UserError(f"--against {revision}: is not a revision")
    return [_at(run, revision, folder) for run in runs]


def _at(run: Run, revision: str, folder: Path) -> Run:
    source = run.implementation.source.resolve()
    root = Path(_git(source.parent, run.name, "rev-parse", "--show-toplevel").decode().strip())
    wanted = f"{revision}^{{commit}}"
    commit = _git(root, run.name, "rev-parse", "--verify", "--quiet", wanted).decode().strip()
    inside = source.relative_to(root)
    _git(root, run.name, "cat-file", "-e", f"{commit}:{inside}")
    target = folder / hashlib.sha256(os.fsencode(root)).hexdigest()[:8] / root.name
    _unpack(root, commit, inside.parent, target, run.name)
    found = catalogue.from_file(target / inside)
    implementation = dataclasses.replace(found, name=run.name)
    for path in implementation.sources.files:
        if path.is_relative_to(root) and not path.is_relative_to(target):
            raise UserError(
                f"--against {revision}: {run.name} would import {path} as it is now; put its "
                "folder on sys.path in the file itself, not by PYTHONPATH"
            )
    for name, value in run.config.values().items():
        if refusal := implementation.refusal(name, value):
            reason = refusal.of(run.name)
            raise UserError(f"--against {revision}: {name}: {reason} there (got {value})")
    return dataclasses.replace(run, implementation=implementation)


def _unpack(root: Path, commit: str, inside: Path, target: Path, name: str) -> None:
    """Unpack an implementation's folder, and all Python of a commit: whatever it may import."""
    paths = [f"{inside}"] if target.is_dir() else [f"{inside}", ":(glob)**/*.py"]
    archive = _git(root, name, "archive", "--format=tar", commit, "--", *paths)
    target.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(target, filter="data")


def _git(folder: Path, name: str, *words: str) -> bytes:
    try:
        return git(folder, *words)
    except FileNotFoundError:
        raise UserError("--against needs git, which is not installed") from None
    except subprocess.CalledProcessError as error:
        raise UserError(f"--against: {_why(name, folder, words, error)}") from None


def _why(
    name: str, folder: Path, words: tuple[str, ...], error: subprocess.CalledProcessError
) -> str:
    if "--show-toplevel" in words:
        return f"{name} is in no git repository ({folder}), so it has no revisions"
    if "--verify" in words:
        return f"{words[-1].removesuffix('^{commit}')} is not a revision of {folder}"
    if "cat-file" in words:
        return f"{name} is not there yet at that revision"
    said = error.stderr.decode(errors="replace").strip().partition("\n")[0]
    return f"{name}: git {words[0]}: {said}"
