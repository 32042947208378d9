"""The contract of an implementation in words: what breaks a rule raises the rule's sentence.

Training, benchmarks and `check` use the same sentences, which name the line of the
implementation that is to blame.
"""

import ast
import contextlib
import inspect
import textwrap
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..config.settings import Config
from ..errors import UserError, listed

Train = Callable[[Config], Iterator[Any]]
Shapes = Sequence[tuple[int, ...]]

MOST_AHEAD = 10_000
"""How many steps may be pulled before the losses of those before have come: a compiled chunk."""

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


def begin(train: Train, cfg: Config) -> Generator[Any, None, Any]:
    """Call `train`. Raises ContractError if that gives no generator."""
    with contextlib.suppress(ValueError):  # what has no signature can be called all the same
        try:
            inspect.signature(train).bind(cfg)
        except TypeError as error:
            raise ContractError(f"train must take one argument, cfg: {error}") from None
    generator = train(cfg)
    if not isinstance(generator, Generator):
        raise ContractError(
            f"train(cfg) must yield its losses, it returned {_kind(generator)}"
            f"{_line_of(train, ast.Return)}; write `yield loss` in a loop over cfg.steps()"
        )
    return generator


def numbers(loss: Any) -> list[float]:
    """What was yielded as floats, exactly: a number, or a 0-D or 1-D array of any framework.

    Raises ContractError if it is something else.
    """
    dimensions = getattr(loss, "ndim", 0)
    kind, reason = type(loss).__name__, ""
    if dimensions > 1:
        raise ContractError(
            f"train(cfg) must yield numbers, got {kind} of shape {tuple(loss.shape)}; yield one "
            f"number a step, like `loss.sum()`, or a 1-D array with a loss for each step pulled"
        )
    try:
        values = loss.tolist() if hasattr(loss, "tolist") else np.asarray(loss).tolist()
        losses = values if dimensions else [values]
        if losses and all(hasattr(value, "__float__") for value in losses):
            return list(map(float, losses))
    except (TypeError, ValueError, OverflowError, NotImplementedError) as error:
        reason = f": {error}"
    if dimensions:
        kind += f" of {loss.dtype}" if len(loss) else " of no losses"
    raise ContractError(f"train(cfg) must yield numbers, got {kind}{reason}; yield the loss itself")


def count(loss: Any) -> int:
    """How many losses were yielded at once."""
    return len(loss) if getattr(loss, "ndim", 0) == 1 else 1


def check_pulled(train: Train, pulled: int) -> None:
    """Raise ContractError if no step was pulled."""
    if pulled:
        return
    where = "write `for _ in cfg.steps():` as the training loop"
    for node in _nodes(train):
        if isinstance(node, ast.For) and any(isinstance(n, ast.Yield) for n in ast.walk(node)):
            place = f"where line {node.lineno} loops over {ast.unparse(node.iter)}"
            where = f"in {_file(train)}, write `for _ in cfg.steps():` {place}"
            break
    raise ContractError(f"it never pulled a step from cfg.steps(); {where}")


def check_counts(train: Train, pulled: int, yielded: int, epochs: int) -> None:
    """Raise ContractError unless all steps were pulled and have a loss each."""
    if pulled < epochs and 0 <= pulled - yielded <= 1:  # a return may follow a pull
        raise ended_early(train, f"{yielded} of {epochs}")
    if yielded != pulled:
        raise _miscounted(pulled, yielded)


def ended_early(train: Train, steps: str) -> ContractError:
    """The error of a loop that is left before its steps end."""
    return ContractError(
        f"it ended after {steps} steps{_line_of(train, ast.Break)}; "
        f"the loop must go on until cfg.steps() ends"
    )


def _miscounted(pulled: int, yielded: int) -> ContractError:
    how = "many" if yielded > pulled else "few"
    return ContractError(
        f"it yields too {how} losses: {yielded} for {pulled} steps; yield one for each step pulled"
    )


def out_of_step(pulled: int, yielded: int) -> ContractError:
    """The error of losses that run ahead of the steps, or stay more than MOST_AHEAD behind."""
    if yielded > pulled:
        return _miscounted(pulled, yielded)
    steps = "a step" if pulled - yielded == 1 else f"{pulled - yielded} steps"
    return ContractError(
        f"it pulled {steps} before their losses came, so that it can be neither timed nor stopped; "
        f"{PULL_CHUNKS}"
    )


def take_weights(
    train: Train, cfg: Config, drawn: Sequence[Shapes], returned: Any, loss: Any = None
) -> list[np.ndarray]:
    """The weights that `train` returned, copied; `loss` is the last that it yielded.

    `drawn` holds the shapes of the weights each time that cfg.problem() was called. Raises
    ContractError unless these are real floating-point arrays in the same order and shapes.
    """
    place = _line_of(train, ast.Return)
    if fault := _fault(returned):
        kind, remedy = fault
        attached = f"; and {ATTACHED}" if getattr(loss, "requires_grad", False) else ""
        raise ContractError(f"{kind}{place}; {remedy}{attached}")
    shapes = [weight.shape for weight in returned]
    # Without the hooks, which would count the draw as the implementation's.
    expected = drawn[-1] if drawn else [array.shape for array in cfg.with_().problem()[2:]]
    if shapes != expected:
        raise ContractError(_misshapen(cfg, expected, shapes, place))
    # NumPy itself knows no bfloat16, only the process that has imported ml_dtypes does.
    return [np.array(w, np.float32 if w.dtype.kind == "V" else w.dtype) for w in returned]


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


def _misshapen(cfg: Config, expected: Shapes, shapes: Shapes, place: str) -> str:
    came = listed(map(str, expected))
    if len(shapes) == len(expected):
        return f"its weights have shapes {listed(map(str, shapes))}{place}; {REAL_ARRAYS}, {came}"
    arrays = "1 array" if len(shapes) == 1 else f"{len(shapes)} arrays"
    biases = ""
    if len(shapes) == 2 * len(expected) and not cfg.bias:
        biases = "; if it has biases, reading cfg.bias in train declares them"
    return (
        f"it returned {arrays} where {len(expected)} were handed out{place}{biases}; "
        f"return the weights as they came, {came}"
    )


def _kind(value: object) -> str:
    """`a list`, `an ndarray`, `nothing`."""
    name = type(value).__name__
    return "nothing" if value is None else f"a{'n' if name[0].lower() in 'aeiou' else ''} {name}"


def _line_of(train: Train, kind: type[ast.stmt]) -> str:
    """` (mine.py:7)`: where `train` has a statement of this kind, if it has just one."""
    lines = [node.lineno for node in _nodes(train) if isinstance(node, kind)]
    return f" ({_file(train)}:{lines[0]})" if len(lines) == 1 else ""


def _file(train: Train) -> str:
    return Path(inspect.getsourcefile(train) or "").name


def _nodes(train: Train) -> list[ast.AST]:
    """The syntax of `train` outside inner functions and classes, at its lines in the file."""
    try:
        lines, first = inspect.getsourcelines(train)
        (function,) = ast.parse(textwrap.dedent("".join(lines))).body
    except (OSError, TypeError, ValueError, SyntaxError):
        return []
    nodes = list(ast.iter_child_nodes(ast.increment_lineno(function, first - 1)))
    for node in nodes:  # grows as it goes
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            nodes += ast.iter_child_nodes(node)
    return nodes
