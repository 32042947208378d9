"""The contract as executable rules, for our implementations and for anybody's.

In a test suite of your own::

    @pytest.mark.parametrize("rule", twolayer.training.check.RULES, ids=str)
    def test_contract(rule):
        rule(train)

`twolayer check ./mine.py` runs the same rules from the command line.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..config.rules import Value
from ..config.settings import Config
from . import contract
from .contract import ContractError, Train
from .loop import TimedConfig, as_floats, computed_dtype

SMALL = Config(N=5, H=4, D_in=6, D_out=3, lr=1e-3, epochs=6, dtype="float64")
"""The problem that the rules train on, unless they are given another."""


class _WatchedConfig(TimedConfig):
    """Settings that keep the arrays handed out, to see what becomes of them."""

    def __init__(self, **values: Value) -> None:
        super().__init__(**values)
        object.__setattr__(self, "arrays", [])

    arrays: list[tuple[np.ndarray, ...]]

    def problem(self, *, middle: bool = False) -> tuple[np.ndarray, ...]:
        self.arrays.append(super().problem(middle=middle))
        return self.arrays[-1]


@dataclass
class Trace:
    """One run, seen from outside: every loss as it was when yielded, and as it is at the end."""

    train: Train
    cfg: _WatchedConfig
    yielded: list[Any] = field(default_factory=list)
    at_once: list[float] = field(default_factory=list)
    states: list[dict[str, Any]] = field(default_factory=list)
    returned: Any = None

    @property
    def weights(self) -> list[np.ndarray]:
        """The weights returned; raises ContractError if it returned something else."""
        return contract.host_arrays(self.train, self.returned)

    def bits(self) -> list[bytes]:
        """Losses and weights as bytes; what is not weights is left to the rule on weights."""
        try:
            weights = self.weights
        except ContractError:
            weights = []
        return [_bits(self.at_once), *(weight.tobytes() for weight in weights)]


def _bits(losses: list[float]) -> bytes:
    return np.asarray(losses, dtype=float).tobytes()


def trace(train: Train, cfg: Config, stop_after: int | None = None) -> Trace:
    """Run `train` to its end.

    Raises ContractError if it is no generator or yields what is not a number.
    """
    run = Trace(train, _WatchedConfig(**cfg.values()))
    clock = run.cfg.clock
    clock.epochs = stop_after or clock.epochs
    generator = contract.begin(train, run.cfg)
    while True:
        try:
            loss = next(generator)
        except StopIteration as end:
            run.returned = end.value
            break
        run.yielded.append(loss)
        run.at_once += contract.numbers(loss)
        run.states.append(global_state())
        clock.yielded = len(run.at_once)
    return run


def global_state() -> dict[str, Any]:
    """The switches of loaded frameworks that an implementation could leave flipped."""
    state: dict[str, Any] = {"numpy.geterr()": np.geterr()}
    if torch := sys.modules.get("torch"):
        state["torch.is_grad_enabled()"] = torch.is_grad_enabled()
        state["torch.get_default_dtype()"] = torch.get_default_dtype()
        state["torch.get_num_threads()"] = torch.get_num_threads()
    if tf := sys.modules.get("tensorflow"):
        state["tf.executing_eagerly()"] = tf.executing_eagerly()
    return state


def _is_generator(train: Train, cfg: Config) -> None:
    trace(train, cfg)


def _pulls_steps(train: Train, cfg: Config) -> None:
    contract.check_pulled(train, trace(train, cfg).cfg.clock.pulled)


def _pulls_as_it_goes(train: Train, cfg: Config) -> None:
    longer = TimedConfig(**cfg.with_(epochs=2 * contract.MOST_AHEAD).values())
    longer.clock.most_ahead = contract.MOST_AHEAD
    generator = contract.begin(train, longer)
    next(generator, None)
    generator.close()


def _one_loss_per_step(train: Train, cfg: Config) -> None:
    clock = trace(train, cfg).cfg.clock
    contract.check_counts(train, clock.pulled, clock.yielded, clock.epochs)


def _fresh_losses(train: Train, cfg: Config) -> None:
    run = trace(train, cfg)
    if _bits(as_floats(run.yielded)) != _bits(run.at_once):
        raise ContractError("it yields a reused buffer: earlier losses change later; yield a copy")


def _detached_losses(train: Train, cfg: Config) -> None:
    if any(getattr(loss, "requires_grad", False) for loss in trace(train, cfg).yielded):
        raise ContractError(contract.ATTACHED)


def _problem_unchanged(train: Train, cfg: Config) -> None:
    run = trace(train, cfg)
    for arrays in run.cfg.arrays:
        middle = len(arrays) > len(cfg.problem())
        for index, (now, before) in enumerate(zip(arrays, cfg.problem(middle=middle), strict=True)):
            if now.shape != before.shape or now.tobytes() != before.tobytes():
                raise ContractError(
                    f"it changes the arrays of cfg.problem() (number {index}); train on copies"
                )


def _same_seed_same_bits(train: Train, cfg: Config) -> None:
    runs = []
    for seed in (1, 2):
        _seed_globals(seed)
        runs.append(trace(train, cfg).bits())
    if runs[0] != runs[1]:
        raise ContractError(
            "two runs with the same seed differ; draw randomness only from cfg.seed"
        )


def _seed_globals(seed: int) -> None:
    """Set the random generators that an implementation must not draw from."""
    random.seed(seed)
    np.random.seed(seed)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(seed)
    if tf := sys.modules.get("tensorflow"):
        tf.random.set_seed(seed)


def _returns_weights(train: Train, cfg: Config) -> None:
    run = trace(train, cfg)
    contract.check_shapes(train, cfg, run.cfg.handed_out, run.weights)
    if other := computed_dtype(cfg.dtype, run.weights, None):
        raise ContractError(f"its weights are {other} where {cfg.dtype} was asked for")


def _stops_cleanly(train: Train, cfg: Config) -> None:
    part = max(1, cfg.epochs // 2)
    stopped = trace(train, cfg, stop_after=part)
    whole = trace(train, cfg.with_(epochs=part))
    if stopped.bits() != whole.bits():
        raise ContractError(
            f"stopped at step {part} it is not what a run of {part} steps is; "
            f"nothing may depend on cfg.epochs or follow the loop but the return"
        )


def _no_global_state(train: Train, cfg: Config) -> None:
    before = global_state()
    run = trace(train, cfg)
    for state in (*run.states, global_state()):
        for name, value in before.items():
            if state.get(name) != value:
                raise ContractError(
                    f"it leaves global state changed: {name} is {state.get(name)}, was {value}; "
                    f"flip no global switch, and never yield inside a `with` that does"
                )


@dataclass(frozen=True)
class Rule:
    """One rule of the contract. Calling it raises ContractError if `train` breaks it."""

    name: str
    text: str
    test: Callable[[Train, Config], None]

    def __call__(self, train: Train, cfg: Config = SMALL) -> None:
        self.test(train, cfg)

    def __str__(self) -> str:
        return self.name


RULES = (
    # First, since a switch that is flipped for good can be seen only before any other run.
    Rule("global-state", "it leaves global state alone", _no_global_state),
    Rule("generator", "train(cfg) is a generator of losses", _is_generator),
    Rule("steps", "it pulls its steps from cfg.steps()", _pulls_steps),
    Rule("ahead", "it pulls a step only when it is about to do it", _pulls_as_it_goes),
    Rule("one-loss-per-step", "it yields one loss per step", _one_loss_per_step),
    Rule("fresh", "each loss is a value of its own", _fresh_losses),
    Rule("detached", "no loss is attached to its graph", _detached_losses),
    Rule("problem", "the arrays of cfg.problem() stay as they were", _problem_unchanged),
    Rule("seed", "the same seed gives the same bits", _same_seed_same_bits),
    Rule("weights", "it returns the final weights as they came", _returns_weights),
    Rule("stop", "stopped at step k it is a run of k steps", _stops_cleanly),
)
NOT_TRIED = "not tried"


def check(train: Train, cfg: Config = SMALL) -> dict[str, str]:
    """Try every rule; returns what broke, by the rule's name: a sentence, or nothing if kept.

    What keeps every rule from being tried is said once, of the rule on generators.
    """
    verdicts = {rule.name: _verdict(rule, train, cfg) for rule in RULES}
    reason = verdicts["generator"]
    if reason:
        verdicts |= {n: NOT_TRIED for n, other in verdicts.items() if other == reason}
        verdicts["generator"] = reason
    return verdicts


def _verdict(rule: Rule, train: Train, cfg: Config) -> str:
    try:
        rule(train, cfg)
    except ContractError as error:
        return str(error)
    except Exception as error:
        return f"it raised {type(error).__name__}: {error}"
    return ""
