"""A sweep file: a config with axes, expanded into runs and checked whole.

Blocks (`grid`, `zip`, `sample`, `runs`; each may also be a list of such) give *points*, and
follow one another; each point is run by each implementation. A point overrides the file's
settings and overrides; the command line overrides the point.
"""

import contextlib
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from .catalogue import Implementation
from .document import Item
from .experiment import SWEEP_KEYS, Experiment
from .plan import Planner, Run, values_of
from .rules import LARGEST
from .settings import OPTIONAL, RULES, SIZES, Config

KEYS = tuple(SWEEP_KEYS)
Point = dict[str, Item]
Block = tuple[int, Callable[[], Iterable[Point]]]
"""How many points there are, and a function that goes through them."""

MOST_VALUES = 1_000_000
"""The longest axis, sample or sweep: beyond it is a slip of the finger."""
_DECIDES = (*SIZES, "dtype", "epochs", "device", *OPTIONAL)
"""The settings that decide whether a run is possible."""


class Sweep:
    """A sweep file, read and validated; `cores` is what `threads: auto` stands for.

    Runs are made anew each time they are gone through; they are never all held at once.
    Raises ConfigError with every mistake.
    """

    def __init__(self, experiment: Experiment, cores: int | None = None) -> None:
        planner = Planner(experiment)
        self.experiment, self.cores = experiment, cores
        self.wrong, self.mistakes = experiment.wrong, experiment.mistakes
        self.implementations = planner.implementations
        self.blocks = list(self._blocks()) or [(1, lambda: [{}])]
        self.repeat = self._count(experiment.extra.get("repeat", Item(1, "")), "repeat", 1)
        self.excluded = list(self._excluded())
        self._check_size()
        checked: set[tuple[Any, ...]] = set()
        for implementation, settings in () if self.mistakes else self.combinations():
            key = (implementation.name, *(settings[name].value for name in _DECIDES))
            if key not in checked:
                checked.add(key)
                planner.check(implementation, settings)
        planner.raise_mistakes()

    def _check_size(self) -> None:
        first = int(self.experiment.settings("")["seed"].value)
        if self.size > MOST_VALUES:
            message = f"asks for {self.size:,} runs; at most {MOST_VALUES:,} can be checked at once"
            message += ": shorten an axis, or draw some of them with `sample`"
            self.experiment.refuse(self.experiment.path.name, "", message)
        elif self.repeat > 1:
            item = self.experiment.extra["repeat"]
            if any("seed" in point for point in self._points()):
                message = "must not stand beside a block that sets the seed; keep one of them"
                self.experiment.refuse(item.origin, "repeat", message)
            elif first + self.repeat > LARGEST:
                message = f"goes beyond the largest seed when it starts at {first}"
                self.wrong(item, "repeat", message)

    def _points(self) -> Iterator[Point]:
        return itertools.chain.from_iterable(points() for _, points in self.blocks)

    @property
    def size(self) -> int:
        """The number of combinations, before exclusions and repetitions of the same run."""
        return sum(size for size, _ in self.blocks) * self.repeat * len(self.implementations)

    def runs(self, condition: Callable[[Mapping[str, Any]], bool] | None = None) -> Iterator[Run]:
        """Every run that is not excluded and for which the condition is true, each once."""
        seen: set[str] = set()
        for implementation, settings in self.combinations():
            config = Config(**values_of(settings))
            if condition and not condition({"impl": implementation.name, **config.values()}):
                continue
            run = Run(implementation, config, self.cores)
            if run.key not in seen:
                seen.add(run.key)
                yield run

    def combinations(self) -> Iterator[tuple[Implementation, Point]]:
        """Implementations with their settings, without what is excluded."""
        first, seeds = self.experiment.settings("")["seed"].value, [Point()]
        if self.repeat > 1:
            origin = self.experiment.extra["repeat"].origin
            seeds = [{"seed": Item(first + n, origin)} for n in range(self.repeat)]
        for point, seed in ((point, seed) for point in self._points() for seed in seeds):
            for implementation in self.implementations:
                settings = self.experiment.settings(implementation.name, point | seed)
                row = {"impl": implementation.name, **values_of(settings)}
                if not any(all(row[k] in v for k, v in rule.items()) for rule in self.excluded):
                    yield implementation, settings

    # --- the blocks of the file

    def _blocks(self) -> Iterator[Block]:
        for key, item in self.experiment.extra.items():
            if key == "runs":
                yield from self._listed(item)
            elif key in ("grid", "zip", "sample"):
                for each in item.elements:
                    yield from self._sample(each) if key == "sample" else self._crossed(key, each)

    def _mapping(self, item: Item, key: str) -> dict[str, Item]:
        if not item.members:
            self.wrong(item, key, "must map settings to values")
        return dict(item.members)

    def _crossed(self, key: str, item: Item) -> Iterator[Block]:
        """`grid` or `zip`: all combinations of some axes, or the axes side by side."""
        named = self._mapping(item, key)
        axes = {name: each for name in named if (each := self._values(name, named[name]))}
        sizes = {name: len(values) for name, values in axes.items()}
        if key == "zip" and len(set(sizes.values())) > 1:
            counts = ", ".join(f"{name} has {size}" for name, size in sizes.items())
            message = f"must have lists of one length ({counts})"
            self.experiment.refuse(item.origin, key, message)
        elif axes:
            combine = itertools.product if key == "grid" else zip
            size = math.prod(sizes.values()) if key == "grid" else min(sizes.values())
            rows = partial(combine, *axes.values())
            yield size, lambda: (dict(zip(axes, row, strict=True)) for row in rows())

    def _listed(self, item: Item) -> Iterator[Block]:
        if not isinstance(item.value, list) or not item.value:
            self.wrong(item, "runs", "must be a list of mappings of settings")
            return
        rows = [self.experiment.checked(self._mapping(each, "runs")) for each in item.elements]
        yield len(rows), lambda: rows

    def _values(self, name: str, item: Item) -> list[Item]:
        """The values of an axis: a list, one value, or `{range: …}`, `{linear: …}`, `{log: …}`."""
        items = item.elements if name in RULES else [item]
        if not items:
            self.wrong(item, name, "must have at least one value")
        if isinstance(item.value, dict) and name in RULES:
            items = [Item(value, item.origin) for value in self._spread(name, item)]
        return [value for each in items for value in self.experiment.checked({name: each}).values()]

    def _spread(self, name: str, item: Item) -> list[int | float]:
        """The numbers of `{range: 5}`, `{range: [start, stop, step]}`, `{log: [from, to, n]}`."""
        kind, numbers = _taken_apart(item)
        with contextlib.suppress(TypeError, ValueError, ArithmeticError), np.errstate(all="ignore"):
            values = _SPREADS[kind](*numbers) if kind in _SPREADS else []
            if 0 < len(values) <= MOST_VALUES and all(map(math.isfinite, values)):
                whole = RULES[name].schema.get("type") == "integer"
                return [round(value) for value in values] if whole else list(values)
        allowed = f"must be a list, or one of {SPREADS_SHOWN}"
        self.wrong(item, name, _as_linear(kind, numbers) or allowed)
        return []

    def _sample(self, item: Item) -> Iterator[Block]:
        settings = self._mapping(item, "sample")
        count = self._count(settings.pop("n", item), "n", 1)
        seed = self._count(settings.pop("seed", Item(0, item.origin)), "seed", 0)
        draws = {name: self._draw(name, each) for name, each in settings.items()}
        if not settings:
            self.wrong(item, "sample", "must say which settings to draw")

        def points() -> Iterator[Point]:
            rng = np.random.default_rng(seed)
            for _ in range(count):
                yield {name: draw(rng) for name, draw in draws.items() if draw}

        yield count, points

    def _count(self, item: Item, key: str, least: int) -> int:
        if type(item.value) is int and least <= item.value <= MOST_VALUES:
            return item.value
        self.wrong(item, key, f"must be a whole number from {least} to {MOST_VALUES}")
        return least

    def _draw(self, name: str, item: Item) -> Callable[[np.random.Generator], Item] | None:
        """How to draw a setting: `{uniform: [a, b]}`, `{log_uniform: [a, b]}`, `{choice: […]}`."""
        kind, ends = _taken_apart(item)
        if kind == "choice" or isinstance(item.value, list) or name not in RULES:
            choices = self._values(name, item.members.get("choice", item))
            return (lambda rng: choices[int(rng.integers(len(choices)))]) if choices else None
        low, high = ends if len(ends) == 2 else (math.nan, math.nan)
        numeric = all(isinstance(end, int | float) for end in (low, high))
        least = {"uniform": -math.inf, "log_uniform": 0}.get(kind, math.inf)
        if not numeric or not least < low < high:
            self.wrong(item, name, f"must be one of {DRAWS_SHOWN}")
            return None
        checked = [self.experiment.checked({name: Item(end, item.origin)}) for end in ends]
        typed = [end.value for each in checked for end in each.values()]
        if len(typed) < 2:
            return None
        return lambda rng: Item(_uniform(rng, *typed, log=kind == "log_uniform"), item.origin)

    def _excluded(self) -> Iterator[dict[str, list[Any]]]:
        """The combinations to leave out: settings, or `impl`, to a value or a list of them."""
        extra, names = self.experiment.extra, [each.name for each in self.implementations]
        for each in extra["exclude"].elements if "exclude" in extra else []:
            rule = dict(self._mapping(each, "exclude"))
            impls = rule["impl"].elements if "impl" in rule else []
            for impl in impls:
                if impl.value not in names:
                    self.wrong(impl, "impl", "must be one of the sweep's implementations")
            values = {n: impls if n == "impl" else self._values(n, i) for n, i in rule.items()}
            if values:
                yield {name: [item.value for item in items] for name, items in values.items()}


