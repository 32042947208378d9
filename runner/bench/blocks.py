"""Steps timed in blocks, inside the process that is measured: warmed up first, undisturbed."""

from __future__ import annotations

import gc
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..config.rules import Value
from ..config.settings import Config
from ..training import contract
from ..training.contract import ContractError, Train, begin, count
from ..training.loop import as_floats, hooked, host_value

BLOCK_NS = 20_000_000
"""The least length of a block: the clock and a stray interrupt are nothing beside it."""

SETTLED = 3
"""Warm-up is over when so many blocks in a row were no faster than the best before them."""

FASTER = 0.99
"""What counts as faster."""

MOST_STEPS = 10**9


@dataclass(frozen=True)
class Amount:
    """How much to measure: blocks after a warm-up of `warmup_s` seconds at most."""

    blocks: int
    warmup_s: float


@dataclass
class BlockTimer:
    """Hands out steps until it has timed enough blocks of them.

    A block starts and ends where all that was asked of the device is done, at a step whose
    predecessors' losses have come. Garbage is collected between blocks, never in one.
    """

    amount: Amount
    barrier: Callable[[], None]
    yielded: int = 0
    warmup: list[float] = field(default_factory=list)
    times_us: list[float] = field(default_factory=list)
    first_us: float | None = None
    began_ns: int = 0
    warmup_steps: int = 0
    block_steps: int = 1
    usage: Usage | None = None
    shares: tuple[float, float] | None = None
    stopped: str = ""

    def steps(self) -> Iterator[int]:
        """The steps, counted from 0; as many as it takes."""
        if self.began_ns:
            raise ContractError("cfg.steps() may be called only once")
        gc.disable()
        try:
            yield from self._blocks()
        finally:
            gc.enable()

    def _blocks(self) -> Iterator[int]:
        self.began_ns = begun = time.perf_counter_ns()
        since, until = 0, 1
        for step in range(MOST_STEPS):
            if step >= until and self.yielded == step:
                self.barrier()
                elapsed = time.perf_counter_ns() - begun
                if self.stopped or self.ended(elapsed, step - since, step):
                    return
                since, until = step, step + self.block_steps
                gc.collect()
                begun = time.perf_counter_ns()
            elif step >= until:
                if self.stopped:
                    return
                if self.yielded > step or step - until + 1 >= contract.MOST_AHEAD:
                    raise contract.out_of_step(step, self.yielded)
            yield step

    def ended(self, elapsed_ns: int, steps: int, step: int) -> bool:
        """Take note of a block; whether it was the last."""
        each_us = elapsed_ns / steps / 1e3
        if self.first_us is None:
            self.first_us = each_us
        elif self.usage is not None:
            self.times_us.append(each_us)
            if len(self.times_us) == self.amount.blocks:
                self.shares = Usage.now().shares_since(self.usage)
                return True
        elif self.long_enough(elapsed_ns, steps):
            self.warmup.append(each_us)
            if self.warm():
                self.warmup_steps = step
                self.usage = Usage.now()
        return False

    def long_enough(self, elapsed_ns: int, steps: int) -> bool:
        """Whether this was a whole block; if not, the next is longer."""
        if elapsed_ns >= BLOCK_NS:
            return True
        wanted = math.ceil(1.1 * steps * BLOCK_NS / max(elapsed_ns, 1))
        self.block_steps = min(wanted, 10 * steps)
        return False

    def warm(self) -> bool:
        """Whether blocks have stopped getting faster, or that has taken too long."""
        if time.perf_counter_ns() - self.began_ns > self.amount.warmup_s * 1e9:
            return True
        if len(self.warmup) <= SETTLED:
            return False
        return min(self.warmup[-SETTLED:]) >= FASTER * min(self.warmup[:-SETTLED])

    @property
    def settled(self) -> bool:
        """Whether warm-up ended by itself."""
        before, last = self.warmup[:-SETTLED], self.warmup[-SETTLED:]
        return bool(before) and min(last) >= FASTER * min(before)


@dataclass(frozen=True)
class Usage:
    """Time in ns: on the wall, of this process, and of all processors but while they idled."""

    wall: int
    own: int
    busy: int

    @classmethod
    def now(cls) -> Usage:
        return cls(time.perf_counter_ns(), time.process_time_ns(), _busy_ns())

    def shares_since(self, begun: Usage) -> tuple[float, float]:
        """Own processor time over wall time, and that of others over what there was of it."""
        wall, own = self.wall - begun.wall, self.own - begun.own
        others = max(0, self.busy - begun.busy - own)
        return own / wall, others / (wall * (os.cpu_count() or 1))


def _busy_ns() -> int:
    """What the processors of this machine have worked, in ns; 0 where it can't be told."""
    try:
        with open("/proc/stat") as stat:
            user, nice, system, _, _, irq, soft, steal = map(int, stat.readline().split()[1:9])
    except (OSError, ValueError):
        return 0
    ticks = user + nice + system + irq + soft + steal
    return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def time_blocks(train: Train, values: dict[str, Value], timer: BlockTimer) -> dict[str, Any]:
    """Train with these settings for as long as the blocks take; returns fields of a Round.

    Raises what training raises, and ContractError if it breaks the contract.
    """
    device = str(values["device"])
    cfg, shapes = hooked(Config(**values), timer.steps)  # type: ignore[arg-type]
    begun = time.perf_counter_ns()
    loss = last = None
    generator = begin(train, cfg)
    while True:
        try:
            loss = next(generator)
        except StopIteration as end:
            returned = end.value
            break
        # As `twolayer run` does: a loss on the CPU is taken at once, another is not waited for.
        last = host_value(loss) if device == "cpu" else loss
        timer.yielded += count(loss)
    if timer.stopped:
        return {"outcome": timer.stopped}
    contract.check_pulled(train, timer.began_ns)
    diverged = not all(map(math.isfinite, as_floats([last] if timer.yielded else [])))
    if timer.shares is None and diverged:  # it looks at its losses itself
        return {"outcome": "diverged"}
    if timer.shares is None:
        raise contract.ended_early(train, f"only {timer.yielded}")
    if returned is not None or shapes:
        contract.take_weights(train, cfg, shapes, returned, loss)
    cpu_share, others_share = timer.shares
    return {
        "outcome": "diverged" if diverged else "ok",
        "blocks_us": timer.times_us,
        "block_steps": timer.block_steps,
        "warmup_steps": timer.warmup_steps,
        "settled": timer.settled,
        "setup_s": (timer.began_ns - begun) / 1e9,
        "first_us": timer.first_us,
        "cpu_share": cpu_share,
        "others_share": others_share,
    }


def barrier(device: str) -> Callable[[], None]:
    """What waits until a device has done all it was asked to; on a CPU that is at once so."""
    torch, tf = sys.modules.get("torch"), sys.modules.get("tensorflow")
    if device == "cpu":
        return lambda: None
    if tf is not None:
        return lambda: tf.test.experimental.sync_devices()
    if torch is not None:
        kind = torch.mps if device == "mps" else torch.cuda
        return lambda: kind.synchronize()
    raise ContractError(f"how to wait for {device} is known only of torch and tensorflow")
