"""What charts and reports are made from: the runs of an experiment that count, with labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ..bench.measurement import Bench
from ..config import catalogue
from ..errors import listed
from ..output import printable
from ..results.record import Record
from ..results.rows import Row, by_impl, current, differing, grouped, labels, row, shown
from ..results.store import Store
from ..verify.stored import Judged, judge
from .chart import Look, looks

MOST_CURVES = 12  # more can't be told apart

WORDS = (("best",), ("best", "worst"), ("best", "middle", "worst"))
"""What is shown of an implementation with many runs, where there is room for 1, 2 or 3."""


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

    # --- what runs are called

    def settings(self, run: Record) -> str:
        """Those in which a run differs from others of its implementation: `lr=1e-05 seed=2`."""
        own = row(run)
        return " ".join(f"{n}={shown(n, own[n])}" for n in self._varying[run.impl])

    @cached_property
    def labels(self) -> dict[str, str]:
        """What each run is called, by its folder: `sgd`, or `sgd lr=1e-05` among several."""
        folders = (run.folder.name for run in self.runs)
        return dict(zip(folders, labels(self.runs), strict=True))

    def label(self, run: Record) -> str:
        return self.labels[run.folder.name]

    # --- runs to draw

    @cached_property
    def selection(self) -> tuple[dict[str, Record], str]:
        """The runs to draw by the names of their curves, and a note if that is not all."""
        if len(self.runs) <= MOST_CURVES:
            return {self.label(run): run for run in self.runs}, ""
        groups = grouped(self.runs, lambda run: run.impl).values()
        words = WORDS[min(3, max(1, MOST_CURVES // len(groups))) - 1]
        picked = [named for own in groups for named in self._picked(own, words)]
        of = "each implementation"
        if len(groups) > MOST_CURVES:
            picked = sorted(picked, key=lambda named: _by_loss(named[1]))[:MOST_CURVES]
            of = f"the {MOST_CURVES} best of {len(groups)} implementations"
        note = f"{len(picked)} of {len(self.runs)} runs: the {listed(words)} of {of}"
        return dict(picked), f"{note}, by final loss; diverged ones come last."

    def _picked(self, runs: Sequence[Record], words: Sequence[str]) -> list[tuple[str, Record]]:
        """Those of an implementation's runs that the words name; all if there are no more."""
        if len(runs) <= len(words):
            return [(self.label(run), run) for run in runs]
        ranked = sorted(runs, key=_by_loss)
        places = {"best": 0, "middle": (len(ranked) - 1) // 2, "worst": -1}
        return [(f"{printable(runs[0].impl)} {word}", ranked[places[word]]) for word in words]

    def title(self, name: str) -> str:
        """What a drawn run is called in tables, where there is room for its settings."""
        run = self.selection[0][name]
        return name if name == self.label(run) else f"{name}: {self.settings(run)}"

    @cached_property
    def looks(self) -> dict[str, Look]:
        return looks({name: run.framework for name, run in self.selection[0].items()})

    @cached_property
    def judged(self) -> dict[str, Judged]:
        """The drawn runs, each judged or with the reason why not; this takes a while."""
        drawn, _ = self.selection
        return dict(zip(drawn, judge([*drawn.values()]), strict=True))


def gather(store: Store, bench: Bench | None) -> Material:
    """Read an experiment."""
    attempts, skipped = store.read()
    runs = current(attempts)
    lesson = [each.name for each in catalogue.installed()]
    order = list(dict.fromkeys([*lesson, *(run.impl for run in runs)]))
    runs.sort(key=lambda run: (order.index(run.impl), _sortable(run)))
    return Material(store, runs, len(attempts) - len(runs), skipped, bench)


def _sortable(run: Record) -> list[tuple[bool, float | str]]:
    """Settings in a form that sorts: numbers by their size, before words."""
    return [
        (False, v) if isinstance(v, int | float) else (True, str(v)) for v in run.config.values()
    ]


def _by_loss(run: Record) -> tuple[bool, float]:
    """Sorts runs: ok ones by final loss, then those that got farther before they ended."""
    if run.outcome == "ok" and run.final_loss is not None:
        return False, run.final_loss
    return True, -float(run.epochs_done)
