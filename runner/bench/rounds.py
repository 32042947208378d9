"""Rounds of fresh processes, interleaved in shuffled order, to tell who is faster.

A round runs every cell (an implementation with a problem) once, each in a process forked for
it from one that has only imported. The order within a round is drawn anew, so that whatever
the machine does meanwhile falls on all alike.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Container, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from .. import machine, packages
from ..config.plan import Run, hosts_needed
from ..engine.hosts import Hosts
from ..engine.job import Job
from ..engine.supervisor import perform
from . import analysis, workload
from .measurement import Bench, Cell, Keeper, Round

PROBED_ROUNDS = 3
"""Rounds that also measure the machine's own rates and a step's dispatch."""


@dataclass(frozen=True)
class Method:
    """How much to measure. `budget_s`, where given, decides in place of `rounds`."""

    rounds: int = 10
    blocks: int = 5
    budget_s: float | None = None
    warmup_s: float = 2.0
    order_seed: int = 0
    timeout_s: float | None = None
    memory_limit: int | None = None


class Watcher(Protocol):
    """Whoever wants to see the rounds go on."""

    def importing(self, modules: list[str]) -> None:
        """Frameworks are being imported; an empty list: they all are."""

    def measuring(self, number: int, of: int | None, label: str) -> None:
        """A cell's turn in a round."""


@dataclass
class Entry:
    """A cell and the run that it repeats."""

    cell: Cell
    run: Run


def entry(run: Run, *, label: str = "", revision: str = "", size: int | None = None) -> Entry:
    """What there is to say of a run before it is measured."""
    implementation = run.implementation
    family = implementation.family
    cell = Cell(
        label=label or run.name,
        impl=run.name,
        revision=revision,
        family=family,
        framework=implementation.framework,
        config=run.config.values(),
        source_sha256=implementation.sha256,
        size=size,
        flops=workload.flops(run.config, family),
        bytes=workload.traffic_bytes(run.config, family),
    )
    return Entry(cell, run)


@dataclass
class Campaign:
    """The rounds of one call. `stop` ends them, with the process that is under way."""

    bench: Bench
    entries: list[Entry]
    method: Method
    watch: Callable[[int], AbstractContextManager[Watcher]]
    keeper: Keeper
    stop: threading.Event = field(default_factory=threading.Event)
    rates: dict[str, list[dict[str, float]]] = field(default_factory=dict)

    @property
    def cancel(self) -> threading.Event:
        return self.stop

    @property
    def path(self) -> Path:
        """Where the measurement is kept."""
        return self.keeper.path

    def measure(self) -> None:
        """Measure all cells, saving after each round, and draw the conclusions."""
        self.keeper.save(self.bench)  # a folder that can't be written to is no later surprise
        self.rounds(self.entries)

    def again(self, labels: Container[str]) -> int:
        """Measure some implementations anew; returns the number of the first of these rounds."""
        impls = {each.cell.impl for each in self.entries if each.cell.label in labels}
        since = self.next_number()
        self.rounds([each for each in self.entries if each.cell.impl in impls])
        return since

    def rounds(self, entries: Sequence[Entry]) -> None:
        """Measure some cells in rounds of their own."""
        needed = hosts_needed(each.run for each in entries)
        begun = time.monotonic()
        with Hosts(needed) as hosts, self.watch(len(entries)) as watcher:
            watcher.importing(sorted({name for key in needed for name in key[0]}))
            hosts.wait_ready(self.stop)
            watcher.importing([])
            Rounds(self, hosts, watcher, entries, begun).measure()
        analysis.conclude(self.bench, self.rates, cut_short=self.stop.is_set())
        self.keeper.save(self.bench)

    def next_number(self) -> int:
        numbers = (each.number for cell in self.bench.cells for each in cell.good)
        return max(numbers, default=-1) + 1


@dataclass
class Rounds:
    """Some cells, taking turns until there are enough rounds."""

    campaign: Campaign
    hosts: Hosts
    watcher: Watcher
    entries: Sequence[Entry]
    begun: float

    def measure(self) -> None:
        first = number = self.campaign.next_number()
        rng = random.Random(f"{self.method.order_seed} {first}")
        while self.another(number - first, time.monotonic() - self.begun):
            todo = [each for each in self.entries if each.cell.failure is None]
            rng.shuffle(todo)
            self.round(number, number - first, todo)
            self.campaign.keeper.save(self.campaign.bench)
            number += 1

    @property
    def method(self) -> Method:
        return self.campaign.method

    @property
    def stopped(self) -> bool:
        return self.campaign.stop.is_set()

    def another(self, done: int, elapsed_s: float) -> bool:
        """Whether there is to be another round; at least one is."""
        alive = any(each.cell.failure is None for each in self.entries)
        if self.stopped or not alive:
            return False
        if self.method.budget_s is None or done == 0:
            return done < self.method.rounds
        return elapsed_s * (done + 1) / done <= self.method.budget_s

    def round(self, number: int, done: int, todo: Sequence[Entry]) -> None:
        of = self.method.rounds if self.method.budget_s is None else None
        for place, each in enumerate(todo):
            if self.stopped:
                return
            self.watcher.measuring(done, of, each.cell.label)
            result = self.perform(each.run, self.blocks_job(number))
            if result["outcome"] != "interrupted":
                each.cell.rounds.append(_round(number, place, result))
        if number < PROBED_ROUNDS:
            self.probe(todo)

    def blocks_job(self, number: int) -> dict[str, Any]:
        amount = {"blocks": self.method.blocks, "warmup_s": self.method.warmup_s}
        dispatch = number < PROBED_ROUNDS and not self.campaign.bench.axis
        return {"task": "twolayer.bench.tasks:blocks", "amount": amount, "dispatch": dispatch}

    def probe(self, todo: Sequence[Entry]) -> None:
        """Measure what the machine can do, with every framework that is here anyway."""
        for run in {each.cell.framework: each.run for each in todo}.values():
            result = self.perform(run, {"task": "twolayer.bench.tasks:rates"})
            if result["outcome"] == "ok":
                self.campaign.rates.setdefault(result["by"], []).append(result["rates"])

    def perform(self, run: Run, changes: dict[str, Any]) -> dict[str, Any]:
        timeout_s, memory_limit = self.method.timeout_s, self.method.memory_limit
        job = Job.of(run, timeout_s=timeout_s, memory_limit=memory_limit, **changes)
        return perform(job, self.hosts, self.campaign.stop)


def _round(number: int, place: int, result: dict[str, Any]) -> Round:
    """What a process sent back, as a Round."""
    known = {name: result[name] for name in Round.__dataclass_fields__ if name in result}
    return Round(**known | {"number": number, "place": place})


def new(
    name: str, entries: Sequence[Entry], *, baseline: str, axis: str, method: Method, command: str
) -> Bench:
    """A bench with nothing measured yet."""
    first = entries[0].run.implementation.source.parent
    imports = dict.fromkeys(n for e in entries for n in e.run.implementation.imports)
    return Bench(
        name=name,
        started_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        baseline=baseline,
        axis=axis,
        order_seed=method.order_seed,
        threads=entries[0].run.threads,
        cells=[each.cell for each in entries],
        machine=machine.describe(),
        versions=packages.versions(list(imports)),
        git=machine.git_state(first),
        command=command,
    )
