"""From what was asked to what is measured: implementations times sizes, or times revisions."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from ..config import plan
from ..config.experiment import Assignment, Experiment
from ..config.plan import Run
from ..errors import UserError, listed, nearest
from . import revision, rounds
from .measurement import Round
from .rounds import Entry

AXES = ("N", "H", "D_in", "D_out")
MOST_SIZES = 20

Load = Callable[[Sequence[Assignment]], Experiment]
"""Reads the config, with these assignments beside those of the command line."""


def parse_scale(text: str) -> tuple[str, list[int]]:
    """`N=15,60,240`, or `N=15..240` for 15, 30, 60, 120 and 240, as an axis and its sizes."""
    axis, equals, values = text.partition("=")
    axis = axis.strip()
    if not equals or axis not in AXES:
        hint = nearest(axis, AXES)
        raise UserError(
            f"--scale: must be {listed(AXES, 'or')} with sizes, like N=15..960 or "
            f"N=60,120,240 (got {text!r}){hint}"
        )
    sizes = _doubling(values) if ".." in values else _listed(values)
    if (
        not sizes
        or sorted(set(sizes)) != sizes
        or sizes[0] < 1
        or not 2 <= len(sizes) <= MOST_SIZES
    ):
        raise UserError(
            f"--scale: {axis} must have 2 to {MOST_SIZES} sizes from 1 up, each larger than the "
            f"one before (got {values.strip()!r})"
        )
    return axis, sizes


def _doubling(values: str) -> list[int]:
    match = re.fullmatch(r"\s*(\d{1,12})\s*\.\.\s*(\d{1,12})\s*", values)
    if not match:
        return []
    size, last = int(match[1]), int(match[2])
    sizes = []
    while 0 < size <= last:
        sizes.append(size)
        size *= 2
    return sizes


def _listed(values: str) -> list[int]:
    words = [word.strip() for word in values.split(",")]
    return [int(word) for word in words] if all(re.fullmatch(r"\d{1,12}", w) for w in words) else []


def plain(load: Load) -> list[Entry]:
    """Every implementation with its settings."""
    return [_entry(run) for run in plan.make(load([]))]


def scaled(load: Load, axis: str, sizes: Sequence[int]) -> list[Entry]:
    """Every implementation at every size."""
    return [
        _entry(run, size=size)
        for size in sizes
        for run in plan.make(load([Assignment("", axis, str(size), "--scale")]))
    ]


def with_revision(load: Load, name: str, folder: Path) -> list[Entry]:
    """Every implementation as it is, and as it was at a git revision, unpacked into `folder`."""
    runs = plan.make(load([]))
    there = [run for run in runs if not run.missing]
    twins = revision.at_revision(there, name, folder)
    return [
        *(_entry(run) for run in runs),
        *(_entry(run, label=f"{run.name}@{name}", revision=name) for run in twins),
    ]


def _entry(run: Run, **about: object) -> Entry:
    entry = rounds.entry(run, **about)  # type: ignore[arg-type]  # label, revision or size
    if run.missing:
        error = {"type": "NotInstalled", "message": run.missing, "traceback": None}
        entry.cell.rounds.append(Round(0, 0, outcome="failed", error=error))
    return entry


def baseline_label(entries: Sequence[Entry], asked: str | None) -> str:
    """The implementation that ratios are to: the one asked for, else the first that can run."""
    labels = [each.cell.label for each in entries]
    if asked is not None and asked not in labels:
        hint = nearest(asked, labels) or f"; measured are {', '.join(dict.fromkeys(labels))}"
        raise UserError(f"--over: {asked} is not among those measured{hint}")
    able = [each.cell.label for each in entries if not each.run.missing]
    return asked or (able or labels)[0]
