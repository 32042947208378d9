"""The training loop's other side: pull the losses, stamp the clock, stop on request."""

import math
import sys
import time
from array import array
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any

import numpy as np

from ..config.settings import Config
from ..errors import error_data
from .contract import Arrays, Call, ContractError, Steps, Train, count, numbers
from .worker import exception_data

REPORT_EVERY_NS = 250_000_000


class Clock:
    """Counts the steps pulled and stamps the time of each pull that the losses have caught up.

    A mark is (steps pulled before it, time): one a step for an ordinary loop, one a chunk
    for a loop that pulls several steps before it yields their losses; a loop that pulls all of
    them first has no second mark, and is not timed. Where the device works on after a call
    returns (`waits` is false), only a pull that follows a wait for it is marked.
    """

    def __init__(self, epochs: int, *, waits: bool) -> None:
        self.epochs, self.waits = epochs, waits
        self.due = True
        self.pulled = self.yielded = 0
        self.stopped = ""
        self.mark_steps, self.mark_ns = array("q"), array("q")

    def steps(self) -> Steps:
        """The epochs; ends early once `stopped` says why."""
        now = time.perf_counter_ns
        mark_step, mark_time = self.mark_steps.append, self.mark_ns.append
        for step in range(self.epochs + 1):
            if self.due and self.pulled == self.yielded:
                mark_step(step)
                mark_time(now())
                self.due = self.waits
            if self.stopped or step == self.epochs:
                return
            self.pulled = step + 1
            yield step

    def times(self, begun: int, ended: int) -> dict[str, Any]:
        """The times of set-up and training; of a step, if one's loss came before the next pull."""
        marks = self.mark_ns[:]
        steps = self.mark_steps[: len(marks)]  # another thread may be at it
        if marks and not self.waits and self.pulled > steps[-1]:
            steps.append(self.pulled)
            marks.append(ended)
        first, step_us = marks[0] if marks else ended, None
        if len(marks) > 1:
            percentiles = np.percentile(np.diff(marks) / np.diff(steps) / 1e3, [50, 10, 90])
            step_us = dict(zip(("median", "p10", "p90"), percentiles.tolist(), strict=True))
        return {
            "setup_s": (first - begun) / 1e9,
            "train_s": (ended - first) / 1e9 if marks else None,
            "step_us": step_us,
        }


