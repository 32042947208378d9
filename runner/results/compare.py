"""What differs between two runs, or between the runs of two experiments."""

from __future__ import annotations

import math
import os
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import UserError, nearest
from ..output import printable
from ..tables import Table, number
from .record import Record
from .rows import Row, Stored, current, differing, exact, named, read, row, settings_of
from .store import RUNS, Store, read_run

_ABSENT = "(none)"


@dataclass(frozen=True)
class Side:
    """What is compared: a run, or the runs of an experiment that were not made again since."""

    name: str
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
        return _single(text, runs / key), 0
    if "/" not in text:
        return _experiment(text, named(results, text))
    path = Path(text)
    if os.path.isdir(path / RUNS):
        return _experiment(text, Store(path.parent, path.name))
    if os.path.isdir(path):
        return _single(text, path), 0
    known = os.listdir(runs) if os.path.isdir(runs) else []
    raise UserError(f"{printable(text)}: is neither a run nor an experiment{nearest(key, known)}")


def _single(name: str, folder: Path) -> Side:
    record = read_run(folder)
    if record is None:
        raise UserError(f"{printable(name)}: is not the folder of a whole run")
    return Side(name, [Stored(folder, record)], single=True)


def _experiment(name: str, store: Store) -> tuple[Side, int]:
    runs, skipped = read(store)
    if not runs:
        raise UserError(f"{store.folder}: holds no finished run")
    return Side(name, current(runs), single=False), skipped


@dataclass(frozen=True)
class Pair:
    """Two runs to be compared, with their losses."""

    a: Stored
    b: Stored


def pairs(a: Side, b: Side) -> tuple[list[Pair], list[Stored], list[Stored]]:
    """Which runs belong together, and those of either side that have no partner.

    Two single runs do. Of experiments, runs of the same implementation and settings do, and
    where both have only one run of an implementation, these. A single run stands for an
    experiment of one.
    """
    if a.single and b.single:
        return [Pair(a.runs[0], b.runs[0])], [], []
    left, right = _by_impl(a.runs), _by_impl(b.runs)
    found: list[Pair] = []
    for impl, ours in left.items():
        theirs = right.get(impl, [])
        if len(ours) == len(theirs) == 1:
            found.append(Pair(ours[0], theirs[0]))
        else:
            same = {settings_of(run.record): run for run in theirs}
            partners = ((run, same.get(settings_of(run.record))) for run in ours)
            found += [Pair(run, partner) for run, partner in partners if partner]
    paired = {run.folder for pair in found for run in (pair.a, pair.b)}
    only_a = [run for run in a.runs if run.folder not in paired]
    return found, only_a, [run for run in b.runs if run.folder not in paired]


def _by_impl(runs: Iterable[Stored]) -> dict[str, list[Stored]]:
    groups: dict[str, list[Stored]] = {}
    for run in runs:
        groups.setdefault(run.record.impl, []).append(run)
    return groups


# --- what differs


Facts = dict[tuple[str, str], Any]


def facts(record: Record) -> Facts:
    """What a run was made of and made on, by section and name."""
    found: Facts = {("settings", name): value for name, value in record.config.items()}
    found |= {("versions", name): value for name, value in record.versions.items()}
    found |= {("machine", name): value for name, value in record.machine.items()}
    found |= {("machine", f"gpu {name}"): value for name, value in (record.gpu or {}).items()}
    found |= {("got", "device"): record.device, ("got", "threads"): record.threads}
    found |= {("got", "neighbours"): record.neighbours, ("outcome", ""): record.outcome}
    found |= {("source", "implementation"): record.impl, ("source", "file"): record.source}
    files = record.source_sha256 | record.also_loaded
    found |= {("source", f"sha256 of {name}"): value[:10] for name, value in files.items()}
    found |= {("source", f"git {name}"): value for name, value in (record.git or {}).items()}
    return found


def differences(a: Record, b: Record) -> list[Row]:
    """The facts that differ: section, name, and the value of either side."""
    left, right = facts(a), facts(b)
    return [
        {"section": place[0], "name": place[1], "a": left.get(place), "b": right.get(place)}
        for place in dict.fromkeys([*left, *right])
        if left.get(place) != right.get(place)
    ]


@dataclass(frozen=True)
class Losses:
    """How two courses of the loss compare.

    `parted` is the first epoch where they are not the same float64, or where one of them ends;
    `deviation` the largest |a - b| / max(|a|, |b|) of the epochs where both are finite.
    """

    bit_equal: bool
    parted: int | None
    deviation: float | None


