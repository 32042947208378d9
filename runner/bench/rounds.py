"""Rounds of fresh processes: each cell once, forked from a process that has only imported.

The order within a round is drawn anew, so that what the machine does meanwhile falls on all alike.
"""

import random
import threading
import time
from collections.abc import Callable, Container, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..config.plan import hosts_needed
from ..engine.hosts import Hosts
from ..engine.supervisor import make_job, perform
from . import analysis
from .measurement import Bench, Round, discard, save
from .plan import Entries

PROBED_ROUNDS = 3  # rounds that also measure the machine's own rates and a step's dispatch
TASKS = "twolayer.bench.blocks"


@dataclass
class Measuring:
    """The rounds of one bench, kept at `path`.

    `stop` ends them after the turn of the cell under way, `cancel` ends that turn, too.
    """

    bench: Bench
    entries: Entries
    watch: Callable[[], AbstractContextManager[Any]]  # shows progress: cli.progress.Lines
    path: Path
    budget_s: float | None  # decides, where given, in place of `rounds`
    blocks: int
    warmup_s: float
    timeout_s: float | None
    memory_limit: int | None
    over: str | None = None  # what ratios compare to; else the first that works
    rounds: int = 10
    stop: threading.Event = field(default_factory=threading.Event)
    cancel: threading.Event = field(default_factory=threading.Event)
    planned: int = 0  # rounds, with those that measure anew
    rates: list[dict[str, Any]] = field(default_factory=list)  # fields of Rates

    def measure(self, impls: Container[str] | None = None) -> int:
        """Measure all, or some anew, and conclude; returns the number of the first round of it."""
        bench, begun, done = self.bench, time.monotonic(), 0
        self.planned += self.rounds
        save(bench, self.path)  # a folder that can't be written to is no later surprise
        first = 1 + max((each.number for cell in bench.cells for each in cell.good), default=-1)
        entries = [(c, run) for c, run in self.entries if impls is None or c.impl in impls]
        rng = random.Random(f"{bench.order_seed} {first}")
        needed = hosts_needed(run for _, run in entries)
        with Hosts(needed) as hosts, self.watch() as watcher:
            hosts.wait_ready(self.stop, watcher.importing)
            ready = time.monotonic()
            probed = max(0, PROBED_ROUNDS - first)  # so many of these rounds take twice as long
            while self._another(done, time.monotonic() - begun):
                if not (able := [(cell, run) for cell, run in entries if not cell.failure]):
                    break
                rng.shuffle(able)
                for part, turn in self._round(first + done, able, hosts):
                    line = f"round {done + 1}"
                    if self.budget_s is None:
                        line += f" of {self.rounds}"
                        spent, total = (n + min(n, probed) for n in (done + part, self.rounds))
                    else:
                        total = max(0.0, self.budget_s - (ready - begun))
                        spent = time.monotonic() - ready
                    watcher.step(min(spent, total), total, f"{line}  {turn}", line)
                save(bench, self.path)
                done += 1
        more = "more --rounds" if self.budget_s is None else "a longer --budget"
        more = "time to finish" if self.stop.is_set() else more
        bench.baseline = self.over or analysis.first_able([cell for cell, _ in self.entries])
        analysis.conclude(bench, self.rates, self.stop.is_set(), more, self.warmup_s)
        if self.stop.is_set() and not bench.measured:
            discard(self.path)
        else:
            save(bench, self.path)
        return first

    def progress(self) -> str:
        """`after 2 of 10 rounds`; a budget has no such total."""
        done = analysis.whole_rounds(self.bench.cells)
        if self.budget_s is None:
            rounds = f"{done} of {self.planned} rounds"
        else:
            rounds = "1 round" if done == 1 else f"{done} rounds"
        return f"after {rounds}" if done else "in the first round"

    def _another(self, done: int, elapsed_s: float) -> bool:
        """Whether there is to be another round; at least one is."""
        if self.stop.is_set() or self.budget_s is None:
            return not self.stop.is_set() and done < self.rounds
        return not done or elapsed_s * (done + 1) / done <= self.budget_s

    def _round(self, number: int, entries: Entries, hosts: Hosts) -> Iterator[tuple[float, str]]:
        """A turn for each cell, and in probed rounds one for the rates by each framework.

        Before each yields how much of the round is done, and what is next.
        """
        probed = number < PROBED_ROUNDS
        steps: dict[str, Any] = {"task": f"{TASKS}:measure_blocks", "blocks": self.blocks}
        steps |= {"warmup_s": self.warmup_s, "dispatch": probed and not self.bench.axis}
        rates = {"task": f"{TASKS}:measure_rates"}
        by_framework = {cell.framework: run for cell, run in entries if probed}
        turns = [*entries, *((None, run) for run in by_framework.values())]
        for place, (cell, run) in enumerate(turns):
            if self.stop.is_set():
                return
            yield place / len(turns), (cell.label if cell else "the machine's rates")
            task = steps if cell else rates
            job = make_job(run, self.timeout_s, self.memory_limit, **task)
            result = perform(job, hosts, self.cancel)
            if cell and result["outcome"] != "interrupted":
                known = {n: result[n] for n in Round.__dataclass_fields__ if n in result}
                cell.rounds.append(Round(**known | {"number": number, "place": place}))
            elif not cell and result["outcome"] == "ok":
                self.rates.append(result)
