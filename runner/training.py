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

from .rules import Value
from .settings import Config

Train = Callable[[Config], Iterator[Any]]
REPORT_EVERY_NS = 250_000_000


class ContractError(Exception):
    """An implementation broke a rule of the contract; the text says which."""


class TimedConfig(Config):
    """The settings as the runner hands them in: its steps stamp the clock and can end early."""

    def __init__(self, **values: Value) -> None:
        super().__init__(**values)  # type: ignore[arg-type]
        clock = Clock(self.epochs, waits=self.device == "cpu")
        object.__setattr__(self, "clock", clock)
        object.__setattr__(self, "handed_out", [])

    clock: Clock
    handed_out: list[tuple[np.ndarray, ...]]

    def steps(self) -> Iterator[int]:
        return self.clock.steps()

    def problem(self, *, middle: bool = False) -> tuple[np.ndarray, ...]:
        arrays = super().problem(middle=middle)
        self.handed_out.append(arrays)
        return arrays


class Clock:
    """Counts the steps pulled and stamps the time of each pull that the losses have caught up.

    A mark is (steps pulled before it, time): one a step for an ordinary loop, one a chunk
    for a loop that pulls several steps before it yields their losses. Where the device works
    on after a call returns (`waits` is false), only a pull that follows a wait for it is
    marked.
    """

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
            if self.due and self.pulled == self.yielded:
                mark_step(step)
                mark_time(now())
                self.due = self.waits
            if self.stopped:
                return
            self.pulled = step + 1
            yield step
        if self.waits:
            mark_step(self.epochs)
            mark_time(now())


@dataclass
class Trained:
    """What one run of `train` came to. Times are in seconds.

    `outcome` is `ok`, `diverged`, `failed`, `out_of_memory`, or why it was stopped
    (`interrupted`, `timeout`). `losses` ends with the first that is not finite.
    """

    outcome: str
    losses: list[float] = field(default_factory=list)
    weights: list[np.ndarray] = field(default_factory=list)
    error: BaseException | None = None
    setup_s: float | None = None
    train_s: float | None = None
    step_us: dict[str, float] | None = None


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
        self.weights: list[np.ndarray] = []
        self.begun = time.perf_counter_ns()

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
        generator = train(self.cfg)
        if not hasattr(generator, "send"):
            kind = type(generator).__name__
            raise ContractError(f"train(cfg) must be a generator that yields losses, got {kind}")
        returned = self.pull(generator)
        if not self.clock.started:
            raise ContractError("train(cfg) never pulled a step from cfg.steps()")
        if self.clock.yielded != self.clock.pulled:
            raise ContractError(
                f"train(cfg) must yield one loss per step pulled, "
                f"got {self.clock.yielded} losses for {self.clock.pulled} steps"
            )
        self.weights = host_arrays(returned)
        if not self.clock.stopped:
            check_weights(self.cfg, self.weights)

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
                return end.value
            if loss is last and hasattr(loss, "__array__") and not isinstance(loss, np.generic):
                raise ContractError("train(cfg) must yield a fresh loss each step, not one object")
            keep(take(loss))
            last = loss
            clock.yielded += count(loss)
            if now() > next_report:
                self.look(loss)
                next_report = now() + REPORT_EVERY_NS

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
        ended = time.perf_counter_ns()
        try:
            losses = as_floats(list(self.raw))
        except (TypeError, ValueError, OverflowError) as caught:
            error = error or ContractError(f"train(cfg) must yield numbers: {caught}")
            losses = []
        bad = next((i for i, loss in enumerate(losses) if not math.isfinite(loss)), None)
        if bad is not None:
            losses = losses[: bad + 1]
        outcome = self.outcome(error, bad)
        marks = self.clock.mark_ns[:]
        steps = self.clock.mark_steps[: len(marks)]
        if marks and not self.clock.waits:
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
    try:
        return loss.tolist() if hasattr(loss, "tolist") else float(loss)
    except (TypeError, ValueError, OverflowError) as caught:
        raise ContractError(f"train(cfg) must yield numbers: {caught}") from None


def count(loss: Any) -> int:
    """How many losses were yielded at once."""
    return len(loss) if getattr(loss, "ndim", 0) == 1 else 1


def as_floats(raw: Sequence[Any]) -> list[float]:
    """Losses as Python floats, exactly: numbers, 0-D or 1-D arrays or tensors of any framework."""
    torch = sys.modules.get("torch")
    if torch and raw and all(isinstance(r, torch.Tensor) and r.ndim == 0 for r in raw):
        # One copy for all: on a GPU each .item() would wait for the device.
        return list(map(float, torch.stack([r.detach() for r in raw]).cpu().tolist()))
    floats: list[float] = []
    for loss in raw:
        floats += map(float, loss.tolist()) if getattr(loss, "ndim", 0) == 1 else [float(loss)]
    return floats


def step_times_us(steps: Sequence[int], times_ns: Sequence[int]) -> dict[str, float] | None:
    """Median, 10th and 90th percentile of the time of a step in µs, from the clock's marks."""
    if len(times_ns) < 2:
        return None
    each = np.diff(np.asarray(times_ns)) / np.diff(np.asarray(steps)) / 1e3
    p10, median, p90 = np.percentile(each, [10, 50, 90])
    return {"median": float(median), "p10": float(p10), "p90": float(p90)}


def host_arrays(returned: Any) -> list[np.ndarray]:
    """What `train` returned, as a list of NumPy arrays of its own.

    Raises ContractError if it is not a sequence of host arrays.
    """
    if returned is None:
        return []
    wanted = "train(cfg) must return its weights as NumPy arrays"
    if not isinstance(returned, list | tuple):
        raise ContractError(f"{wanted}, got {type(returned).__name__}")
    for weight in returned:
        if not isinstance(weight, np.ndarray):
            raise ContractError(f"{wanted}, got a {type(weight).__name__} among them")
    return [weight.copy() for weight in returned]


def check_weights(cfg: TimedConfig, weights: Sequence[np.ndarray]) -> None:
    """Raise ContractError unless the weights have the order and shapes they came in."""
    if not cfg.handed_out:
        return
    wanted = [array.shape for array in cfg.handed_out[-1][2:]]
    got = [weight.shape for weight in weights]
    if got != wanted:
        raise ContractError(
            f"train(cfg) must return the weights in the order and shapes they came in, "
            f"{wanted}; got {got or 'nothing'}"
        )


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception of any framework says that memory ran out."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & {"MemoryError", "OutOfMemoryError", "ResourceExhaustedError"}:
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in text or "not enough memory" in text
    )
