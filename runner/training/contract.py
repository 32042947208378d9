"""The contract of an implementation in words: what breaks a rule raises the rule's sentence."""

import ast
import contextlib
import inspect
import textwrap
from collections.abc import Callable, Generator, Iterator
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np

from ..config.settings import Config
from ..errors import UserError, listed

Train = Callable[[Config], Iterator[Any]]
Arrays = tuple[np.ndarray, ...]
Steps = Generator[int, None, None]

MOST_AHEAD = 10_000  # steps may be pulled before their losses have come: a compiled chunk

ATTACHED = (
    "its losses are attached to their graph, which keeps every step in memory; yield loss.detach()"
)
PULL_CHUNKS = (
    "loop over cfg.steps() itself, or pull a chunk at a time (`islice(steps, 100)`) and yield "
    "its losses"
)
REAL_ARRAYS = "they must be real floating-point arrays of the shapes handed out"


class ContractError(UserError):
    """An implementation broke a rule of the contract. The text says which, and what to write."""


def numbers(loss: Any) -> list[float]:
    """What was yielded as floats, exactly: a number, or a 0-D or 1-D array of any framework."""
    if type(loss) is float:
        return [loss]
    reason = ""
    try:
        values = loss.tolist() if hasattr(loss, "tolist") else np.asarray(loss).tolist()
        if type(values) is float:
            return [values]
        losses = values if getattr(loss, "ndim", 0) else [values]
        if losses and all(hasattr(value, "__float__") for value in losses):
            return list(map(float, losses))
    except (TypeError, ValueError, OverflowError, NotImplementedError) as error:
        reason = f": {error}"
    kind, dimensions = type(loss).__name__, getattr(loss, "ndim", 0)
    if dimensions > 1:
        raise ContractError(
            f"train(cfg) must yield numbers, got {kind} of shape {tuple(loss.shape)}; yield one "
            f"number a step, like `loss.sum()`, or a 1-D array with a loss for each step pulled"
        )
    if dimensions:
        kind += f" of {loss.dtype}" if len(loss) else " of no losses"
    raise ContractError(f"train(cfg) must yield numbers, got {kind}{reason}; yield the loss itself")


def count(loss: Any) -> int:
    """How many losses were yielded at once."""
    return len(loss) if getattr(loss, "ndim", 0) == 1 else 1


def out_of_step(pulled: int, yielded: int, *, ended: bool = False) -> ContractError:
    """The error of losses that ran ahead of the steps, or stayed too far behind."""
    if yielded < pulled and not ended:
        return ContractError(
            f"it pulled {pulled - yielded} step{'s' * (pulled - yielded > 1)} before their losses "
            f"came, so that it can be neither timed nor stopped; {PULL_CHUNKS}"
        )
    how = "many" if yielded > pulled else "few"
    return ContractError(
        f"it yields too {how} losses: {yielded} for {pulled} steps; yield one for each step pulled"
    )


