"""The settings of a run: their meaning, defaults and limits, in one table.

Everything that knows about settings (YAML files, command-line options, the JSON
schema, ``--help``, the documentation's test) reads this table.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from .rules import DURATION, SIZE, AutoOr, Choice, Name, Number, Rule, Switch, Value, Whole

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np


def _setting(default: Any, rule: Rule, help: str) -> Any:
    return field(default=default, metadata={"rule": rule, "help": help})


@dataclass(frozen=True, kw_only=True)
class Config:
    """The settings of one run, handed to ``train(cfg)``.

    Built directly, it serves a notebook or a test: ``list(train(Config(epochs=10)))``.
    Raises ValueError, naming the setting, what it got and what is allowed.
    """

    N: int = _setting(60, Whole(1), "number of examples (rows of x and y)")
    H: int = _setting(100, Whole(1), "width of the hidden layer")
    D_in: int = _setting(1000, Whole(1), "number of inputs (columns of x)")
    D_out: int = _setting(10, Whole(1), "number of outputs (columns of y)")
    lr: float = _setting(1e-6, Number(above=0), "learning rate")
    momentum: float = _setting(0.0, Number(minimum=0, below=1), "momentum of SGD")
    epochs: int = _setting(1000, Whole(1), "number of full-batch training steps")
    device: str = _setting(
        "cpu",
        Choice("auto", "cpu", "cuda", "mps", pattern=r"cuda:\d+", form="cuda:N"),
        "where to train; auto prefers CUDA where the framework sees it",
    )
    dtype: str = _setting(
        "float32", Choice("float32", "float64"), "floating-point type of data and weights"
    )
    seed: int = _setting(0, Whole(0), "seed of data, starting weights and depths (PCG64)")
    init: str = _setting(
        "normal",
        Choice("normal", "uniform"),
        "starting weights: normal is N(0, 1); uniform is U(-1/sqrt(fan_in), 1/sqrt(fan_in))",
    )
    bias: bool = _setting(False, Switch(), "whether the layers add a bias")
    threads: int | str = _setting(
        "auto",
        AutoOr(Whole(1, 1024)),
        "CPU threads of every framework; auto is the cores it may use",
    )
    log_every: int | str = _setting(
        "auto",
        AutoOr(Whole(1)),
        "epochs between two rows of the loss table; auto gives about ten rows",
    )

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            try:
                checked = setting.metadata["rule"].check(value)
            except ValueError as error:
                raise ValueError(f"{setting.name}: {error} (got {value!r})") from None
            object.__setattr__(self, setting.name, checked)

    def problem(self, *, middle: bool = False) -> tuple[np.ndarray, ...]:
        """Data and starting weights, fresh NumPy arrays of type `dtype`.

        Returns:
            ``x (N, D_in), y (N, D_out)``, then the weights in the order of the layers:
            ``w1 (D_in, H), w2 (H, D_out)``; with `bias` each is followed by its bias
            ``b1 (H,)``, ``b2 (D_out,)``; with `middle` an ``(H, H)`` layer stands between
            the two. What the layers share has the same values in all these forms.
        """
        from .problem import draw

        return draw(self, middle=middle)

    def steps(self) -> Iterable[int]:
        """What the training loop runs over: the epochs, counted from 0."""
        return range(self.epochs)

    def with_(self, **changes: Value) -> Config:
        """The same settings but for `changes`."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def values(self) -> dict[str, Value]:
        """The settings by name, in the order of the table."""
        return {setting.name: getattr(self, setting.name) for setting in fields(Config)}


RULES: dict[str, Rule] = {f.name: f.metadata["rule"] for f in fields(Config)}
HELP: dict[str, str] = {f.name: f.metadata["help"] for f in fields(Config)}
DEFAULTS: dict[str, Value] = {f.name: f.default for f in fields(Config)}  # type: ignore[misc]

SHOWN_ONLY = ("log_every",)
"""Settings that change what is printed, never what is computed."""

OPTIONS: dict[str, tuple[Rule, str]] = {
    "name": (Name(), "name of the experiment: its folder under results/"),
    "timeout": (DURATION, "time that one run may take, in seconds or like 5m"),
    "memory_limit": (SIZE, "memory that one run may take beyond its framework's own, like 2G"),
    "loss_must_fall": (Switch(), "whether a run whose loss did not fall is an error (exit 4)"),
}
"""Keys of a config, apart from settings, that hold one value."""
