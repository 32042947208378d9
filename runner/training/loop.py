"""The training loop's other side: pull the losses, stamp the clock, stop when told.

Nothing here knows of processes, files or terminals; `train` is any generator function
that keeps the contract (see CONTRIBUTING).
"""

from __future__ import annotations

import math
import sys
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..config.rules import Value
from ..config.settings import Config
from . import contract
from .contract import ContractError, Train, begin, count, numbers

REPORT_EVERY_NS = 250_000_000


class TimedConfig(Config):
    """The settings as the runner hands them in: its steps stamp the clock and can end early."""

    def __init__(self, **values: Value) -> None:
        super().__init__(**values)  # type: ignore[arg-type]
        clock = Clock(self.epochs, waits=self.device == "cpu")
        object.__setattr__(self, "clock", clock)
        object.__setattr__(self, "handed_out", [])

    clock: Clock
    handed_out: list[list[tuple[int, ...]]]  # the shapes of the weights, each time

    def steps(self) -> Iterator[int]:
        return self.clock.steps()

    def problem(self, *, middle: bool = False) -> tuple[np.ndarray, ...]:
        arrays = super().problem(middle=middle)
        self.handed_out.append([array.shape for array in arrays[2:]])
        return arrays


class Clock:
    """Counts the steps pulled and stamps the time of each pull that the losses have caught up.

    A mark is (steps pulled before it, time): one a step for an ordinary loop, one a chunk
    for a loop that pulls several steps before it yields their losses; a loop that pulls all of
    them first has no second mark, and is not timed. Where the device works on after a call
    returns (`waits` is false), only a pull that follows a wait for it is marked.
    """

    most_ahead = math.inf
    """How many steps may be pulled whose losses have not come."""

    def __init__(self, epochs: int, *, waits: bool) -> None:
        self.epochs = epochs
        self.waits = waits
        self.due = True
        self.pulled = 0
        self.yielded = 0
        self.stopped = ""
        self.mark_steps = array("q")
        self.mark_ns = array("q")
        self.started = False

    def steps(self) -> Iterator[int]:
        """The epochs; ends early once `stopped` says why. Raises if pulled by two loops."""
        if self.started:
            raise ContractError("cfg.steps() may be called only once")
        self.started = True
        now, mark_step, mark_time = (
            time.perf_counter_ns,
            self.mark_steps.append,
            self.mark_ns.append,
        )
        for step in range(self.epochs):
            if self.pulled == self.yielded:
                if self.due:
                    mark_step(step)
                    mark_time(now())
                    self.due = self.waits
            elif step - self.yielded >= self.most_ahead:
                raise contract.out_of_step(step, self.yielded)
            if self.stopped:
                return
            self.pulled = step + 1
            yield step
        if self.waits and self.pulled == self.yielded:
            mark_step(self.epochs)
            mark_time(now())


@dataclass
class Trained:
    """What one run of `train` came to. Times are in seconds.

    `outcome` is `ok`, `diverged`, `failed`, `out_of_memory`, or why it was stopped
    (`interrupted`, `timeout`). `losses` ends with the first that is not finite. `step_us` is
    None where no step was pulled after its predecessors' losses had come. `computed_dtype` is
    what was computed in, if that is not what was asked for.
    """

    outcome: str
    losses: list[float] = field(default_factory=list)
    weights: list[np.ndarray] = field(default_factory=list)
    error: BaseException | None = None
    setup_s: float | None = None
    train_s: float | None = None
    step_us: dict[str, float] | None = None
    computed_dtype: str | None = None


Report = Callable[[int, float], None]


def measure(train: Train, cfg: TimedConfig) -> Trained:
    """Run `train(cfg)` to its end, to its divergence or until `cfg.clock` is stopped."""
    return Training(cfg).measure(train)


