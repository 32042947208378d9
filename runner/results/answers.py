"""What a sweep has found: the best settings, where runs diverge, how much is luck of the seed."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from ..errors import listed
from ..tables import Table, number
from .rows import Row, asked, assigned, differing, grouped, label, ok_values, shown

_PROBLEM = ("N", "D_in", "D_out")  # final losses at different values of these don't compare
_SAME = 0.01  # final losses that differ by less are called the same


@dataclass(frozen=True)
class Answer:
    """The best of each implementation, as a table and in sentences; the outcomes of all runs."""

    table: Table
    sentences: list[str]
    outcomes: Counter[str]  # the most frequent first


@dataclass(frozen=True)
class _Best:
    """What an implementation comes to at its best settings."""

    name: str
    runs: list[Row]  # all
    settings: str
    losses: list[float]  # at the best settings, of each seed that is ok
    lost: int  # how many seeds are not
    edge: tuple[str, Any] | None  # a setting, and its value from which on no run is ok


def answer(rows: Sequence[Row]) -> Answer:
    """What the runs of a sweep, given as rows (one at least), have found.

    The best settings are those with the fewest diverged seeds and then the lowest median of
    their final losses. Where the size of the problem varies, each size has its own best.
    """
    varying = differing(rows)
    sizes = [name for name in _PROBLEM if name in varying]
    groups = grouped(rows, lambda row: label(row, sizes))
    found = [_best(name, own) for name, own in groups.items()]
    tried = [*sizes, *differing(*groups.values())]
    fixed = [name for name in varying if name not in tried]
    care = f"Implementations also differ in {listed(fixed)}." if fixed else ""
    sentences = filter(None, (_best_of_all(found, sizes), care, _divergence(found), _luck(found)))
    outcomes = Counter(row["outcome"] for row in rows).most_common()
    return Answer(_table(found), list(sentences), Counter(dict(outcomes)))


def _best(name: str, rows: list[Row]) -> _Best:
    axes = [axis for axis in differing(rows) if axis != "seed"]
    groups = grouped(rows, lambda row: tuple(asked(row, axis) for axis in axes))
    best = min(groups.values(), key=_quality)
    losses = ok_values(best, "final_loss")
    settings, lost = assigned(best[0], axes) if losses else "", len(best) - len(losses)
    edges = ((axis, _edge(rows, axis)) for axis in sorted(axes, key=lambda axis: axis != "lr"))
    edge = next((edge for edge in edges if edge[1] is not None), None)
    return _Best(name, rows, settings, losses, lost, edge)


def _quality(rows: Sequence[Row]) -> tuple[float, float]:
    losses = ok_values(rows, "final_loss")
    return (_diverged(rows) / len(rows), median(losses)) if losses else (math.inf, math.inf)


def _diverged(rows: Sequence[Row]) -> int:
    return sum(row["outcome"] == "diverged" for row in rows)


def _edge(rows: Sequence[Row], axis: str) -> Any:
    """The smallest value of a numeric axis where a run diverged and from which on none is ok."""
    values = grouped(rows, lambda row: asked(row, axis))
    if not all(type(value) in (int, float) for value in values):
        return None
    last = max((v for v, own in values.items() if ok_values(own, "outcome")), default=-math.inf)
    return min((v for v, own in values.items() if v > last and _diverged(own)), default=None)


def _table(found: Sequence[_Best]) -> Table:
    """A row for each implementation, without the columns that have nothing to say."""
    rows = list(map(_line, found))
    kept = [n for n in rows[0] if any(cells[n] not in ("", "none") for cells in rows)]
    left = (i for i, name in enumerate(kept) if name not in ("ok", "final loss"))
    return Table(kept, [[cells[name] for name in kept] for cells in rows], frozenset(left))


def _line(best: _Best) -> dict[str, str]:
    losses, runs, diverged = best.losses, best.runs, _diverged(best.runs)
    edge = f"{best.edge[0]} ≥ {shown(*best.edge)}" if best.edge else f"{diverged}/{len(runs)}"
    ends = [number(pick(losses), 1) for pick in (min, max) if len(losses) > 1]
    return {
        "impl": best.name,
        "ok": f"{len(ok_values(runs, 'outcome'))}/{len(runs)}",
        "best settings": best.settings,
        "final loss": number(median(losses) if losses else None),
        "over seeds": "–".join(ends),  # noqa: RUF001
        "diverged": edge if diverged else "none",
    }


def _best_of_all(found: Sequence[_Best], sizes: Sequence[str]) -> str:
    finite = [each for each in found if each.losses]
    if not finite:
        return "No run is ok."
    if sizes:
        return f"Final losses at different {listed(sizes)} don't compare: each has a row."
    best = min(finite, key=lambda each: median(each.losses))
    loss, seeds = median(best.losses), len(best.losses)
    like = [each for each in finite if each.settings == best.settings]
    same = [each for each in like if median(each.losses) <= loss + _SAME * abs(loss)]
    over = f"the median of {seeds} seeds" if seeds > 1 else "one seed"
    ok = f"{best.lost} not ok" if best.lost else "all ok"
    settings = f" with {best.settings}" if best.settings else ""
    end = f" ({over}, {ok})" if seeds + best.lost > 1 else ""
    return f"Best: {_few(same)}{settings}, final loss {number(loss)}{end}."


def _divergence(found: Sequence[_Best]) -> str:
    if not (edges := [each.edge for each in found if each.edge]):
        diverged = sum(_diverged(each.runs) for each in found)
        return f"Diverged runs: {diverged}." if diverged else "No run diverged."
    first = min(edges)
    own = [each for each in found if each.edge == first]
    names = f" of {_few(own)}" if len(own) < len(found) else ""
    return f"From {first[0]}={shown(*first)} on no run{names} is ok."


def _luck(found: Sequence[_Best]) -> str:
    positive = (each.losses for each in found if min(each.losses, default=0) > 0)
    luck = f"{max((max(losses) / min(losses) for losses in positive), default=1):.3g}"
    if luck == "1":
        return ""
    times = f"{'up to ' if len(found) > 1 else ''}{luck} times the lowest"
    return f"Luck of the seed: at the best settings the highest loss is {times}."


def _few(found: Sequence[_Best]) -> str:
    names = [each.name for each in found]
    return listed(names if len(names) < 4 else [*names[:2], f"{len(names) - 2} others"])