def compare_losses(a: Sequence[float], b: Sequence[float]) -> Losses:
    """Compare epoch by epoch. Without any losses on either side nothing is equal."""
    left, right = _bits(a), _bits(b)
    common = min(len(left), len(right))
    parted = next((i for i in range(common) if left[i] != right[i]), None)
    if parted is None and len(left) != len(right):
        parted = common
    both = [(x, y) for x, y in zip(a, b, strict=False) if math.isfinite(x) and math.isfinite(y)]
    deviation = max((_deviation(x, y) for x, y in both), default=None)
    return Losses(bool(a) and left == right, parted, deviation)


def _bits(losses: Sequence[float]) -> list[int]:
    return array("Q", array("d", losses).tobytes()).tolist()


def _deviation(x: float, y: float) -> float:
    scale = max(abs(x), abs(y))
    return abs(x / scale - y / scale) if scale else 0.0


def ratio(a: float | None, b: float | None) -> float | None:
    """How many times as much B took; None if that can't be said."""
    return b / a if a and b is not None else None


def compared(pair: Pair) -> Row:
    """All about a pair, in plain values. Reads the losses of both."""
    a, b = _whole(pair.a), _whole(pair.b)
    losses = compare_losses(a.record.losses, b.record.losses)
    left, right = row(a), row(b)
    return {
        "impl": a.record.impl,
        "a": a.folder.name,
        "b": b.folder.name,
        "outcome_a": a.record.outcome,
        "outcome_b": b.record.outcome,
        "final_loss_a": a.record.final_loss,
        "final_loss_b": b.record.final_loss,
        "bit_equal": losses.bit_equal,
        "first_apart": losses.parted,
        "largest_deviation": losses.deviation,
        "step_ratio": ratio(left["step_us"], right["step_us"]),
        "train_ratio": ratio(left["train_s"], right["train_s"]),
        "differences": differences(a.record, b.record),
    }


def _whole(run: Stored) -> Stored:
    """The run with its losses; without any if they can't be read any more."""
    return replace(run, record=read_run(run.folder) or run.record)


# --- as tables


NUMBERS = (
    *("impl", "a", "b", "outcome_a", "outcome_b", "final_loss_a", "final_loss_b", "bit_equal"),
    *("first_apart", "largest_deviation", "step_ratio", "train_ratio"),
)
"""The columns of a comparison as CSV."""


def table(found: Sequence[Pair], about: Sequence[Row]) -> Table:
    """A row for each pair; what tells the pairs apart follows the implementation."""
    rows_a, rows_b = ([row(run) for run in runs] for runs in zip(*map(_both, found), strict=True))
    telling = [name for name in differing(rows_a) if name in differing(rows_b)]
    header = ["implementation", *telling, "outcomes", "losses", "parted at", "largest deviation"]
    header += ["final loss A", "final loss B", "µs/step B/A", "train s B/A"]
    body = [
        [each["impl"], *(exact(first[name]) for name in telling), *_cells(each)]
        for first, each in zip(rows_a, about, strict=True)
    ]
    return Table(header, body, frozenset({0, len(telling) + 1, len(telling) + 2}))


def _both(pair: Pair) -> tuple[Stored, Stored]:
    return pair.a, pair.b


def _cells(each: Row) -> list[str]:
    outcomes = list(dict.fromkeys([each["outcome_a"], each["outcome_b"]]))
    return [
        " → ".join(outcomes),
        _verdict(each),
        "" if each["first_apart"] is None else str(each["first_apart"]),
        number(each["largest_deviation"], 1),
        number(each["final_loss_a"]),
        number(each["final_loss_b"]),
        *("-" if each[of] is None else f"{each[of]:.3f}" for of in ("step_ratio", "train_ratio")),
    ]


def _verdict(each: Row) -> str:
    if each["bit_equal"]:
        return "bit-equal"
    return "none" if each["first_apart"] is None else "differ"


def difference_table(about: Sequence[Row]) -> Table:
    """A row for each difference, and which pairs have it."""
    whose: dict[tuple[str, str, str], list[str]] = {}
    for each in about:
        for one in each["differences"]:
            what = f"{one['section']}: {one['name']}" if one["name"] else one["section"]
            place = (what, _value(one["a"]), _value(one["b"]))
            whose.setdefault(place, []).append(each["impl"])
    body = [[*place, _whose(impls, len(about))] for place, impls in whose.items()]
    return Table(["what differs", "A", "B", "in"], body, frozenset(range(4)))


def _value(value: Any) -> str:
    return _ABSENT if value is None else printable(exact(value))


def _whose(impls: list[str], pairs: int) -> str:
    if len(impls) == pairs:
        return "all" if pairs > 1 else impls[0]
    once = list(dict.fromkeys(impls))
    return f"{len(impls)} of {pairs}" if len(once) > 3 else ", ".join(once)
