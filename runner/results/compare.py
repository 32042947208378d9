"""What differs between two runs, or between the runs of two experiments."""

from __future__ import annotations

import math
import os
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError, nearest
from ..output import printable
from ..tables import Table, exact, number
from .record import Record
from .rows import Row, Stored, current, differing, grouped, named, read, row, settings_of, whole
from .store import RUNS, Store, read_run


@dataclass(frozen=True)
class Side:
    """A run, or the runs of an experiment that were not made again since."""

    runs: list[Stored]
    single: bool


def side(text: str, results: Path) -> tuple[Side, int]:
    """What a word means: an experiment, `experiment/key`, or a folder of either kind.

    Also how many folders hold no run. Raises UserError if it means nothing, or nothing whole.
    """
    text = text.rstrip("/")
    experiment, _, key = text.partition("/")
    runs = results / experiment / RUNS
    if key and "/" not in key and os.path.isdir(runs / key):
        return _one_run(text, runs / key), 0
    if "/" not in text:
        return _experiment(named(results, text))
    path = Path(text)
    if os.path.isdir(path / RUNS):
        return _experiment(Store(path.parent, path.name))
    if os.path.isdir(path):
        return _one_run(text, path), 0
    known = os.listdir(runs) if os.path.isdir(runs) else []
    raise UserError(f"{printable(text)}: is neither a run nor an experiment{nearest(key, known)}")


def _one_run(name: str, folder: Path) -> Side:
    if record := read_run(folder):
        return Side([Stored(folder, record)], single=True)
    raise UserError(f"{printable(name)}: is not the folder of a whole run")


def _experiment(store: Store) -> tuple[Side, int]:
    runs, skipped = read(store)
    if not runs:
        raise UserError(f"{store.folder}: holds no finished run")
    return Side(current(runs), single=False), skipped


Pair = tuple[Stored, Stored]
"""Two runs to be compared."""


def pairs(a: Side, b: Side) -> tuple[list[Pair], list[Stored], list[Stored]]:
    """Which runs belong together, and those of either side that have no partner.

    Two single runs do. Of experiments, runs of the same implementation and settings do, and
    where both have only one run of an implementation, these. A single run stands for an
    experiment of one.
    """
    if a.single and b.single:
        return [(a.runs[0], b.runs[0])], [], []
    left, right = (grouped(side.runs, lambda run: run.record.impl) for side in (a, b))
    found: list[Pair] = []
    for impl, ours in left.items():
        theirs = right.get(impl, [])
        if len(ours) == len(theirs) == 1:
            found.append((ours[0], theirs[0]))
        else:
            same = {settings_of(run.record): run for run in theirs}
            partners = ((run, same.get(settings_of(run.record))) for run in ours)
            found += [(run, partner) for run, partner in partners if partner]
    paired = {run.folder for pair in found for run in pair}
    alone = [[run for run in side.runs if run.folder not in paired] for side in (a, b)]
    return found, alone[0], alone[1]


def facts(record: Record) -> dict[tuple[str, str], Any]:
    """Everything recorded of a run but its times and losses, by section and name."""
    files = record.source_sha256 | record.also_loaded
    hashes = {f"sha256 of {name}": value[:10] for name, value in files.items()}
    gpu = {f"gpu {name}": value for name, value in (record.gpu or {}).items()}
    git = {f"git {name}": value for name, value in (record.git or {}).items()}
    got = {name: getattr(record, name) for name in ("device", "threads", "neighbours")}
    sections = {
        "settings": record.config,
        "versions": record.versions,
        "machine": record.machine | gpu,
        "got": got,
        "outcome": {"": record.outcome},
        "source": {"implementation": record.impl, "file": record.source} | hashes | git,
    }
    return {(place, name): own[name] for place, own in sections.items() for name in own}


def differences(a: Record, b: Record) -> list[Row]:
    """The facts that differ: section, name, and the value of either side."""
    left, right = facts(a), facts(b)
    return [
        {"section": place[0], "name": place[1], "a": left.get(place), "b": right.get(place)}
        for place in left | right
        if left.get(place) != right.get(place)
    ]


