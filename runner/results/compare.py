"""What differs between two runs, or between the runs of two experiments."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError, listed, nearest
from ..output import printable
from ..tables import Table, exact, number
from .record import Record
from .rows import Row, by_impl, current, differing, grouped, row, settings_of
from .store import RUNS, Store, find_stores, loaded, read_summary, whole

Pair = tuple[Record, Record]


@dataclass(frozen=True)
class Side:
    """A run, or the runs of an experiment that were not made again since."""

    runs: list[Record]
    single: bool = False
    skipped: int = 0  # folders that hold no run


def side(text: str, results: Path) -> Side:
    """The runs of an experiment, of `experiment/key` or of a folder. Raises UserError if none."""
    text = text.rstrip("/")
    experiment, _, key = text.partition("/")
    if not key:
        return _experiment(*find_stores(text, results))
    runs = results / experiment / RUNS
    folder = runs / key if "/" not in key and os.path.isdir(runs / key) else Path(text)
    if os.path.isdir(folder / RUNS):
        return _experiment(Store(folder.parent, folder.name))
    if not os.path.isdir(folder):
        hint = nearest(key, os.listdir(runs) if os.path.isdir(runs) else [])
        raise UserError(f"{printable(text)}: is neither a run nor an experiment{hint}")
    if (summary := read_summary(folder)) and (run := loaded(summary)):
        return Side([run], single=True)
    raise UserError(f"{printable(text)}: is not the folder of a whole run")


def _experiment(store: Store) -> Side:
    runs, skipped = store.read()
    if not runs:
        raise UserError(f"{store.folder}: holds no finished run")
    return Side(current(runs), skipped=skipped)


def pairs(a: Side, b: Side) -> tuple[list[Pair], list[Record], list[Record]]:
    """Which runs belong together, and those of either side that have no partner.

    Those of the same implementation and settings do, or if both have only one of it, these.
    """
    if a.single and b.single:
        return [(a.runs[0], b.runs[0])], [], []
    theirs = grouped(b.runs, lambda run: run.impl)
    paired: list[Pair] = []
    for impl, left in grouped(a.runs, lambda run: run.impl).items():
        right = theirs.get(impl, [])
        single = len(left) == len(right) == 1
        same = {() if single else settings_of(run): run for run in right}
        keys = ((run, () if single else settings_of(run)) for run in left)
        paired += [(run, same[key]) for run, key in keys if key in same]
    folders = {run.folder for pair in paired for run in pair}
    alone = [[run for run in side.runs if run.folder not in folders] for side in (a, b)]
    return paired, alone[0], alone[1]


def _recorded(run: Record) -> dict[tuple[str, str], Any]:
    """Everything recorded of a run but its times and losses, by section and name."""
    files = run.source_sha256 | run.also_loaded
    sections: dict[str, dict[str, Any]] = {
        "settings": run.config,
        "versions": run.versions,
        "machine": run.machine | {f"gpu {name}": value for name, value in (run.gpu or {}).items()},
        "got": {name: getattr(run, name) for name in ("device", "threads", "neighbours")},
        "outcome": {"": run.outcome},
        "source": {"implementation": run.impl, "file": run.source}
        | {f"sha256 of {name}": value[:10] for name, value in files.items()}
        | {f"git {name}": value for name, value in (run.git or {}).items()},
    }
    return {(section, name): own[name] for section, own in sections.items() for name in own}


def _differences(a: Record, b: Record) -> list[Row]:
    """The facts that differ: section, name, and the value of either side."""
    left, right = _recorded(a), _recorded(b)
    sides = [
        {"section": fact[0], "name": fact[1], "a": left.get(fact), "b": right.get(fact)}
        for fact in left | right
    ]
    return [fact for fact in sides if fact["a"] != fact["b"]]


def compare_losses(a: Sequence[float], b: Sequence[float]) -> Row:
    """Compare epoch by epoch. Without any losses on either side nothing is equal.

    `first_apart` is the first epoch where they are not the same float64, or where one of them
    ends, and `shared` how many both have; `largest_deviation` that of |a - b| / max(|a|, |b|)
    where both are finite.
    """
    both = list(zip(a, b, strict=False))
    end = None if len(a) == len(b) else len(both)
    apart = next((epoch for epoch, (x, y) in enumerate(both) if x.hex() != y.hex()), end)
    deviations = (_deviation(x, y) for x, y in both if math.isfinite(x) and math.isfinite(y))
    return {
        "bit_equal": bool(a) and apart is None,
        "first_apart": apart,
        "shared": len(both),
        "largest_deviation": max(deviations, default=None),
    }


def _deviation(x: float, y: float) -> float:
    scale = max(abs(x), abs(y))
    return abs(x / scale - y / scale) if scale else 0.0  # x - y might overflow


def _quotient(a: float | None, b: float | None) -> float | None:
    return b / a if a and b is not None else None


def compared(pair: Pair) -> Row:
    """A comparison of two runs, in plain values. Reads the losses of both."""
    a, b = map(whole, pair)
    return {
        "impl": a.impl,
        "a": a.folder.name,
        "b": b.folder.name,
        "outcome_a": a.outcome,
        "outcome_b": b.outcome,
        "final_loss_a": a.final_loss,
        "final_loss_b": b.final_loss,
        **compare_losses(a.losses, b.losses),
        "step_ratio": _quotient(a.step_us_median, b.step_us_median),
        "train_ratio": _quotient(a.train_s, b.train_s),
        "differences": _differences(a, b),
    }


def table(pairs: Sequence[Pair], comparisons: Sequence[Row]) -> Table:
    """A row for each pair; what tells the pairs apart follows the implementation."""
    rows_a, rows_b = (list(map(row, runs)) for runs in zip(*pairs, strict=True))
    own = differing(*by_impl(rows_a).values())
    telling = [name for name in differing(rows_b) if name in own]
    equal = all(pair["bit_equal"] for pair in comparisons)
    body = []
    for first, pair in zip(rows_a, comparisons, strict=True):
        outcomes = dict.fromkeys([pair["outcome_a"], pair["outcome_b"]])
        final_a, final_b = (number(pair[f"final_loss_{side}"]) for side in "ab")
        deviation = number(pair["largest_deviation"], 1)
        apart = {"deviation": deviation, "final A": final_a, "final B": final_b}
        body.append(
            {"impl": pair["impl"]}
            | {name: exact(first[name]) for name in telling}
            | {"outcomes": " → ".join(outcomes) if [*outcomes] != ["ok"] else ""}
            | {"losses": f"{_losses(pair)} {exact(pair['first_apart'])}".strip()}
            | ({"final loss": final_a} if equal else apart)
            | {"µs/step B/A": "-" if pair["step_ratio"] is None else f"{pair['step_ratio']:.3f}"}
        )
    header = [name for name in body[0] if any(cells[name] for cells in body)]
    left = frozenset(i for i, n in enumerate(header) if n in ("impl", "outcomes", "losses"))
    rows = [[cells[name] for name in header] for cells in body]
    return Table(header, rows, left, optional=[len(header) - 1])


def _losses(pair: Row) -> str:
    """How the losses of a pair compare; an epoch may follow."""
    if pair["first_apart"] is None:
        return "bit-equal" if pair["bit_equal"] else "none"
    return "bit-equal for" if 0 < pair["shared"] == pair["first_apart"] else "differ from"


def conclusion(comparisons: Sequence[Row]) -> str:
    """`The losses are bit-equal.`, or of several pairs how many are."""
    parts = []
    for losses, pairs in grouped(comparisons, _losses).items():
        epochs = [pair["first_apart"] or 0 for pair in pairs]
        deviation = number(max(pair["largest_deviation"] or 0 for pair in pairs), 1)
        text = {
            "bit-equal": "bit-equal",
            "bit-equal for": f"bit-equal over the {min(epochs):,} epochs that both have",
            "differ from": f"different from epoch {min(epochs):,} on, by up to {deviation}",
            "none": "missing",
        }[losses]
        names = list(dict.fromkeys(pair["impl"] for pair in pairs))
        parts.append(f"{len(pairs)} {text}{f' ({listed(names)})' if len(names) < 4 else ''}")
    if len(parts) == 1:
        of_all = f"of all {len(pairs)} pairs " if len(pairs) > 1 else ""
        return f"The losses {of_all}are {text}."
    return f"Losses of {len(comparisons)} pairs: {', '.join(parts)}."


def difference_table(comparisons: Sequence[Row]) -> Table:
    """A row for each difference, and which pairs have it."""
    impls: dict[tuple[str, ...], list[str]] = {}
    for pair in comparisons:
        for fact in pair["differences"]:
            what = f"{fact['section']}: {fact['name']}" if fact["name"] else fact["section"]
            sides = (fact["a"], fact["b"])
            values = ("(none)" if v is None else printable(exact(v)) for v in sides)
            impls.setdefault((what, *values), []).append(pair["impl"])
    body, count = [], len(comparisons)
    for fact, own in impls.items():
        once = list(dict.fromkeys(own))
        few = f"{len(own)} of {count}" if len(once) > 3 else ", ".join(once)
        body.append([*fact, "all" if len(own) == count > 1 else few][: 3 + (count > 1)])
    header = ["what differs", "A", "B", "in"][: 3 + (count > 1)]
    return Table(header, body, frozenset(range(4)))
