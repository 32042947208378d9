"""The settings of a run: their meaning, defaults and limits, in one table.

YAML files, command-line options, the JSON schema and `--help` are all made from it.
"""

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from .rules import DURATION, NAME, SIZE, SWITCH, Rule, Value, auto_or, choice, numeric

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np


def _setting(default: Any, rule: Rule, help: str, *, optional: bool = False) -> Any:
    return field(default=default, metadata={"rule": rule, "help": help, "optional": optional})


_POSITIVE = numeric(int, minimum=1)


@dataclass(frozen=True, kw_only=True)
class Config:
    """The settings of one run, handed to ``train(cfg)``.

    Built directly, it serves a notebook or a test: ``list(train(Config(epochs=10)))``.
    Raises ValueError, naming the setting, what it got and what is allowed.
    """

    N: int = _setting(60, _POSITIVE, "number of examples (rows of x and y)")
    H: int = _setting(100, _POSITIVE, "width of the hidden layer")
    D_in: int = _setting(1000, _POSITIVE, "number of inputs (columns of x)")
    D_out: int = _setting(10, _POSITIVE, "number of outputs (columns of y)")
    lr: float = _setting(1e-6, numeric(float, exclusiveMinimum=0), "learning rate")
    momentum: float = _setting(
        0.0, numeric(float, minimum=0, exclusiveMaximum=1), "momentum of SGD", optional=True
    )
    epochs: int = _setting(1000, _POSITIVE, "full-batch training steps")
    device: str = _setting(
        "cpu",
        replace(choice("auto", "cpu", "cuda", "mps", "cuda:N"), metavar="DEVICE"),
        "where to train: cpu, cuda, cuda:N, mps, or auto (CUDA if it is seen)",
    )
    dtype: str = _setting("float32", choice("float32", "float64"), "type of data and weights")
    seed: int = _setting(0, numeric(int, minimum=0), "seed of data, starting weights and depths")
    init: str = _setting(
        "normal",
        choice("normal", "uniform"),
        "starting weights: normal is N(0, 1); uniform is U(±1/sqrt(fan_in))",
    )
    bias: bool = _setting(False, SWITCH, "whether the layers add a bias", optional=True)
    threads: int | str = _setting(
        "auto",
        auto_or(numeric(int, minimum=1, maximum=1024)),
        "CPU threads of every framework; auto: all cores it may use",
    )
    log_every: int | str = _setting(
        "auto",
        auto_or(_POSITIVE),
        "epochs between rows of the loss table; auto: about ten rows",
    )

    def __post_init__(self) -> None:
        for name, value in self.values().items():
            try:
                object.__setattr__(self, name, RULES[name].check(value))
            except ValueError as error:
                raise ValueError(f"{name}: {error} (got {value!r})") from None

    def problem(self, *, middle: bool = False) -> "tuple[np.ndarray, ...]":
        """Data and starting weights, fresh NumPy arrays of type `dtype`.

        Everything is drawn in float64 and then rounded, so a seed means the same problem in
        every dtype. The optional parts are drawn last, so they never change the rest.

        Returns:
            ``x (N, D_in), y (N, D_out)``, then the weights in the order of the layers:
            ``w1 (D_in, H), w2 (H, D_out)``; with `bias` each is followed by its bias
            ``b1 (H,)``, ``b2 (D_out,)``; with `middle` an ``(H, H)`` layer stands between
            the two.
        """
        import numpy as np

        rng = np.random.default_rng(self.seed)

        def draw(fan_in: int, *shape: int) -> "np.ndarray":
            if self.init == "normal":
                return rng.standard_normal(shape)
            bound = 1 / np.sqrt(fan_in)  # what torch.nn.Linear draws weights and biases from
            return rng.uniform(-bound, bound, shape)

        x, y = (rng.standard_normal((self.N, columns)) for columns in (self.D_in, self.D_out))
        ends = [(self.D_in, self.H), (self.H, self.D_out)]
        weights = [draw(rows, rows, columns) for rows, columns in ends]
        biases = [draw(rows, columns) for rows, columns in ends]
        if middle:
            weights.insert(1, draw(self.H, self.H, self.H))
            biases.insert(1, draw(self.H, self.H))
        layers = zip(weights, biases, strict=True)
        parts = [part for layer in layers for part in (layer if self.bias else layer[:1])]
        return tuple(array.astype(self.dtype) for array in (x, y, *parts))

    def steps(self) -> "Iterable[int]":
        """What the training loop runs over: the epochs, counted from 0."""
        return range(self.epochs)

    def with_(self, **changes: Any) -> "Config":
        """The same settings but for `changes`."""
        return replace(self, **changes)

    def values(self) -> dict[str, Value]:
        """The settings by name, in the order of the table."""
        return {name: getattr(self, name) for name in RULES}


RULES: dict[str, Rule] = {f.name: f.metadata["rule"] for f in fields(Config)}
HELP: dict[str, str] = {f.name: f.metadata["help"] for f in fields(Config)}
DEFAULTS: dict[str, Any] = {f.name: f.default for f in fields(Config)}

SIZES = ("N", "H", "D_in", "D_out")
OPTIONAL = tuple(sorted(f.name for f in fields(Config) if f.metadata["optional"]))
"""Settings that an implementation which never reads them can only have at their defaults."""

SHOWN_ONLY = ("log_every",)
"""Settings that change what is printed, never what is computed."""

OPTIONS: dict[str, tuple[Rule, str]] = {
    "name": (NAME, "the experiment's folder under results/"),
    "timeout": (DURATION, "time of one run, in seconds or like 5m"),
    "memory_limit": (SIZE, "memory of one run beyond its framework's own, like 2G"),
    "loss_must_fall": (SWITCH, "whether a run whose loss did not fall is an error (exit 4)"),
}
"""Keys of a config, apart from settings, that hold one value."""
