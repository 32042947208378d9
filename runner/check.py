"""The contract as executable rules, for our implementations and for anybody's.

In a test suite of your own::

    @pytest.mark.parametrize("rule", twolayer.check.RULES, ids=str)
    def test_contract(rule):
        rule(train)

`twolayer check ./mine.py` runs the same rules from the command line.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .settings import Config
from .training import ContractError, Train, as_floats, host_arrays

SMALL = Config(N=5, H=4, D_in=6, D_out=3, lr=1e-3, epochs=6, dtype="float64")
"""The problem that the rules train on, unless they are given another."""


class _WatchedConfig(Config):
    """Settings that count the steps pulled, end early, and remember the arrays handed out."""

    pulled: int
    stop_after: int | None
    handed_out: list[tuple[np.ndarray, ...]]

    @classmethod
    def of(cls, cfg: Config, stop_after: int | None) -> _WatchedConfig:
        watched = cls(**cfg.values())  # type: ignore[arg-type]
        watched.__dict__.update(pulled=0, stop_after=stop_after, handed_out=[])
        return watched

    def steps(self) -> Iterator[int]:
        for step in range(self.epochs):
            if step == self.stop_after:
                return
            self.__dict__["pulled"] += 1
            yield step

    def problem(self, *, middle: bool = False) -> tuple[np.ndarray, ...]:
        arrays = super().problem(middle=middle)
        self.handed_out.append(arrays)
        return arrays


@dataclass
class Trace:
    """One run, seen from outside: every loss as it was when yielded, and as it is at the end."""

    cfg: _WatchedConfig
    yielded: list[Any] = field(default_factory=list)
    at_once: list[float] = field(default_factory=list)
    states: list[dict[str, Any]] = field(default_factory=list)
    returned: Any = None

    @property
    def weights(self) -> list[np.ndarray]:
        """The weights returned; raises ContractError if it returned something else."""
        return host_arrays(self.returned)

    def bits(self) -> list[bytes]:
        """Losses and weights as bytes; what is not weights is left to the rule on weights."""
        try:
            weights = self.weights
        except ContractError:
            weights = []
        return [_bits(self.at_once), *(weight.tobytes() for weight in weights)]


def _bits(losses: list[float]) -> bytes:
    return np.asarray(losses, dtype=float).tobytes()


class NotAGeneratorError(ContractError):
    """There is nothing to try any other rule on."""


def trace(train: Train, cfg: Config, stop_after: int | None = None) -> Trace:
    """Run `train` to its end.

    Raises ContractError if it is no generator or yields what is not a number.
    """
    run = Trace(_WatchedConfig.of(cfg, stop_after))
    generator: Any = train(run.cfg)
    if not hasattr(generator, "send"):
        raise NotAGeneratorError(
            f"train(cfg) must be a generator that yields losses, got {type(generator).__name__}"
        )
    while True:
        try:
            loss = next(generator)
        except StopIteration as end:
            run.returned = end.value
            break
        run.yielded.append(loss)
        run.at_once += _floats(loss)
        run.states.append(global_state())
    return run


def _floats(loss: Any) -> list[float]:
    try:
        return as_floats([loss])
    except (TypeError, ValueError, RuntimeError) as error:
        kind = type(loss).__name__
        raise ContractError(f"train(cfg) must yield numbers, got {kind}: {error}") from None


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
    if trace(train, cfg).cfg.pulled == 0:
        raise ContractError("train(cfg) never pulled a step from cfg.steps()")


def _one_loss_per_step(train: Train, cfg: Config) -> None:
    run = trace(train, cfg)
    got, pulled = len(run.at_once), run.cfg.pulled
    if got != pulled:
        how = "too many" if got > pulled else "too few"
        raise ContractError(f"it yields {how} losses: {got} for {pulled} steps")
    if pulled != cfg.epochs:
        raise ContractError(f"it pulls {pulled} steps where cfg.steps() has {cfg.epochs}")


def _fresh_losses(train: Train, cfg: Config) -> None:
    run = trace(train, cfg)
    if _bits(as_floats(run.yielded)) != _bits(run.at_once):
        raise ContractError("it yields a reused buffer: earlier losses change later; yield a copy")


def _detached_losses(train: Train, cfg: Config) -> None:
    if any(getattr(loss, "requires_grad", False) for loss in trace(train, cfg).yielded):
        raise ContractError(
            "it yields a tensor attached to its graph, which keeps every step in memory; "
            "yield loss.detach()"
        )


def _problem_unchanged(train: Train, cfg: Config) -> None:
    run = trace(train, cfg)
    for arrays in run.cfg.handed_out:
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
    weights = run.weights
    if not weights:
        raise ContractError("the weights are missing at the end: return them as NumPy arrays")
    if run.cfg.handed_out:
        wanted = [_described(array) for array in run.cfg.handed_out[-1][2:]]
        got = [_described(weight) for weight in weights]
        if got != wanted:
            raise ContractError(
                f"it returns weights as {', '.join(got)}; they came, and must be returned, as "
                f"{', '.join(wanted)}"
            )


def _described(array: np.ndarray) -> str:
    return f"{array.dtype} {array.shape}"


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
