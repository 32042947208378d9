"""What is timed in a measured process, in blocks: steps, and the machine's own rates."""

import contextlib
import gc
import itertools
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np

from .. import machine
from ..config import frameworks
from ..config.settings import SIZES, Config
from ..errors import error_data
from ..training import contract
from ..training.contract import Call, ContractError, Train, count
from ..training.loop import as_floats
from ..training.tasks import load_task
from ..training.worker import Task, peak_bytes, status_bytes

BLOCK_US = 20_000  # the least length of a block: the clock and an interrupt are nothing beside it
SETTLED = 3  # warm-up ends when so many blocks in a row were no faster than the best before them
FASTER = 0.99  # what counts as faster
SIDE = {"cpu": 1024, "cuda": 8192, "mps": 4096}  # rows of the square matrices multiplied
COPIED_BYTES = {"cpu": 1 << 26, "cuda": 1 << 31, "mps": 1 << 28}  # or 4 times the cache, if more


@dataclass
class BlockTimer:
    """Hands out steps until it has timed enough blocks of them.

    A block starts and ends where all that was asked of the device is done, at a step whose
    predecessors' losses have come. Garbage is collected between blocks, never in one.
    """

    blocks: int  # to be timed
    warmup_s: float  # the most that warm-up may take
    barrier: Callable[[], None]
    pulled: int = 0
    yielded: int = 0
    began_ns: int = 0
    block_steps: int = 1
    stopped: str = ""
    timed: dict[str, Any] = field(default_factory=dict)  # fields of a Round; empty until the end

    def steps(self) -> contract.Steps:
        """The steps, counted from 0; as many as it takes."""
        self.began_ns = time.perf_counter_ns()
        gc.disable()
        try:
            first_us = yield from self._block()
            settled = yield from self._warm_up()
            warmup_steps, before = self.pulled, usage_ns()
            blocks_us: list[float] = []
            while len(blocks_us) < self.blocks and not self.stopped:
                blocks_us.append((yield from self._block()))
            wall, own, busy = map(float, usage_ns() - before)
            self.timed = {
                "first_us": first_us,
                "warmup_steps": warmup_steps,
                "settled": settled,
                "blocks_us": blocks_us,
                "block_steps": self.block_steps,
                "cpu_share": own / wall,
                "others_share": max(0.0, busy - own) / (wall * (os.cpu_count() or 1)),
            }
        finally:
            gc.enable()

    def _block(self) -> Generator[int, None, float]:
        """Hand out a block, and more until its losses have come; returns µs a step."""
        first, begun = self.pulled, time.perf_counter_ns()
        least = first + self.block_steps
        for step in itertools.count(first):
            if step >= least:
                if self.stopped or self.yielded == step:
                    break
                if self.yielded > step or step - least + 1 >= contract.MOST_AHEAD:
                    raise contract.out_of_step(step, self.yielded)
            yield step
        self.barrier()
        us = (time.perf_counter_ns() - begun) / (step - first) / 1e3
        self.pulled = step
        gc.collect()
        return us

    def _warm_up(self) -> Generator[int, None, bool]:
        """Make blocks long enough, then wait for at most `warmup_s` until they stop getting faster.

        Returns whether they have stopped.
        """
        times: list[float] = []
        while not self.stopped:
            before = self.pulled
            us = yield from self._block()
            steps = self.pulled - before
            if us * steps < BLOCK_US:
                self.block_steps = min(math.ceil(1.1 * BLOCK_US / us), 10 * steps)
                continue
            times.append(us)
            earlier, last = times[:-SETTLED], times[-SETTLED:]
            if earlier and min(last) >= FASTER * min(earlier):
                return True
            if time.perf_counter_ns() - self.began_ns > self.warmup_s * 1e9:
                break
        return False


def usage_ns() -> np.ndarray:
    """Time on the wall, of this process, and of all processors while they did not idle."""
    busy = 0  # where the system does not tell
    with contextlib.suppress(OSError, ValueError), open("/proc/stat") as stat:
        user, nice, system, _, _, irq, soft, steal = map(int, stat.readline().split()[1:9])
        ticks = user + nice + system + irq + soft + steal
        busy = ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    return np.array([time.perf_counter_ns(), time.process_time_ns(), busy])


def barrier(device: str) -> Callable[[], None]:
    """A function that waits until a device has done all it was asked to: nothing, on a CPU."""
    torch, tf = sys.modules.get("torch"), sys.modules.get("tensorflow")
    if device == "cpu":
        return lambda: None
    if tf is not None:
        return lambda: tf.test.experimental.sync_devices()
    if torch is not None:
        kind = torch.mps if device == "mps" else torch.cuda
        return lambda: kind.synchronize()
    raise ContractError(f"how to wait for {device} is known only of torch and tensorflow")


# --- steps of training