class Training:
    """One run of a `train`. `report(epochs_done, loss)` is called about four times a second."""

    def __init__(self, cfg: TimedConfig, report: Report | None = None) -> None:
        self.cfg = cfg
        self.clock = cfg.clock
        self.report = report
        self.raw: list[Any] = []
        self.newest: Any = None
        self.weights: list[np.ndarray] = []
        self.computed_dtype: str | None = None
        self.begun = time.perf_counter_ns()
        self.ended = 0

    def measure(self, train: Train) -> Trained:
        """Run it to its end, to its divergence or until its clock is stopped."""
        self.begun = time.perf_counter_ns()
        error: BaseException | None = None
        try:
            self.drive(train)
        except BaseException as caught:  # even KeyboardInterrupt: here it is the code's own
            error = caught
        return self.result(error)

    def drive(self, train: Train) -> None:
        returned = self.pull(begin(train, self.cfg))
        self.ended = time.perf_counter_ns()
        try:
            self.check(train, returned)
        except ContractError:
            if not self.clock.stopped and all(map(math.isfinite, as_floats(self.raw[-1:]))):
                raise  # else it was stopped, or has diverged, which is what there is to say

    def check(self, train: Train, returned: Any) -> None:
        """Take the weights. Raises ContractError if what `train` did is not what it must."""
        clock, cfg = self.clock, self.cfg
        contract.check_pulled(train, clock.pulled)
        contract.check_counts(train, clock.pulled, clock.yielded, clock.epochs)
        if returned is None and not cfg.handed_out:
            return
        self.weights = contract.take_weights(train, cfg, cfg.handed_out, returned, self.newest)
        self.computed_dtype = computed_dtype(cfg.dtype, returned, self.newest)

    def pull(self, generator: Any) -> Any:
        clock, keep = self.clock, self.raw.append
        # Losses kept as tensors sit between the buffers of a step, so that each step has to ask
        # the system for fresh memory. A device that works on alone is not waited for, though.
        take = host_value if clock.waits else _as_it_is
        now = time.perf_counter_ns
        next_report = now() + REPORT_EVERY_NS
        last = None
        while True:
            try:
                loss = next(generator)
            except StopIteration as end:
                self.newest = last
                return end.value
            if loss is last and hasattr(loss, "__array__") and not isinstance(loss, np.generic):
                raise ContractError("train(cfg) must yield a fresh loss each step, not one object")
            keep(take(loss))
            last = loss
            clock.yielded += count(loss)
            if now() > next_report:
                self.look(loss)
                next_report = now() + REPORT_EVERY_NS
                if clock.stopped and clock.pulled == clock.epochs:  # no step left to stop it by
                    generator.close()
                    return None

    def look(self, loss: Any) -> None:
        """Report the newest loss, and stop a run that has diverged."""
        value = as_floats([loss])[-1]  # waits for the device
        self.clock.due = True
        if self.report:
            self.report(self.clock.yielded, value)
        if not math.isfinite(value):
            self.clock.stopped = "diverged"

    def result(self, error: BaseException | None = None) -> Trained:
        """What has come of it by now."""
        ended = self.ended or time.perf_counter_ns()
        try:
            losses = as_floats(list(self.raw))
        except ContractError as caught:
            error, losses = error or caught, []
        bad = next((i for i, loss in enumerate(losses) if not math.isfinite(loss)), None)
        if bad is not None:
            losses = losses[: bad + 1]
        outcome = self.outcome(error, bad)
        marks = self.clock.mark_ns[:]
        steps = self.clock.mark_steps[: len(marks)]
        if marks and not self.clock.waits and self.clock.pulled > steps[-1]:
            steps.append(self.clock.pulled)
            marks.append(ended)
        first = marks[0] if marks else ended
        return Trained(
            outcome=outcome,
            losses=losses,
            weights=self.weights,
            error=error,
            setup_s=(first - self.begun) / 1e9,
            train_s=(ended - first) / 1e9 if marks else None,
            step_us=step_times_us(steps, marks),
            computed_dtype=self.computed_dtype,
        )

    def outcome(self, error: BaseException | None, bad: int | None) -> str:
        if error is not None:
            return "out_of_memory" if out_of_memory(error) else "failed"
        if bad is not None:
            return "diverged"
        return self.clock.stopped or "ok"


def _as_it_is(loss: Any) -> Any:
    return loss


def host_value(loss: Any) -> Any:
    """A single loss as a Python number; an array of losses as it is.

    Raises ContractError if it is no number.
    """
    if getattr(loss, "ndim", 0) == 1:
        return loss
    value = loss.tolist() if hasattr(loss, "tolist") else loss
    return value if type(value) is float else numbers(loss)[0]


def as_floats(raw: Sequence[Any]) -> list[float]:
    """Everything yielded as Python floats, exactly; raises ContractError where it is no number."""
    torch = sys.modules.get("torch")
    if torch and raw and all(isinstance(r, torch.Tensor) and r.ndim == 0 for r in raw):
        # One copy for all: on a GPU each .item() would wait for the device.
        return numbers(torch.stack([r.detach() for r in raw]).cpu())
    floats: list[float] = []
    for loss in raw:
        floats += (loss,) if type(loss) is float else numbers(loss)
    return floats


def step_times_us(steps: Sequence[int], times_ns: Sequence[int]) -> dict[str, float] | None:
    """Median, 10th and 90th percentile of the time of a step in µs, from the clock's marks."""
    if len(times_ns) < 2:
        return None
    each = np.diff(np.asarray(times_ns)) / np.diff(np.asarray(steps)) / 1e3
    p10, median, p90 = np.percentile(each, [10, 50, 90])
    return {"median": float(median), "p10": float(p10), "p90": float(p90)}


def computed_dtype(asked: str, weights: Sequence[np.ndarray], loss: Any) -> str | None:
    """What training computed in, by its weights and its loss; None if that is what was asked."""
    found = [weight.dtype for weight in weights]
    if hasattr(loss, "dtype") and getattr(loss, "itemsize", 8) < np.dtype(asked).itemsize:
        found.append(loss.dtype)
    names = [str(dtype).removeprefix("torch.") for dtype in found]
    return next((name for name in names if name != asked), None)


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception of any framework says that memory ran out."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & {"MemoryError", "OutOfMemoryError", "ResourceExhaustedError"}:
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in text or "not enough memory" in text
    )
