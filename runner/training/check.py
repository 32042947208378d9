"""The contract as executable rules: for `twolayer check`, and for any test suite (CONTRIBUTING)."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any

import numpy as np

from ..config.settings import Config
from . import contract
from .contract import MOST_AHEAD, Arrays, Call, ContractError, Train, numbers
from .loop import Clock, as_floats, computed_dtype

SMALL = Config(N=5, H=4, D_in=6, D_out=3, lr=1e-3, epochs=6, dtype="float64")
NOT_TRIED = "not tried"

SWITCHES = (
    *("numpy:geterr", "torch:is_grad_enabled", "torch:get_default_dtype"),
    *("torch:get_num_threads", "tensorflow:executing_eagerly"),
)
# They seed the random generators that an implementation must not draw from.
GENERATORS = ("random:seed", "numpy:random.seed", "torch:manual_seed", "tensorflow:random.set_seed")


def _of_loaded(names: tuple[str, ...]) -> dict[str, Callable[..., Any]]:
    """Those of the functions whose packages are loaded."""
    loaded = (name for name in names if name.partition(":")[0] in sys.modules)
    return {name.replace(":", "."): resolve_name(name) for name in loaded}


def global_state() -> dict[str, Any]:
    """The switches of loaded frameworks that an implementation could leave flipped."""
    return {f"{name}()": function() for name, function in _of_loaded(SWITCHES).items()}


class Trace:
    """One run of `train` to its end, seen from outside. May raise ContractError."""

    def __init__(self, train: Train, cfg: Config, stop_after: int | None = None) -> None:
        self.train, self.cfg = train, cfg
        self.clock = Clock(stop_after or cfg.epochs, waits=True)
        self.problems: list[Arrays] = []  # the arrays handed out, each time
        self.yielded: list[Any] = []  # the losses as they are at the end
        self.at_once: list[float] = []  # the losses as they were when yielded
        self.states = [global_state()]  # before the run, at each loss, and after it
        self.call = Call(train, cfg, self.clock.steps(), self.problems.append)
        for loss in self.call.losses():
            self.yielded.append(loss)
            self.at_once += numbers(loss)
            self.states.append(global_state())
            self.clock.yielded = len(self.at_once)
        self.states.append(global_state())

    def bits(self) -> list[bytes]:
        """Losses and weights as bytes; what is not weights is left to the rule on weights."""
        try:
            weights = self.call.weights()
        except ContractError:
            weights = []
        return [array.tobytes() for array in (np.array(self.at_once), *weights)]


# Each rule judges a run; some do others besides.


def _has_title(run: Trace) -> None:
    module = sys.modules.get(run.train.__module__)
    if module and not (module.__doc__ or "").strip():
        raise ContractError("it has none; begin it with a title, which `twolayer list` shows")


def _no_global_state(run: Trace) -> None:
    for state in run.states:
        for name, value in run.states[0].items():
            if state.get(name) != value:
                raise ContractError(
                    f"it leaves global state changed: {name} is {state.get(name)}, was {value}; "
                    f"flip no global switch, and never yield inside a `with` that does"
                )


def _pulls_as_it_goes(run: Trace) -> None:
    def steps() -> contract.Steps:
        yield from range(MOST_AHEAD)
        raise contract.out_of_step(MOST_AHEAD, 0)

    losses = Call(run.train, run.cfg.with_(epochs=2 * MOST_AHEAD), steps()).losses()
    next(losses, None)
    losses.close()


def _fresh_losses(run: Trace) -> None:
    if not np.array_equal(as_floats(run.yielded), run.at_once, equal_nan=True):
        raise ContractError("it yields a reused buffer: earlier losses change later; yield a copy")


def _detached_losses(run: Trace) -> None:
    if any(getattr(loss, "requires_grad", False) for loss in run.yielded):
        raise ContractError(contract.ATTACHED)


def _problem_unchanged(run: Trace) -> None:
    for arrays in run.problems:
        middle = len(arrays) > len(run.cfg.problem())
        fresh = run.cfg.problem(middle=middle)
        for index, (now, before) in enumerate(zip(arrays, fresh, strict=True)):
            if not np.array_equal(now, before):
                raise ContractError(
                    f"it changes the arrays of cfg.problem() (number {index}); train on copies"
                )


def _same_seed_same_bits(run: Trace) -> None:
    bits = []
    for seed in (1, 2):
        for set_seed in _of_loaded(GENERATORS).values():
            set_seed(seed)
        bits.append(Trace(run.train, run.cfg).bits())
    if bits[0] != bits[1]:
        raise ContractError(
            "two runs with the same seed differ; draw randomness only from cfg.seed"
        )


def _returns_weights(run: Trace) -> None:
    if other := computed_dtype(run.cfg.dtype, run.call.weights(), None):
        raise ContractError(f"its weights are {other} where {run.cfg.dtype} was asked for")


def _stops_cleanly(run: Trace) -> None:
    part = max(1, run.cfg.epochs // 2)
    stopped = Trace(run.train, run.cfg, stop_after=part)
    whole = Trace(run.train, run.cfg.with_(epochs=part))
    if stopped.bits() != whole.bits():
        raise ContractError(
            f"stopped at step {part} it is not what a run of {part} steps is; "
            f"nothing may depend on cfg.epochs or follow the loop but the return"
        )


@dataclass(frozen=True)
class Rule:
    """One rule of the contract. Calling it raises ContractError if `train` breaks it."""

    name: str
    text: str
    judge: Callable[[Trace], None]

    def __call__(self, train: Train, cfg: Config = SMALL) -> None:
        self.judge(Trace(train, cfg))

    def __str__(self) -> str:
        return self.name


RULES = (
    Rule("docstring", "its module has a docstring", _has_title),
    Rule("global-state", "it leaves global state alone", _no_global_state),
    Rule("generator", "train(cfg) runs, as a generator of losses", lambda run: None),  # it has run
    Rule("steps", "it pulls its steps from cfg.steps()", lambda run: run.call.check_pulled()),
    Rule("ahead", "it pulls a step only when it is about to do it", _pulls_as_it_goes),
    Rule(
        "one-loss-per-step",
        "it yields one loss per step",
        lambda run: run.call.check_counts(run.clock.pulled, run.clock.yielded, run.clock.epochs),
    ),
    Rule("fresh", "each loss is a value of its own", _fresh_losses),
    Rule("detached", "no loss is attached to its graph", _detached_losses),
    Rule("problem", "the arrays of cfg.problem() stay as they were", _problem_unchanged),
    Rule("seed", "the same seed gives the same bits", _same_seed_same_bits),
    Rule("weights", "it returns the final weights as they came", _returns_weights),
    Rule("stop", "stopped at step k it is a run of k steps", _stops_cleanly),
)


def try_rules(train: Train, cfg: Config = SMALL) -> dict[str, str]:
    """Try every rule; by its name, a sentence that says how it is broken, or nothing."""
    try:
        run = Trace(train, cfg)
    except Exception as error:
        return dict.fromkeys(map(str, RULES), NOT_TRIED) | {"generator": _complaint(error)}
    verdicts = dict.fromkeys(map(str, RULES), "")
    for rule in RULES:
        try:
            rule.judge(run)
        except Exception as error:
            verdicts[rule.name] = _complaint(error)
    return verdicts


def _complaint(error: Exception) -> str:
    if isinstance(error, ContractError):
        return str(error)
    return f"it raised {type(error).__name__}: {error}"
