"""From a config to its runs; if one of them is impossible, all are refused."""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import machine
from ..errors import ConfigError, Mistake, UserError, nearest
from . import catalogue, frameworks
from .catalogue import Implementation, Refusal
from .document import Item
from .experiment import Experiment, as_written
from .settings import SHOWN_ONLY, SIZES, Config

HostKey = tuple[tuple[str, ...], int]
HostsNeeded = dict[HostKey, tuple[str, ...]]


@dataclass(frozen=True)
class Run:
    """One implementation with its settings."""

    implementation: Implementation
    config: Config
    cores: int | None = None  # what `threads: auto` stands for, if not all

    @property
    def name(self) -> str:
        return self.implementation.name

    @property
    def missing(self) -> str:
        return self.implementation.missing_frameworks

    @property
    def threads(self) -> int:
        if self.config.threads == "auto":
            return self.cores or machine.usable_cores()
        return int(self.config.threads)

    @cached_property
    def key(self) -> str:
        """`<impl>-<hash>`: the hash is of the source and of all settings but SHOWN_ONLY."""
        values = {k: v for k, v in self.config.values().items() if k not in SHOWN_ONLY}
        identity = {"impl": self.name, "config": values, "source": self.implementation.sha256}
        text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
        name = self.name.replace("/", "-")
        return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def make(experiment: Experiment) -> list[Run]:
    """The runs of an experiment, in its order; a ConfigError if any of them is impossible."""
    planner = Planner(experiment)
    configs = [planner.check(i, experiment.settings(i.name)) for i in planner.implementations]
    planner.raise_mistakes()
    return list(map(Run, planner.implementations, configs))


def notes(implementations: Iterable[Implementation]) -> list[str]:
    """Possible problems: packages that can't be found, broken registrations, old names."""
    own = (note for each in dict.fromkeys(implementations) for note in each.notes())
    return [*catalogue.problems(), *own]


class Planner:
    """Checks whether an experiment's runs are possible, adding to the mistakes of its config."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.mistakes = experiment.mistakes
        self.refused: dict[tuple[str, Refusal, str], list[str]] = {}
        self.implementations = self._implementations()
        self._check_names()

    def _implementations(self) -> list[Implementation]:
        chosen: dict[Path, Implementation] = {}
        for name in self.experiment.impls:
            option = name.origin.startswith("--")
            folder = Path() if option else self.experiment.path.parent
            try:
                implementation = catalogue.find(str(name.value), folder)
                missing = implementation.missing_frameworks  # refuses what is not Python
                if option and missing:
                    raise UserError(f"{implementation.name}: {missing}")
                if implementation.source in chosen:
                    raise UserError(f"{implementation.name}: is listed more than once; keep one")
                chosen[implementation.source] = implementation
            except UserError as error:
                self.experiment.refuse(name.origin, "" if option else "impls", str(error))
        return catalogue.with_distinct_names(list(chosen.values()))

    def _check_names(self) -> None:
        """A setting for an implementation that doesn't exist is a typo, not a wish."""
        experiment, complete = self.experiment, not self.mistakes
        chosen = {implementation.name for implementation in self.implementations}
        paths = (Path(str(name.value)) for name in (*experiment.listed, *experiment.impls))
        files = {path.stem for path in paths if path.suffix == ".py"}
        known = {*catalogue.names(), *files, *chosen}
        known |= {name for name in experiment.overrides if name.rpartition("/")[2] in files}
        for impl, origin in experiment.named_at.items():
            option = origin.startswith("--")
            word = f"{impl} " if option else ""
            if impl not in known:
                hint = nearest(impl, known)
                experiment.refuse(origin, impl, f"{word}is not an implementation{hint}")
            elif option and impl not in chosen and complete:
                experiment.refuse(origin, impl, f"{word}is not among those to run")

    def check(self, implementation: Implementation, settings: dict[str, Item]) -> Config:
        """The Config of these settings; those that the implementation can't honour are noted."""
        for name, item in settings.items():
            if refusal := implementation.refusal(name, item.value):
                what = item.origin, refusal, as_written(item.value)
                self.refused.setdefault(what, []).append(implementation.name)
        dtype, wrong = settings["dtype"], self.experiment.wrong
        if settings["device"].value == "mps" and dtype.value == "float64":
            wrong(dtype, "dtype", "must be float32 on mps, which has no float64")
        config, has = Config(**values_of(settings)), machine.memory_bytes()
        for name, needs in _bytes_needed(config).items():
            item = settings[name]
            noted = any((m.origin, m.key) == (item.origin, name) for m in self.mistakes)
            if needs > has and not noted:
                message = f"training would need at least {human_bytes(needs)} of memory"
                message += f", this machine has {human_bytes(has)}"
                wrong(item, name, f"is too large: {message}")
        return config

    def raise_mistakes(self) -> None:
        """Raise ConfigError with everything noted, in the order of file and command line."""
        for (origin, refusal, value), names in self.refused.items():
            message = f"{refusal.of(*names)} (got {value})"
            self.experiment.refuse(origin, refusal.setting, message)
        if self.mistakes:
            raise ConfigError(sorted(self.mistakes, key=_order))


def values_of(settings: dict[str, Item]) -> dict[str, Any]:
    return {name: assigned.value for name, assigned in settings.items()}


def _bytes_needed(cfg: Config) -> dict[str, int]:
    """The least memory, in bytes, of any implementation, by the setting that decides it.

    The network: data, hidden activations and weights, with gradients. The epochs: a loss and
    a time each.
    """
    ends = cfg.D_in + cfg.D_out
    numbers = cfg.N * ends + 2 * cfg.N * (cfg.H + cfg.D_out) + 2 * cfg.H * ends
    largest = max(SIZES, key=lambda name: getattr(cfg, name))
    return {largest: (8 if cfg.dtype == "float64" else 4) * numbers, "epochs": 24 * cfg.epochs}


def _order(mistake: Mistake) -> tuple[int, ...]:
    """The order of mistakes: those in the file from its top, then those on the command line."""
    place = re.search(r":(\d+):(\d+)$", mistake.origin)
    return (0, *map(int, place.groups())) if place else (1,)


def human_bytes(count: float) -> str:
    """`3.2 GB`: bytes with three digits and a unit of 1000s."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} PB" if count < 1000 else "over 1000 PB"


def hosts_needed(runs: Iterable[Run]) -> HostsNeeded:
    """The hosts that these runs are forked from, and what each is to import."""
    needed: HostsNeeded = {}
    for run in runs:
        if not run.missing:
            key = host_key(run)
            needed[key] = tuple(dict.fromkeys((*needed.get(key, ()), *_early_imports(run))))
    return needed


def host_key(run: Run) -> HostKey:
    """The frameworks and threads of the process that a run is forked from."""
    tops = {module.partition(".")[0] for module in _early_imports(run)}
    return (tuple(sorted(tops - {"numpy"} or tops)), run.threads)


def _early_imports(run: Run) -> tuple[str, ...]:
    """The framework modules that a run's host imports for it: none if one may not be forked."""
    known = [m for m in run.implementation.preload if m.partition(".")[0] in frameworks.KNOWN]
    safe = all(frameworks.KNOWN[module.partition(".")[0]].forks for module in known)
    return tuple(known) if safe else ()
