"""What charts and reports are made from: the runs of an experiment that count, with labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ..bench.measurement import Bench
from ..config import catalogue
from ..errors import UserError, listed, nearest
from ..results import rows as results
from ..results.answers import Answer, answer
from ..results.query import Condition
from ..results.record import Record
from ..results.rows import Row, by_impl, counted, differing, grouped, labels, row
from ..results.store import Store
from ..verify.stored import Judged, Step, judge_stored
from .chart import Look, looks

MOST_CURVES = 12  # more can't be told apart
MOST_PICKED = 8  # curves that stand for a sweep

WORDS = (("best",), ("best", "worst"), ("best", "middle", "worst"))
"""What is shown of an implementation with many runs, where there is room for 1, 2 or 3."""


@dataclass(frozen=True)
class Material:
    """The runs of an experiment, one for each implementation and settings.

    Attributes:
        runs: in the order of the lesson, then of their settings.
        left_out: a sentence for each kind of runs that are not among them.
        bench: the newest bench, if there is one.
        step: told how far the judging of runs is.
    """

    store: Store
    runs: list[Record]
    left_out: list[str]
    bench: Bench | None
    step: Step

    @property
    def name(self) -> str:
        return self.store.folder.name

    @cached_property
    def rows(self) -> list[Row]:
        """The runs as flat rows, in their order."""
        return [row(run) for run in self.runs]

    @cached_property
    def varied(self) -> list[str]:
        """The settings that were swept: those that differ among runs of one implementation."""
        varying = map(differing, by_impl(self.rows).values())
        return list(dict.fromkeys(name for names in varying for name in names))

    @cached_property
    def answer(self) -> Answer | None:
        """What a sweep has found; None if nothing was varied."""
        return answer(self.rows) if self.varied else None

    @cached_property
    def impls(self) -> dict[str, str]:
        """The implementations and their frameworks."""
        return {run.impl: run.framework for run in self.runs}

    # --- what runs are called

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
        words = WORDS[min(3, max(1, MOST_PICKED // len(groups))) - 1]
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
        picked = ((word, ranked[places[word]]) for word in words)
        return [(f"{self.label(run)} ({word})", run) for word, run in picked]

    @cached_property
    def looks(self) -> dict[str, Look]:
        drawn, _ = self.selection
        impls = {name: run.impl for name, run in drawn.items()}
        return looks({name: run.framework for name, run in drawn.items()}, impls)

    @cached_property
    def judged(self) -> dict[str, Judged]:
        """The drawn runs, each judged or with the reason why not; this takes a while."""
        drawn, _ = self.selection
        return dict(zip(drawn, judge_stored([*drawn.values()], self.step), strict=True))

    @cached_property
    def judged_epochs(self) -> int:
        """How many epochs are judged of runs that are longer; 0 if all are."""
        drawn, _ = self.selection
        gates = ((drawn[name], each.gate) for name, each in self.judged.items() if each.gate)
        return min((g.epochs for run, g in gates if g.epochs < run.epochs_done), default=0)


def gather(
    store: Store,
    bench: Bench | None,
    *,
    everything: bool = False,
    where: Condition | None = None,
    impls: Sequence[str] = (),
    step: Step = lambda done, total: None,
) -> Material:
    """Read the latest call of an experiment, or `everything`; of it, what fits `where` and `impls`.

    Raises UserError if that leaves nothing.
    """
    attempts, skipped = store.read()
    chosen, others = results.selected(attempts, everything=everything)
    runs = _chosen(results.current(chosen), where, impls, store.folder.name)
    lesson = [each.name for each in catalogue.installed()]
    order = list(dict.fromkeys([*lesson, *(run.impl for run in runs)]))
    runs.sort(key=lambda run: (order.index(run.impl), _sortable(run)))
    places = {(run.impl, results.settings_of(run)) for run in runs}
    earlier = sum((run.impl, results.settings_of(run)) in places for run in attempts) - len(runs)
    notes = (
        (others, results.left_out(others, store.folder.name)),
        (earlier, f"{counted(earlier, 'attempt', 'attempts')} at runs that were made again"),
        (skipped, counted(skipped, "folder is not a whole run", "folders are no whole runs")),
    )
    return Material(store, runs, [note for count, note in notes if count], bench, step)


def _chosen(
    runs: Sequence[Record], where: Condition | None, impls: Sequence[str], experiment: str
) -> list[Record]:
    known = list(dict.fromkeys(run.impl for run in runs))
    for impl in impls:
        if impl not in known:
            hint = nearest(impl, known) or f"; there are {listed(known)}"
            raise UserError(f"--impl {impl}: {experiment} has no run of it{hint}")
    own = [run for run in runs if not impls or run.impl in impls]
    fitting = [run for run in own if where is None or where(row(run))]
    if runs and not fitting:
        raise UserError(f"--where: fits none of the {len(runs)} runs of {experiment}")
    return fitting


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