class Training:
    """One run of `train`; `so_far` may be called by another thread.

    `report(epochs_done, loss)` is called about four times a second. `weights` holds the final
    ones, once there are any; `error`, what was raised.
    """

    def __init__(
        self,
        train: Train,
        cfg: Config,
        report: Callable[[int, float], None] = lambda *_: None,
        problem: Callable[[Arrays], None] = lambda arrays: None,
    ) -> None:
        self.clock = Clock(cfg.epochs, waits=cfg.device == "cpu")
        self.call = Call(train, cfg, self.clock.steps(), problem)
        self.report = report
        self.raw: list[Any] = []
        self.weights: list[np.ndarray] = []
        self.computed_dtype: str | None = None
        self.error: BaseException | None = None
        self.begun = time.perf_counter_ns()
        self.ended = 0

    def run(self) -> dict[str, Any]:
        """Run it to its end, to its divergence or until its clock is stopped; returns `so_far`."""
        try:
            last = self._pull()
            self.ended = time.perf_counter_ns()
            self._take_weights(last)
        except BaseException as error:  # even KeyboardInterrupt: here it is the code's own
            self.error = error
        return self.so_far()

    def _pull(self) -> Any:
        """Pull every loss; report one now and then, and stop if it is not finite. The last."""
        clock, keep, losses = self.clock, self.raw.extend, self.call.losses()
        # Losses kept as tensors sit between the buffers of a step, so that each step has to ask
        # the system for fresh memory. A device that works on alone is not waited for, though.
        take: Callable[[Any], Sequence[Any]] = numbers if clock.waits else lambda loss: (loss,)
        now = time.perf_counter_ns
        next_report = now() + REPORT_EVERY_NS
        last = None
        for loss in losses:
            if loss is last and hasattr(loss, "__array__") and not isinstance(loss, np.generic):
                raise ContractError("train(cfg) must yield a fresh loss each step, not one object")
            last, taken = loss, take(loss)
            keep(taken)
            clock.yielded += len(taken) if clock.waits else count(loss)
            if now() > next_report:
                value = as_floats([loss])[-1]  # waits for the device
                clock.due = True
                self.report(clock.yielded, value)
                if not math.isfinite(value):
                    clock.stopped = "diverged"
                next_report = now() + REPORT_EVERY_NS
                if clock.stopped and clock.pulled == clock.epochs:  # no step left to stop it by
                    losses.close()
        return last

    def _take_weights(self, last: Any) -> None:
        """Raises ContractError if what `train` did is not what it must."""
        clock, call = self.clock, self.call
        try:
            call.check_pulled()
            call.check_counts(clock.pulled, clock.yielded, clock.epochs)
            self.weights = call.weights(last, required=False)
            if self.weights:
                self.computed_dtype = computed_dtype(call.cfg.dtype, call.returned, last)
        except ContractError:
            if not clock.stopped and all(map(math.isfinite, as_floats(self.raw[-1:]))):
                raise  # else it was stopped, or has diverged, which is the outcome

    def so_far(self, stopped: str = "") -> dict[str, Any]:
        """What the run has come to by now, as fields of a record; `stopped` may be its outcome."""
        ended = self.ended or time.perf_counter_ns()
        try:
            losses = as_floats(list(self.raw))
        except ContractError as error:
            self.error, losses = self.error or error, []
        done = len(list(takewhile(math.isfinite, losses)))
        outcome, reason = (stopped, None) if stopped else self._ending(losses, done)
        return {
            "outcome": outcome,
            "error": reason,
            "epochs_done": done,
            "final_loss": losses[done - 1] if done else None,
            "losses": list(map(in_json, losses[: done + 1])),
            "computed_dtype": self.computed_dtype,
            **self.clock.times(self.begun, ended),
        }

    def _ending(self, losses: list[float], done: int) -> tuple[str, Any]:
        """Outcome and error of a run with these losses, whose first `done` are finite."""
        if self.error is not None:
            outcome = "out_of_memory" if out_of_memory(self.error) else "failed"
            return outcome, exception_data(self.error)
        if len(losses) == done:
            return self.clock.stopped or "ok", None
        last = f"the last finite loss is {losses[done - 1]:.6g}" if done else "no loss was finite"
        message = f"loss is {losses[done]} at epoch {done}; {last}"
        return "diverged", error_data("Diverged", message)


def in_json(loss: float) -> float | str:
    """A loss for JSON, which has no word for nan and inf."""
    return loss if math.isfinite(loss) else str(loss)


def as_floats(raw: Sequence[Any]) -> list[float]:
    """Everything yielded as Python floats, exactly; raises ContractError where it is no number."""
    torch = sys.modules.get("torch")
    if torch and raw and all(isinstance(r, torch.Tensor) and r.ndim == 0 for r in raw):
        # One copy for all: on a GPU each .item() would wait for the device.
        return numbers(torch.stack([r.detach() for r in raw]).cpu())
    return [number for loss in raw for number in numbers(loss)]


def computed_dtype(requested: str, weights: Sequence[np.ndarray], loss: Any) -> str | None:
    """What training computed in, by its weights and its loss; None if as requested."""
    dtypes = [weight.dtype for weight in weights]
    if hasattr(loss, "dtype") and getattr(loss, "itemsize", 8) < np.dtype(requested).itemsize:
        dtypes.append(loss.dtype)
    names = [str(dtype).removeprefix("torch.") for dtype in dtypes]
    return next((name for name in names if name != requested), None)


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception of any framework says that memory ran out."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & {"MemoryError", "OutOfMemoryError", "ResourceExhaustedError"}:
        return True
    words = ("can't allocate memory", "not enough memory")
    return isinstance(error, RuntimeError) and any(text in str(error) for text in words)
