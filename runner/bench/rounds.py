"""Rounds of fresh processes: each cell once, forked from a process that has only imported.

The order within a round is drawn anew, so that what the machine does meanwhile falls on all alike.
"""

import random
import threading
import time
from collections.abc import Callable, Container
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from ..config.plan import Run, hosts_needed
from ..engine.hosts import Hosts
from ..engine.supervisor import make_job, perform
from . import analysis
from .measurement import Bench, Round, save
from .plan import Entries

PROBED_ROUNDS = 3  # rounds that also measure the machine's own rates and a step's dispatch
TASKS = "twolayer.bench.blocks"


class Watcher(Protocol):
    """Shows progress. `importing` names frameworks, then none; `measuring`, a turn in a round."""

    def importing(self, modules: list[str]) -> None: ...

    def measuring(self, number: int, of: int | None, label: str) -> None: ...


@dataclass
class Measuring:
    """The rounds of one bench, kept at `path`. `stop` ends them, and the process under way."""

    bench: Bench
    entries: Entries
    watch: Callable[[int], AbstractContextManager[Watcher]]
    path: Path
    budget_s: float | None  # decides, where given, in place of `rounds`
    blocks: int
    warmup_s: float
    timeout_s: float | None
    memory_limit: int | None
    rounds: int = 10
    stop: threading.Event = field(default_factory=threading.Event)
    rates: list[dict[str, Any]] = field(default_factory=list)  # fields of Rates

    def measure(self, impls: Container[str] | None = None) -> int:
        """Measure all, or some anew, and conclude; returns the number of the first round of it."""
        bench, begun, done = self.bench, time.monotonic(), 0
        save(bench, self.path)  # a folder that can't be written to is no later surprise
        first = 1 + max((each.number for cell in bench.cells for each in cell.good), default=-1)
        entries = [(c, run) for c, run in self.entries if impls is None or c.impl in impls]
        rng = random.Random(f"{bench.order_seed} {first}")
        needed = hosts_needed(run for _, run in entries)
        with Hosts(needed) as hosts, self.watch(len(entries)) as watcher:
            hosts.wait_ready(self.stop, watcher.importing)
            while self._another(done, time.monotonic() - begun):
                if not (able := [(cell, run) for cell, run in entries if not cell.failure]):
                    break
                rng.shuffle(able)
                show = partial(watcher.measuring, done, None if self.budget_s else self.rounds)
                self._round(first + done, able, hosts, show)
                save(bench, self.path)
                done += 1
        analysis.conclude(bench, self.rates, cut_short=self.stop.is_set())
        save(bench, self.path)
        return first

    def _another(self, done: int, elapsed_s: float) -> bool:
        """Whether there is to be another round; at least one is."""
        if self.stop.is_set() or self.budget_s is None:
            return not self.stop.is_set() and done < self.rounds
        return not done or elapsed_s * (done + 1) / done <= self.budget_s

    def _round(
        self, number: int, entries: Entries, hosts: Hosts, show: Callable[[str], None]
    ) -> None:
        probed = number < PROBED_ROUNDS
        amount: dict[str, Any] = {"blocks": self.blocks, "warmup_s": self.warmup_s}
        amount["dispatch"] = probed and not self.bench.axis
        for place, (cell, run) in enumerate(entries):
            if self.stop.is_set():
                return
            show(cell.label)
            result = self._perform(run, hosts, task=f"{TASKS}:measure_blocks", **amount)
            if result["outcome"] != "interrupted":
                known = {n: result[n] for n in Round.__dataclass_fields__ if n in result}
                cell.rounds.append(Round(**known | {"number": number, "place": place}))
        by_framework = {cell.framework: run for cell, run in entries}
        for run in by_framework.values() if probed else ():
            result = self._perform(run, hosts, task=f"{TASKS}:measure_rates")
            self.rates += [result] if result["outcome"] == "ok" else []

    def _perform(self, run: Run, hosts: Hosts, **task: Any) -> dict[str, Any]:
        return perform(make_job(run, self.timeout_s, self.memory_limit, **task), hosts, self.stop)