def measure_blocks(task: Task) -> dict[str, Any]:
    """Time blocks of steps, then, if asked, of the same code with every size 1 (see `Round`)."""
    job, (module, import_s, cfg) = task.job, load_task(task)

    def timed(cfg: Config, blocks: int, warmup_s: float) -> dict[str, Any]:
        timer = BlockTimer(blocks, warmup_s, barrier(cfg.device))
        task.stoppable(timer, lambda reason: {"outcome": reason, "error": None})
        return time_blocks(module.train, cfg, timer)

    start_bytes = status_bytes("VmRSS")
    known = {"error": None, "import_s": import_s, "device": cfg.device}
    result = known | timed(cfg, job["blocks"], job["warmup_s"])
    result["peak_bytes"] = peak_bytes() - start_bytes
    result["threads"] = frameworks.threads_in_use(job["framework"])
    if result["outcome"] == "diverged":
        message = "the loss is no longer finite, so what was timed is no training; try a lower lr"
        result["error"] = error_data("Diverged", message)
    elif result["outcome"] == "ok":
        result["flops"] = own_flops(module, cfg)
        with contextlib.suppress(Exception):  # one that can't do with so little has no dispatch
            if job["dispatch"]:
                small = timed(cfg.with_(**dict.fromkeys(SIZES, 1)), 3, min(1.0, job["warmup_s"]))
                result["dispatch_us"] = statistics.median(small["blocks_us"])
    return result


def time_blocks(train: Train, cfg: Config, timer: BlockTimer) -> dict[str, Any]:
    """Train for as long as the blocks take; returns fields of a Round.

    Raises what training raises, and ContractError if it breaks the contract.
    """
    call = Call(train, cfg, timer.steps())
    begun = time.perf_counter_ns()
    # As `twolayer run` does: a loss on the CPU is taken at once, another is not waited for.
    take: Callable[[Any], Any] = contract.numbers if cfg.device == "cpu" else lambda loss: (loss,)
    loss, taken = None, ()
    for loss in call.losses():
        taken = take(loss)
        timer.yielded += count(loss)
    if timer.stopped:
        return {"outcome": timer.stopped}
    call.check_pulled()
    diverged = not all(map(math.isfinite, as_floats(taken)))
    if not timer.timed and not diverged:  # else it looks at its losses itself
        raise call.ended_early(f"only {timer.yielded}")
    if timer.timed:
        call.weights(loss, required=False)
    outcome, setup_s = "diverged" if diverged else "ok", (timer.began_ns - begun) / 1e9
    return {"outcome": outcome, "setup_s": setup_s, **timer.timed}


def own_flops(module: Any, cfg: Config) -> float | None:
    """The operations of a step by an implementation's own `flops(cfg)`; None if it has none."""
    if not callable(getattr(module, "flops", None)):
        return None
    operations = module.flops(cfg)
    if isinstance(operations, Real) and 0 < float(operations) < math.inf:
        return float(operations)
    message = "flops(cfg) must return a finite number greater than 0"
    raise ContractError(f"{message} (got {operations!r})")


# --- the machine's rates

Calls = tuple[Callable[[], Any], Callable[[], Any]]  # a matrix product, and a copy


def measure_rates(task: Task) -> dict[str, Any]:
    """The machine's best rates, as fields of Rates, by the job's framework or else by NumPy."""
    job = task.job
    by = job["framework"] if job["framework"] in PROBES else "numpy"
    device, dtype = frameworks.resolve_device(job["config"]["device"], by), job["config"]["dtype"]
    kind, itemsize = device.partition(":")[0], np.dtype(dtype).itemsize
    side, copied = SIDE[kind], max(COPIED_BYTES[kind], 4 * (machine.cache_bytes() or 0))
    multiply, copy = PROBES[by](device, dtype, side, copied // itemsize)
    rates = {
        "matmul_gflops": 2 * side**3 / best_us(multiply, barrier(device)) / 1e3,
        "copy_gb_s": 2 * copied / best_us(copy, barrier(device)) / 1e3,
    }
    return {"outcome": "ok", "error": None, "matmul_by": by, **rates}


def best_us(call: Callable[[], Any], wait: Callable[[], None]) -> float:
    """The time of one call in the fastest of three blocks, after one that warms up."""
    timer = BlockTimer(3, 0.0, wait)
    for _ in timer.steps():
        call()
        timer.yielded += 1
    return float(min(timer.timed["blocks_us"]))


def _numpy(device: str, dtype: str, side: int, count: int) -> Calls:
    a, b = np.random.default_rng(0).random((2, side, side)).astype(dtype)
    out = np.empty_like(a)
    source, target = np.ones(count, dtype), np.empty(count, dtype)
    return lambda: np.matmul(a, b, out=out), lambda: np.copyto(target, source)


def _torch(device: str, dtype: str, side: int, count: int) -> Calls:
    import torch

    made: dict[str, Any] = {"dtype": getattr(torch, dtype), "device": device}
    a, b = torch.rand(2, side, side, **made)
    out = torch.empty_like(a)
    source, target = torch.ones(count, **made), torch.empty(count, **made)
    return lambda: torch.mm(a, b, out=out), lambda: target.copy_(source)


def _tensorflow(device: str, dtype: str, side: int, count: int) -> Calls:
    import tensorflow as tf

    def there(make: Callable[[], Any]) -> Any:
        with tf.device(device.replace("cuda", "gpu")):
            return make()

    a, b = there(lambda: tf.random.uniform((2, side, side), dtype=dtype))
    source = there(lambda: tf.ones(count, dtype))
    return lambda: there(lambda: tf.linalg.matmul(a, b)), lambda: there(lambda: -source)


PROBES = {"numpy": _numpy, "torch": _torch, "tensorflow": _tensorflow}
