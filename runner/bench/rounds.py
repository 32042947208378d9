"""Rounds of fresh processes, interleaved in shuffled order.

A round runs every cell (an implementation with a problem) once, each in a process forked for
it from one that has only imported. The order within a round is drawn anew, so that whatever
the machine does meanwhile falls on all alike.
"""

import itertools
import random
import threading
import time
from collections.abc import Callable, Container, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..config.plan import Run, hosts_needed
from ..engine.hosts import Hosts
from ..engine.supervisor import make_job, perform
from . import analysis
from .measurement import Bench, Round, save
from .plan import Entry

PROBED_ROUNDS = 3  # rounds that also measure the machine's own rates and a step's dispatch
BLOCKS, RATES = "twolayer.bench.blocks:measure_blocks", "twolayer.bench.rates:measure_rates"


class Watcher(Protocol):
    """Shows progress. `importing` names frameworks, then none; `measuring`, a turn in a round."""

    def importing(self, modules: list[str]) -> None: ...

    def measuring(self, number: int, of: int | None, label: str) -> None: ...


@dataclass
class Measuring:
    """The rounds of one bench, kept at `path`. `stop` ends them, and the process under way."""

    bench: Bench
    entries: Sequence[Entry]
    watch: Callable[[int], AbstractContextManager[Watcher]]
    path: Path
    rounds: int = 10
    budget_s: float | None = None  # decides, where given, in place of `rounds`
    blocks: int = 5
    warmup_s: float = 2.0
    timeout_s: float | None = None
    memory_limit: int | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    rates: dict[str, list[dict[str, float]]] = field(default_factory=dict)

    def measure(self, labels: Container[str] | None = None) -> int:
        """Measure all cells, or some implementations anew, and draw the conclusions.

        The file is written after each round. Returns the number of the first of these rounds.
        """
        save(self.bench, self.path)  # a folder that can't be written to is no later surprise
        numbers = (each.number for cell in self.bench.cells for each in cell.good)
        first = max(numbers, default=-1) + 1
        cells = (entry.cell for entry in self.entries)
        impls = {cell.impl for cell in cells if labels is None or cell.label in labels}
        self._rounds([entry for entry in self.entries if entry.cell.impl in impls], first)
        analysis.conclude(self.bench, self.rates, cut_short=self.stop.is_set())
        save(self.bench, self.path)
        return first

    def _rounds(self, entries: Sequence[Entry], first: int) -> None:
        needed = hosts_needed(entry.run for entry in entries)
        rng = random.Random(f"{self.bench.order_seed} {first}")
        begun = time.monotonic()
        with Hosts(needed) as hosts, self.watch(len(entries)) as watcher:
            hosts.wait_ready(self.stop, watcher.importing)
            for done in itertools.count():
                able = [entry for entry in entries if entry.cell.failure is None]
                if not able or not self._another(done, time.monotonic() - begun):
                    return
                rng.shuffle(able)
                self._round(first + done, done, able, hosts, watcher)
                save(self.bench, self.path)

    def _another(self, done: int, elapsed_s: float) -> bool:
        """Whether there is to be another round; at least one is."""
        if self.stop.is_set() or self.budget_s is None or not done:
            return not self.stop.is_set() and done < self.rounds
        return elapsed_s * (done + 1) / done <= self.budget_s

    def _round(
        self, number: int, done: int, entries: Sequence[Entry], hosts: Hosts, watcher: Watcher
    ) -> None:
        of = self.rounds if self.budget_s is None else None
        probed = number < PROBED_ROUNDS
        amount = {"blocks": self.blocks, "warmup_s": self.warmup_s}
        amount["dispatch"] = probed and not self.bench.axis
        for place, entry in enumerate(entries):
            if self.stop.is_set():
                return
            watcher.measuring(done, of, entry.cell.label)
            result = self._perform(hosts, entry.run, task=BLOCKS, **amount)
            if result["outcome"] != "interrupted":
                known = {n: result[n] for n in Round.__dataclass_fields__ if n in result}
                entry.cell.rounds.append(Round(**known | {"number": number, "place": place}))
        by_framework = {entry.cell.framework: entry.run for entry in entries}
        for run in by_framework.values() if probed else ():
            result = self._perform(hosts, run, task=RATES)
            if result["outcome"] == "ok":
                self.rates.setdefault(result["by"], []).append(result["rates"])

    def _perform(self, hosts: Hosts, run: Run, **task: Any) -> dict[str, Any]:
        job = make_job(run, self.timeout_s, self.memory_limit, **task)
        return perform(job, hosts, self.stop)