def compare_losses(a: Sequence[float], b: Sequence[float]) -> Row:
    """Compare epoch by epoch. Without any losses on either side nothing is equal.

    `first_apart` is the first epoch where they are not the same float64, or where one of them
    ends; `largest_deviation` that of |a - b| / max(|a|, |b|) where both are finite.
    """
    bits = zip(*(array("Q", array("d", losses).tobytes()) for losses in (a, b)), strict=False)
    parted = next((epoch for epoch, (x, y) in enumerate(bits) if x != y), None)
    if parted is None and len(a) != len(b):
        parted = min(len(a), len(b))
    both = ((x, y) for x, y in zip(a, b, strict=False) if math.isfinite(x) and math.isfinite(y))
    deviation = max((_deviation(x, y) for x, y in both), default=None)
    equal = bool(a) and parted is None
    return {"bit_equal": equal, "first_apart": parted, "largest_deviation": deviation}


def _deviation(x: float, y: float) -> float:
    scale = max(abs(x), abs(y))
    return abs(x / scale - y / scale) if scale else 0.0


def _quotient(a: float | None, b: float | None) -> float | None:
    return b / a if a and b is not None else None


def compared(pair: Pair) -> Row:
    """A comparison of two runs, in plain values. Reads the losses of both."""
    a, b = map(whole, pair)
    left, right = map(row, pair)
    return {
        "impl": a.impl,
        "a": left["folder"],
        "b": right["folder"],
        "outcome_a": a.outcome,
        "outcome_b": b.outcome,
        "final_loss_a": a.final_loss,
        "final_loss_b": b.final_loss,
        **compare_losses(a.losses, b.losses),
        "step_ratio": _quotient(left["step_us"], right["step_us"]),
        "train_ratio": _quotient(left["train_s"], right["train_s"]),
        "differences": differences(a, b),
    }


NUMBERS = (
    *("impl", "a", "b", "outcome_a", "outcome_b", "final_loss_a", "final_loss_b", "bit_equal"),
    *("first_apart", "largest_deviation", "step_ratio", "train_ratio"),
)
"""The columns of a comparison as CSV."""


def table(found: Sequence[Pair], about: Sequence[Row]) -> Table:
    """A row for each pair; what tells the pairs apart follows the implementation."""
    rows_a, rows_b = (list(map(row, runs)) for runs in zip(*found, strict=True))
    telling = [name for name in differing(rows_a) if name in differing(rows_b)]
    header = ["implementation", *telling, "outcomes", "losses", "parted at", "largest deviation"]
    header += ["final loss A", "final loss B", "µs/step B/A", "train s B/A"]
    body = [
        [pair["impl"], *(exact(first[name]) for name in telling), *_compared_cells(pair)]
        for first, pair in zip(rows_a, about, strict=True)
    ]
    return Table(header, body, frozenset({0, len(telling) + 1, len(telling) + 2}))


def _compared_cells(pair: Row) -> list[str]:
    outcomes = dict.fromkeys([pair["outcome_a"], pair["outcome_b"]])
    losses = "none" if pair["first_apart"] is None else "differ"
    ratios = (pair["step_ratio"], pair["train_ratio"])
    return [
        " → ".join(outcomes),
        "bit-equal" if pair["bit_equal"] else losses,
        exact(pair["first_apart"]),
        number(pair["largest_deviation"], 1),
        number(pair["final_loss_a"]),
        number(pair["final_loss_b"]),
        *("-" if ratio is None else f"{ratio:.3f}" for ratio in ratios),
    ]


def difference_table(about: Sequence[Row]) -> Table:
    """A row for each difference, and which pairs have it."""
    impls: dict[tuple[str, ...], list[str]] = {}
    for pair in about:
        for one in pair["differences"]:
            what = f"{one['section']}: {one['name']}" if one["name"] else one["section"]
            values = ("(none)" if v is None else printable(exact(v)) for v in (one["a"], one["b"]))
            impls.setdefault((what, *values), []).append(pair["impl"])
    body = [[*difference, _pairs(own, len(about))] for difference, own in impls.items()]
    return Table(["what differs", "A", "B", "in"], body, frozenset(range(4)))


def _pairs(impls: list[str], count: int) -> str:
    """Which of `count` pairs are those of some implementations, in a word or a few."""
    if len(impls) == count > 1:
        return "all"
    once = list(dict.fromkeys(impls))
    return f"{len(impls)} of {count}" if len(once) > 3 else ", ".join(once)
