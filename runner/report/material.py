"""What charts and reports are made from: the runs of an experiment that count, with labels."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from ..bench.measurement import Bench
from ..config import catalogue
from ..output import printable
from ..results.record import Record
from ..results.rows import Row, by_impl, current, differing, read, row, shown
from ..results.store import Store


@dataclass(frozen=True)
class Material:
    """The runs of an experiment, one for each implementation and settings.

    Attributes:
        runs: in the order of the lesson, then of their settings.
        earlier: how many attempts at the same were left out for a later one.
        skipped: how many folders hold no whole run.
        bench: the newest bench, if there is one.
    """

    store: Store
    runs: list[Record]
    earlier: int = 0
    skipped: int = 0
    bench: Bench | None = None

    @property
    def name(self) -> str:
        return self.store.folder.name

    @cached_property
    def rows(self) -> list[Row]:
        """The runs as flat rows, in their order."""
        return [row(run) for run in self.runs]

    @cached_property
    def labels(self) -> dict[str, str]:
        """What each run is called, by its folder: `sgd`, or `sgd lr=1e-05` among several."""
        names = {
            run.folder.name: f"{printable(run.impl)} {self.settings(run)}".strip()
            for run in self.runs
        }
        counts = Counter(names.values())
        return {
            folder: label if counts[label] == 1 else f"{label} ({folder})"
            for folder, label in names.items()
        }

    def label(self, run: Record) -> str:
        return self.labels[run.folder.name]

    def settings(self, run: Record) -> str:
        """Those in which a run differs from others of its implementation: `lr=1e-05 seed=2`."""
        own = row(run)
        return " ".join(f"{n}={shown(n, own[n])}" for n in self._varying[run.impl])

    @cached_property
    def _varying(self) -> dict[str, list[str]]:
        """The settings that differ among the runs of each implementation."""
        return {impl: differing(rows) for impl, rows in by_impl(self.rows).items()}

    @cached_property
    def varied(self) -> list[str]:
        """The settings that were swept: those that differ among runs of one implementation."""
        return list(dict.fromkeys(name for names in self._varying.values() for name in names))

    @cached_property
    def impls(self) -> dict[str, str]:
        """The implementations and their frameworks."""
        return {run.impl: run.framework for run in self.runs}


def gather(store: Store, bench: Bench | None) -> Material:
    """Read an experiment."""
    attempts, skipped = read(store)
    runs = current(attempts)
    lesson = [each.name for each in catalogue.installed()]
    places = dict.fromkeys([*lesson, *(run.impl for run in runs)])
    order = {name: place for place, name in enumerate(places)}
    runs.sort(key=lambda run: (order[run.impl], _sortable(run)))
    return Material(store, runs, len(attempts) - len(runs), skipped, bench)


def _sortable(record: Record) -> list[tuple[bool, float, str]]:
    """Settings in a form that sorts: numbers by their size, before words."""
    return [
        (False, float(value), "") if isinstance(value, int | float) else (True, 0.0, str(value))
        for value in record.config.values()
    ]
