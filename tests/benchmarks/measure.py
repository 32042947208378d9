"""Interleaved measurement of two ways to do the same work, and their ratio with its spread."""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from twolayer.tables import Table


@dataclass
class Ratio:
    """A ratio of times, with the interval that bootstrapping its pairs gives it."""

    name: str
    value: float
    low: float
    high: float
    limit: float

    @property
    def verdict(self) -> str:
        if self.high <= self.limit:
            return "ok"
        return "over" if self.low > self.limit else "unsure"


def ratio(
    name: str,
    ours: Callable[[], float],
    theirs: Callable[[], float],
    *,
    limit: float,
    pairs: int,
    best: bool = False,
) -> Ratio:
    """Run both `pairs` times, one after the other in random order; each returns seconds.

    The ratio is the median of the pairs' or, with `best`, that of the shortest times: others
    on the machine only ever add to a time.
    """

    def summary(measured: list[tuple[float, float]]) -> float:
        if best:
            return min(a for a, _ in measured) / min(b for _, b in measured)
        return statistics.median(a / b for a, b in measured)

    rng = random.Random(0)
    measured = []
    for _ in range(pairs):
        first_ours = rng.random() < 0.5
        if first_ours:
            a, b = ours(), theirs()
        else:
            b, a = theirs(), ours()
        measured.append((a, b))
    drawn = sorted(summary(rng.choices(measured, k=pairs)) for _ in range(2000))
    return Ratio(name, summary(measured), drawn[50], drawn[-51], limit)


def show(title: str, ratios: list[Ratio]) -> None:
    """Print ratios as a table."""
    rows = [
        [r.name, f"{r.value:.3f}", f"{r.low:.3f} to {r.high:.3f}", f"{r.limit:.2f}", r.verdict]
        for r in ratios
    ]
    header = [title, "ratio", "95% interval", "limit", "verdict"]
    print(Table(header, rows, frozenset({0, 4})).text(100), end="\n\n", flush=True)


def wall_s(command: list[str], env: dict[str, str] | None = None) -> float:
    """Seconds that a command takes; it must succeed."""
    begun = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=env)
    return time.perf_counter() - begun


def twolayer(*words: str) -> list[str]:
    """The command line of twolayer."""
    return [sys.executable, "-P", "-m", "twolayer", *words]