class Call:
    """One call of `train`, whose cfg.steps() is `steps`; `problem` may change what it draws."""

    def __init__(
        self,
        train: Train,
        cfg: Config,
        steps: Steps,
        problem: Callable[[Arrays], None] = lambda arrays: None,
    ) -> None:
        self.train, self.plain, self.steps = train, cfg, steps
        self.cfg = copy(cfg)
        self.shapes: list[list[tuple[int, ...]]] = []  # of the weights, each time they were drawn
        self.returned: Any = None

        def once() -> Steps:
            if self.begun():
                raise ContractError("cfg.steps() may be called only once")
            return steps

        def draw(*, middle: bool = False) -> Arrays:
            arrays = cfg.problem(middle=middle)
            self.shapes.append([array.shape for array in arrays[2:]])
            problem(arrays)
            return arrays

        vars(self.cfg).update(steps=once, problem=draw)  # these stand before the class's methods

    def begun(self) -> bool:
        """Whether a step was pulled."""
        return inspect.getgeneratorstate(self.steps) != inspect.GEN_CREATED

    def losses(self) -> Generator[Any, None, None]:
        """What it yields; at the end, `returned` is set. Raises ContractError if it can't be."""
        with contextlib.suppress(ValueError):  # what has no signature can be called all the same
            try:
                inspect.signature(self.train).bind(self.cfg)
            except TypeError as error:
                raise ContractError(f"train must take one argument, cfg: {error}") from None
        generator = self.train(self.cfg)
        if not isinstance(generator, Generator):
            raise ContractError(
                f"train(cfg) must yield its losses, it returned {_kind(generator)}"
                f"{self._line_of(ast.Return)}; write `yield loss` in a loop over cfg.steps()"
            )
        self.returned = yield from generator

    def check_pulled(self) -> None:
        """Raise ContractError if no step was pulled."""
        if self.begun():
            return
        where = "as the training loop"
        for place, loop in reversed(_parts(self.train, ast.For)):
            if any(isinstance(node, ast.Yield) for node in ast.walk(loop)):
                where = f"where {place} loops over {ast.unparse(loop.iter)}"
        message = "it never pulled a step from cfg.steps(); write `for _ in cfg.steps():`"
        raise ContractError(f"{message} {where}")

    def check_counts(self, pulled: int, yielded: int, epochs: int) -> None:
        """Raise ContractError unless all steps were pulled and have a loss each."""
        if pulled < epochs and 0 <= pulled - yielded <= 1:  # a return may follow a pull
            raise self.ended_early(f"{yielded} of {epochs}")
        if yielded != pulled:
            raise out_of_step(pulled, yielded, ended=True)

    def ended_early(self, steps: str) -> ContractError:
        """The error of a loop that is left before its steps end."""
        return ContractError(
            f"it ended after {steps} steps{self._line_of(ast.Break)}; "
            f"the loop must go on until cfg.steps() ends"
        )

    def weights(self, loss: Any = None, *, required: bool = True) -> list[np.ndarray]:
        """The weights returned, copied. Raises ContractError unless they are as handed out.

        `loss` is the last that was yielded. If none were handed out, none may be `required`.
        """
        if not required and self.returned is None and not self.shapes:
            return []
        place, returned = self._line_of(ast.Return), self.returned
        if fault := _fault(returned):
            attached = f"; and {ATTACHED}" if getattr(loss, "requires_grad", False) else ""
            raise ContractError(f"{fault[0]}{place}; {fault[1]}{attached}")
        drawn = self.shapes or [[array.shape for array in self.plain.problem()[2:]]]
        expected, n = drawn[-1], len(returned)
        came = listed(map(str, expected))
        if n != len(expected):
            declare = "; if it has biases, reading cfg.bias in train declares them"
            raise ContractError(
                f"it returned {n} array{'s' * (n > 1)} where {len(expected)} were handed out{place}"
                f"{declare if n == 2 * len(expected) and not self.cfg.bias else ''}; "
                f"return the weights as they came, {came}"
            )
        shapes = [weight.shape for weight in returned]
        if shapes != expected:
            shown = listed(map(str, shapes))
            raise ContractError(f"its weights have shapes {shown}{place}; {REAL_ARRAYS}, {came}")
        # NumPy itself knows no bfloat16, only the process that has imported ml_dtypes does.
        return [np.array(w, np.float32 if w.dtype.kind == "V" else w.dtype) for w in returned]

    def _line_of(self, kind: type[ast.stmt]) -> str:
        """` (mine.py:7)`: where `train` has a statement of this kind, if it has just one."""
        found = _parts(self.train, kind)
        return f" ({found[0][0]})" if len(found) == 1 else ""


def _fault(returned: Any) -> tuple[str, str] | None:
    """What is wrong with what was returned as weights, and what to return instead."""
    if returned is None or (isinstance(returned, list | tuple) and not returned):
        return "it returned no weights", "return them as NumPy arrays"
    if not isinstance(returned, list | tuple):
        return f"it returned {_kind(returned)}", "return the weights as a list of arrays"
    for weight in returned:
        if not isinstance(weight, np.ndarray):
            torch = type(weight).__module__.partition(".")[0] == "torch"
            array = "weight.numpy(force=True)" if torch else "np.asarray(weight)"
            return f"it returned {_kind(weight)} among its weights", f"return NumPy arrays: {array}"
        if not weight.dtype.name.startswith(("float", "longdouble", "bfloat")):
            return f"its weights are of type {weight.dtype}", REAL_ARRAYS
    return None


def _kind(value: object) -> str:
    """`a list`, `an ndarray`, `nothing`."""
    name = type(value).__name__
    return "nothing" if value is None else f"a{'n' if name[0].lower() in 'aeiou' else ''} {name}"


def _parts(train: Train, kind: type[ast.stmt]) -> list[tuple[str, Any]]:
    """Those of a kind in `train`, outside inner functions and classes, with places: `mine.py:7`."""
    try:
        lines, first = inspect.getsourcelines(train)
        (function,) = ast.parse(textwrap.dedent("".join(lines))).body
    except (OSError, TypeError, ValueError, SyntaxError):
        return []
    file = Path(inspect.getsourcefile(train) or "").name
    nodes = list(ast.iter_child_nodes(ast.increment_lineno(function, first - 1)))
    for node in nodes:  # grows as it goes
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            nodes += ast.iter_child_nodes(node)
    return [(f"{file}:{node.lineno}", node) for node in nodes if isinstance(node, kind)]
