"""What a sweep has found: the best settings, where runs diverge, how much is luck of the seed."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from ..errors import listed
from ..output import printable
from ..tables import Table, number
from .rows import Row, asked, differing, grouped, ok_values, shown

_PROBLEM = ("N", "D_in", "D_out")  # final losses at different values of these don't compare


@dataclass(frozen=True)
class Answer:
    """The best of each implementation, as a table and in sentences; the outcomes of all runs."""

    table: Table
    sentences: list[str]
    outcomes: Counter[str]


@dataclass(frozen=True)
class _Best:
    """What an implementation comes to at its best settings."""

    name: str
    runs: list[Row]  # all
    settings: str
    losses: list[float]  # at the best settings, of each seed that is ok
    edge: tuple[str, Any] | None  # a setting, and its value from which on no run is ok

    @property
    def luck(self) -> float:
        """How many times the highest loss is of the lowest; 0 if nobody knows."""
        several = len(self.losses) > 1 and min(self.losses) > 0
        return max(self.losses) / min(self.losses) if several else 0


def answer(rows: Sequence[Row]) -> Answer:
    """What the runs of a sweep, given as rows (one at least), have found.

    The best settings are those with the fewest diverged seeds and then the lowest median of
    their final losses. Where the size of the problem varies, each size has its own best.
    """
    sizes = [name for name in _PROBLEM if name in differing(rows)]
    groups = grouped(rows, lambda row: (row["impl"], _settings(row, sizes)))
    found = [_best(" ".join(filter(None, name)), own) for name, own in groups.items()]
    sentences = filter(None, (_lowest(found, sizes), _divergence(found), _luck(found)))
    return Answer(_table(found), list(sentences), Counter(row["outcome"] for row in rows))


def _settings(row: Row, names: Iterable[str]) -> str:
    return printable(" ".join(f"{name}={shown(name, asked(row, name))}" for name in names))


def _best(name: str, rows: list[Row]) -> _Best:
    axes = [axis for axis in differing(rows) if axis != "seed"]
    groups = grouped(rows, lambda row: _settings(row, axes))
    settings = min(groups, key=lambda settings: _rank(groups[settings]))
    losses = ok_values(groups[settings], "final_loss")
    edges = ((axis, _edge(rows, axis)) for axis in sorted(axes, key=lambda axis: axis != "lr"))
    edge = next((edge for edge in edges if edge[1] is not None), None)
    return _Best(printable(name), rows, settings if losses else "", losses, edge)


def _rank(rows: Sequence[Row]) -> tuple[float, float]:
    losses = ok_values(rows, "final_loss")
    return (_diverged(rows) / len(rows), median(losses)) if losses else (math.inf, math.inf)


def _diverged(rows: Sequence[Row]) -> int:
    return sum(row["outcome"] == "diverged" for row in rows)


def _edge(rows: Sequence[Row], axis: str) -> Any:
    """The smallest value of a numeric axis where a run diverged and from which on none is ok."""
    values = grouped(rows, lambda row: asked(row, axis))
    if any(isinstance(value, bool | str) for value in values):
        return None
    last = max((v for v, own in values.items() if ok_values(own, "outcome")), default=-math.inf)
    return min((v for v, own in values.items() if v > last and _diverged(own)), default=None)


def _table(found: Sequence[_Best]) -> Table:
    """A row for each implementation, without the columns that have nothing to say."""
    rows = list(map(_cells, found))
    kept = [n for n in rows[0] if any(cells[n] not in ("", "none") for cells in rows)]
    left = (i for i, name in enumerate(kept) if name not in ("ok", "final loss"))
    return Table(kept, [[cells[name] for name in kept] for cells in rows], frozenset(left))


def _cells(best: _Best) -> dict[str, str]:
    losses, runs, diverged = best.losses, best.runs, _diverged(best.runs)
    ends = "–".join(number(pick(losses), 1) for pick in (min, max) if len(losses) > 1)  # noqa: RUF001
    edge = f"{best.edge[0]} ≥ {shown(*best.edge)}" if best.edge else f"{diverged}/{len(runs)}"
    return {
        "impl": best.name,
        "ok": f"{len(ok_values(runs, 'outcome'))}/{len(runs)}",
        "best settings": best.settings,
        "final loss": number(median(losses) if losses else None),
        "over seeds": ends,
        "diverged": edge if diverged else "none",
    }


# --- in sentences


def _lowest(found: Sequence[_Best], sizes: Sequence[str]) -> str:
    finite = [each for each in found if each.losses]
    if not finite:
        return "No run is ok."
    if sizes:
        return f"Final losses at different {listed(sizes)} don't compare: each has its own best."
    best = min(finite, key=lambda each: median(each.losses))
    loss, seeds = number(median(best.losses)), len(best.losses)
    same = [e for e in finite if (number(median(e.losses)), e.settings) == (loss, best.settings)]
    over = f" (the median of {seeds} seeds)" if seeds > 1 else ""
    settings = f" with {best.settings}" if best.settings else ""
    return f"Lowest final loss: {loss}{over} by {_names(same)}{settings}."


def _divergence(found: Sequence[_Best]) -> str:
    if not (edges := [each.edge for each in found if each.edge]):
        counts = sum(_diverged(each.runs) for each in found), sum(len(e.runs) for e in found)
        return "{} of {} runs diverged.".format(*counts) if counts[0] else "No run diverged."
    first = min(edges)
    own = [each for each in found if each.edge == first]
    edge = f"From {first[0]}={shown(*first)} on no run"
    if len(own) == len(found):
        return f"{edge} is ok."
    return f"{edge} of {_names(own)} is ok; the others hold longer."


def _luck(found: Sequence[_Best]) -> str:
    best = max(found, key=lambda each: each.luck)
    if not best.luck:
        return ""
    whose = f" (most in {best.name})" if len(found) > 1 else ""
    times = f"{best.luck:.3g} times the lowest{whose}"
    return f"Luck of the seed: with the best settings the highest final loss is {times}."


def _names(found: Sequence[_Best]) -> str:
    names = [each.name for each in found]
    return listed(names if len(names) < 4 else [*names[:2], f"{len(names) - 2} others"])
