"""What a sweep file asks for: a config with axes, expanded into runs, validated whole.

Blocks (`grid`, `zip`, `sample`, `runs`; each may also be a list of such) give *points*, and
follow one another; each point is run by each implementation. A point overrides the file's
settings and overrides; the command line overrides the point.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import ConfigError, Mistake
from .catalogue import Implementation
from .document import Item
from .experiment import SWEEP_KEYS, Assigned, Experiment, shown, unknown
from .plan import Planner, Run
from .rules import Whole
from .settings import RULES, Config

KEYS = tuple(SWEEP_KEYS)
Point = dict[str, Assigned]
MOST_VALUES = 1_000_000
"""The longest axis, sample or sweep: beyond it is a slip of the finger."""


@dataclass
class Block:
    """Some points: how many, and a function that goes through them."""

    size: int
    points: Callable[[], Iterator[Point]]
    settings: frozenset[str]


@dataclass
class Sweep:
    """A sweep file, read and validated. Made by `make`.

    Runs are made anew each time they are gone through; they are never all held at once.
    """

    experiment: Experiment
    implementations: list[tuple[Implementation, str]]
    blocks: list[Block]
    repeat: int = 1
    excluded: list[dict[str, list[Any]]] = field(default_factory=list)
    cores: int | None = None

    @property
    def size(self) -> int:
        """The number of combinations, before exclusions and repetitions of the same run."""
        points = sum(block.size for block in self.blocks) if self.blocks else 1
        return points * self.repeat * len(self.implementations)

    def points(self) -> Iterator[Point]:
        """Every point, repeated over seeds as asked."""
        found = itertools.chain.from_iterable(block.points() for block in self.blocks)
        for point in found if self.blocks else [Point()]:
            for turn in range(self.repeat):
                yield self._repeated(point, turn) if self.repeat > 1 else point

    def _repeated(self, point: Point, turn: int) -> Point:
        first = point.get("seed") or self.experiment.settings("")["seed"]
        return point | {"seed": Assigned(int(first.value) + turn, first.origin)}

    def runs(self, wanted: Callable[[Mapping[str, Any]], bool] | None = None) -> Iterator[Run]:
        """Every run that is not excluded and for which `wanted` is true, each once."""
        seen: set[str] = set()
        for run, _ in self._all():
            row = {"impl": run.name, **run.config.values()}
            if self._is_excluded(row) or (wanted and not wanted(row)) or run.key in seen:
                continue
            seen.add(run.key)
            yield run

    def _all(self) -> Iterator[tuple[Run, Point]]:
        bases = [(each, why, *self._layers(each.name)) for each, why in self.implementations]
        for point in self.points():
            values = {name: assigned.value for name, assigned in point.items()}
            for implementation, missing, base, said in bases:
                config = Config(**{**base, **values, **said})
                yield Run(implementation, config, missing, self.cores), point

    def _layers(self, impl: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """What lies below a point, and what the command line lays over it."""
        said = self.experiment.said[""] | self.experiment.said.get(impl, {})
        below = self.experiment.settings(impl)
        return (
            {name: assigned.value for name, assigned in below.items()},
            {name: assigned.value for name, assigned in said.items()},
        )

    def _is_excluded(self, row: Mapping[str, Any]) -> bool:
        return any(all(row[k] in values for k, values in rule.items()) for rule in self.excluded)


def make(experiment: Experiment, cores: int | None = None) -> Sweep:
    """Read the sweep's own keys of an experiment loaded with them, and validate every run.

    `cores` is what `threads: auto` stands for. Raises ConfigError with every mistake.
    """
    planner = Planner(experiment)
    reader = _Reader(experiment, planner.mistakes)
    found = planner.implementations()
    sweep = Sweep(
        experiment,
        found,
        reader.blocks(),
        reader.repeat(),
        reader.excluded([each.name for each, _ in found]),
        cores,
    )
    reader.seeds_are_set_once(sweep)
    planner.unused_names()
    if sweep.size > MOST_VALUES:
        message = f"asks for {sweep.size:,} runs; at most {MOST_VALUES:,} can be checked at once: "
        message += "shorten an axis, or draw some of them with `sample`"
        planner.mistakes.append(Mistake(experiment.path.name, "", message))
    if not planner.mistakes:
        _validate(sweep, planner)
    if mistakes := planner.all_mistakes():
        raise ConfigError(mistakes)
    return sweep


def _validate(sweep: Sweep, planner: Planner) -> None:
    """Find what any run could not do, each kind of thing once."""
    known: set[tuple[Any, ...]] = set()
    for run, point in sweep._all():
        values = run.config.values()
        shape = tuple(values[name] for name in ("N", "H", "D_in", "D_out", "dtype", "epochs"))
        what = tuple(values[name] for name in ("bias", "momentum", "device", "dtype"))
        if (key := (run.name, *what, *shape)) in known:
            continue
        known.add(key)
        settings = sweep.experiment.settings(run.name)
        said = sweep.experiment.said[""] | sweep.experiment.said.get(run.name, {})
        settings = settings | point | said
        if not sweep._is_excluded({"impl": run.name, **values}):
            planner.honourable(run.implementation, settings)
            planner.fits(run.config, {name: a.origin for name, a in settings.items()})


class _Reader:
    """Reads the keys of a sweep; what is wrong goes into `mistakes`."""

    def __init__(self, experiment: Experiment, mistakes: list[Mistake]) -> None:
        self.extra = experiment.extra
        self.mistakes = mistakes

    def wrong(self, item: Item, key: str, message: str) -> None:
        self.mistakes.append(Mistake(item.origin, key, f"{message} (got {shown(item.plain())})"))

    def blocks(self) -> list[Block]:
        """The blocks in the order of the file."""
        kinds = {"grid": self.grid, "zip": self.zip, "sample": self.sample}
        blocks: list[Block | None] = []
        for key, item in self.extra.items():
            if key in kinds:
                items = item.value if isinstance(item.value, list) else [item]
                blocks += [kinds[key](each) for each in items]
            elif key == "runs":
                blocks.append(self.listed(item))
        return [block for block in blocks if block]

    def mapping(self, item: Item, key: str) -> dict[str, Item]:
        if isinstance(item.value, dict) and item.value:
            return item.value
        self.wrong(item, key, "must map settings to values")
        return {}

    def grid(self, item: Item) -> Block | None:
        axes = self.axes(item, "grid")
        if not axes:
            return None
        size = math.prod(len(values) for values in axes.values())
        names = list(axes)

        def points() -> Iterator[Point]:
            for values in itertools.product(*axes.values()):
                yield dict(zip(names, values, strict=True))

        return Block(size, points, frozenset(names))

    def zip(self, item: Item) -> Block | None:
        axes = self.axes(item, "zip")
        lengths = {name: len(values) for name, values in axes.items()}
        if len(set(lengths.values())) > 1:
            counts = ", ".join(f"{name} has {length}" for name, length in lengths.items())
            self.mistakes.append(
                Mistake(item.origin, "zip", f"must have lists of one length ({counts})")
            )
            return None
        rows = [dict(zip(axes, values, strict=True)) for values in zip(*axes.values(), strict=True)]
        return Block(len(rows), lambda: iter(rows), frozenset(axes)) if rows else None

    def listed(self, item: Item) -> Block | None:
        if not isinstance(item.value, list) or not item.value:
            self.wrong(item, "runs", "must be a list of mappings of settings")
            return None
        rows = [self.point(each) for each in item.value]
        return Block(len(rows), lambda: iter(rows), frozenset(itertools.chain(*rows)))

    def point(self, item: Item) -> Point:
        checked = {
            name: self.checked(name, value) for name, value in self.mapping(item, "runs").items()
        }
        return {name: value for name, value in checked.items() if value}

    def axes(self, item: Item, key: str) -> dict[str, list[Assigned]]:
        axes = {name: self.values(name, each) for name, each in self.mapping(item, key).items()}
        return {name: values for name, values in axes.items() if values}

    def checked(self, name: str, item: Item) -> Assigned | None:
        """One value of a setting, if there is such a setting and it may have that value."""
        if name not in RULES:
            self.mistakes.append(unknown(name, item.key_origin or item.origin, RULES))
            return None
        try:
            return Assigned(RULES[name].check(item.plain()), item.origin)
        except ValueError as error:
            self.wrong(item, name, str(error))
            return None

    def values(self, name: str, item: Item) -> list[Assigned]:
        """The values of an axis: a list, one value, or `{range: …}`, `{linear: …}`, `{log: …}`."""
        if name not in RULES:
            self.checked(name, item)
            return []
        if isinstance(item.value, list):
            if not item.value:
                self.wrong(item, name, "must have at least one value")
            items: Iterable[Item] = item.value
        elif isinstance(item.value, dict):
            items = (Item(value, item.origin) for value in self.spread(name, item))
        else:
            items = [item]
        checked = [self.checked(name, each) for each in items]
        return [each for each in checked if each]

    def spread(self, name: str, item: Item) -> list[int | float]:
        """The numbers of `{range: 5}`, `{range: [start, stop, step]}`, `{log: [from, to, n]}`."""
        kind, numbers = self.call(item, ("range", "linear", "log"))
        try:
            with np.errstate(all="ignore"):
                values = _SPREADS[kind](*numbers) if kind else []
            values = values if all(map(math.isfinite, values)) else []
        except (TypeError, ValueError, ArithmeticError):
            values = []
        if not values or len(values) > MOST_VALUES:
            allowed = f"must be a list, or one of {SPREADS_SHOWN}"
            self.wrong(item, name, _as_linear(kind, numbers) or allowed)
            return []
        return [round(v) for v in values] if isinstance(RULES[name], Whole) else values

    def call(self, item: Item, kinds: tuple[str, ...]) -> tuple[str, list[Any]]:
        """A mapping of one word to its arguments."""
        if isinstance(item.value, dict) and len(item.value) == 1:
            kind, arguments = next(iter(item.value.items()))
            if kind in kinds:
                plain = arguments.plain()
                return kind, plain if isinstance(plain, list) else [plain]
        return "", []

    def sample(self, item: Item) -> Block | None:
        settings = dict(self.mapping(item, "sample"))
        count = self.number(settings.pop("n", None), item, "n", 1)
        seed = self.number(settings.pop("seed", Item(0, item.origin)), item, "seed", 0)
        draws = {name: self.draw(name, each) for name, each in settings.items()}
        if not settings:
            self.wrong(item, "sample", "must say which settings to draw")
        if count is None or seed is None or not settings or not all(draws.values()):
            return None

        def points() -> Iterator[Point]:
            rng = np.random.default_rng(seed)
            for _ in range(count):
                yield {name: draw(rng) for name, draw in draws.items() if draw}

        return Block(count, points, frozenset(draws))

    def number(self, item: Item | None, block: Item, key: str, least: int) -> int | None:
        value = item.plain() if item else None
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= MOST_VALUES:
            return value
        self.wrong(item or block, key, f"must be a whole number from {least} to {MOST_VALUES}")
        return None

    def draw(self, name: str, item: Item) -> Callable[[np.random.Generator], Assigned] | None:
        """How to draw a setting: `{uniform: [a, b]}`, `{log_uniform: [a, b]}`, `{choice: […]}`."""
        kind, numbers = self.call(item, ("uniform", "log_uniform", "choice"))
        if name not in RULES:
            self.checked(name, item)
            return None
        if kind == "choice" or isinstance(item.value, list):
            choices = self.values(name, Item(item.value["choice"].value, item.origin)
                                  if kind else item)  # fmt: skip
            return (lambda rng: choices[int(rng.integers(len(choices)))]) if choices else None
        low, high = [*numbers, None, None][:2]
        fine = len(numbers) == 2 and all(isinstance(x, int | float) for x in numbers)
        if not kind or not fine or not low < high or (kind == "log_uniform" and low <= 0):
            self.wrong(item, name, f"must be one of {DRAWS_SHOWN}")
            return None
        ends = [self.checked(name, Item(end, item.origin)) for end in (low, high)]
        if not ends[0] or not ends[1]:
            return None
        whole, log = isinstance(ends[0].value, int), kind == "log_uniform"
        return lambda rng: Assigned(_drawn(rng, low, high, log=log, whole=whole), item.origin)

    def repeat(self) -> int:
        item = self.extra.get("repeat")
        return 1 if item is None else self.number(item, item, "repeat", 1) or 1

    def seeds_are_set_once(self, sweep: Sweep) -> None:
        if sweep.repeat == 1:
            return
        item, first = self.extra["repeat"], int(sweep.experiment.settings("")["seed"].value)
        if any("seed" in block.settings for block in sweep.blocks):
            message = "and a block both set the seed; keep one of them"
            self.mistakes.append(Mistake(item.origin, "repeat", message))
        elif first + sweep.repeat > Whole.largest:
            self.wrong(item, "repeat", f"goes beyond the largest seed when it starts at {first}")

    def excluded(self, impls: list[str]) -> list[dict[str, list[Any]]]:
        """The combinations to leave out: settings, or `impl`, to a value or a list of them."""
        item = self.extra.get("exclude")
        if item is None:
            return []
        rules = []
        for each in item.value if isinstance(item.value, list) else [item]:
            rule = dict(self.mapping(each, "exclude"))
            named = rule.pop("impl", None)
            values = {n: [a.value for a in self.values(n, i)] for n, i in rule.items()}
            if named:
                values["impl"] = self.named(named, impls)
            rules.append(values)
        return [rule for rule in rules if rule]

    def named(self, item: Item, impls: list[str]) -> list[Any]:
        names = item.value if isinstance(item.value, list) else [item]
        for name in names:
            if name.value not in impls:
                self.wrong(name, "impl", "must be one of the sweep's implementations")
        return [name.value for name in names]


def _range(*numbers: int) -> list[int | float]:
    wanted = range(*numbers)
    return list(wanted) if len(wanted) <= MOST_VALUES else []


def _linear(low: float, high: float, count: int) -> list[int | float]:
    values: list[int | float] = np.linspace(low, high, min(count, MOST_VALUES + 1)).tolist()
    return values


def _as_linear(kind: str, numbers: list[Any]) -> str:
    """What to say of `{range: [0.1, 0.5, 0.1]}`, whose numbers are no counts."""
    try:
        low, high, step = numbers
        count = round((high - low) / step) + 1
    except (TypeError, ValueError, ArithmeticError):
        return ""
    if kind != "range" or isinstance(low + high + step, int):
        return ""
    return f"range counts in whole numbers; write {{linear: [{low}, {high}, {count}]}}"


def _log(low: float, high: float, count: int) -> list[int | float]:
    if low <= 0 or high <= 0:
        raise ValueError
    values = np.geomspace(low, high, min(count, MOST_VALUES + 1)).tolist()
    return [float(f"{value:.12g}") for value in values]  # 1e-06, not 9.999999999999999e-07


_SPREADS: dict[str, Callable[..., list[int | float]]] = {
    "range": _range,
    "linear": _linear,
    "log": _log,
}
SPREADS_SHOWN = "{range: 5}, {range: [0, 10, 2]}, {linear: [0, 1, 5]}, {log: [1e-6, 1e-3, 4]}"
DRAWS_SHOWN = "{uniform: [a, b]}, {log_uniform: [a, b]} with 0 < a < b, {choice: […]}"


def _drawn(
    rng: np.random.Generator, low: float, high: float, *, log: bool, whole: bool
) -> int | float:
    """A number between two ends; a whole one may be either end."""
    if whole and not log:
        return int(rng.integers(int(low), int(high), endpoint=True))
    value = float(np.exp(rng.uniform(np.log(low), np.log(high))) if log else rng.uniform(low, high))
    return min(max(round(value), int(low)), int(high)) if whole else value