def _taken_apart(item: Item) -> tuple[str, list[Any]]:
    """`{word: arguments}` taken apart; nothing of what is not of this form."""
    if len(item.members) != 1:
        return "", []
    ((word, arguments),) = item.value.items()
    return word, arguments if isinstance(arguments, list) else [arguments]


def _linear(low: float, high: float, count: int, space: Any = np.linspace) -> list[float]:
    return list(space(low, high, count).tolist()) if count <= MOST_VALUES else []


def _log(low: float, high: float, count: int) -> list[float]:
    values = _linear(low, high, count, np.geomspace) if min(low, high) > 0 else []
    return [float(f"{value:.12g}") for value in values]  # 1e-06, not 9.999999999999999e-07


_SPREADS: dict[str, Callable[..., Any]] = {"range": range, "linear": _linear, "log": _log}


def _uniform(rng: np.random.Generator, low: Any, high: Any, *, log: bool) -> float:
    """A number between the ends; a whole one may be either end."""
    if log:
        value = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        return min(max(round(value), low), high) if isinstance(low, int) else value
    whole = isinstance(low, int)
    return int(rng.integers(low, high, endpoint=True)) if whole else float(rng.uniform(low, high))


def _as_linear(kind: str, numbers: list[Any]) -> str:
    """A hint for `{range: [0.1, 0.5, 0.1]}`, whose numbers are not whole."""
    with contextlib.suppress(TypeError, ValueError, ArithmeticError):
        low, high, step = numbers
        count = round((high - low) / step) + 1
        if kind == "range" and not isinstance(low + high + step, int):
            return f"range counts in whole numbers; write {{linear: [{low}, {high}, {count}]}}"
    return ""


SPREADS_SHOWN = "{range: 5}, {range: [0, 10, 2]}, {linear: [0, 1, 5]}, {log: [1e-6, 1e-3, 4]}"
DRAWS_SHOWN = "{uniform: [a, b]}, {log_uniform: [a, b]} with 0 < a < b, {choice: […]}"
