"""From a config to the runs it asks for, refused whole where any of them can't be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from . import catalogue, frameworks, machine
from .catalogue import Implementation
from .config import Assigned, Experiment, shown
from .errors import ConfigError, Mistake, UserError, listed, nearest
from .settings import SHOWN_ONLY, Config

HostKey = tuple[tuple[str, ...], int]


@dataclass(frozen=True)
class Run:
    """One implementation with its settings. `missing` says what keeps it from starting."""

    implementation: Implementation
    config: Config
    missing: str = ""

    @property
    def name(self) -> str:
        return self.implementation.name

    @cached_property
    def key(self) -> str:
        """The run's identity: `<impl>-<hash of settings and source>`.

        Settings that only change what is printed have no part in it.
        """
        values = {k: v for k, v in self.config.values().items() if k not in SHOWN_ONLY}
        identity = {"impl": self.name, "config": values, "source": self.implementation.sha256}
        text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
        return f"{self.name}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def make(experiment: Experiment) -> list[Run]:
    """The runs of an experiment, in its order.

    Raises ConfigError with everything that no run could do: unknown implementations,
    settings that one can't honour, sizes that don't fit in memory, a framework missing for
    an implementation that the command line names.
    """
    planner = _Planner(experiment)
    runs = [planner.run(name) for name in experiment.impls]
    planner.twice([run.name for run in runs if run])
    planner.unused_names()
    if mistakes := planner.all_mistakes():
        raise ConfigError(mistakes)
    return [run for run in runs if run]


class _Planner:
    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.mistakes: list[Mistake] = []
        self.refused: dict[tuple[str, str, str, str], list[str]] = {}

    def run(self, asked: Assigned) -> Run | None:
        try:
            implementation = catalogue.find(str(asked.value), self.folder(asked))
            settings = self.experiment.settings(implementation.name)
            self.honourable(implementation, settings)
            config = Config(**{name: a.value for name, a in settings.items()})  # type: ignore[arg-type]
            missing = self.missing(implementation, asked)
        except UserError as error:
            key = "" if asked.origin == "--impl" else "impls"
            self.mistakes.append(Mistake(asked.origin, key, str(error)))
            return None
        self.fits(config, settings)
        return Run(implementation, config, missing)

    def folder(self, asked: Assigned) -> Path:
        """Where a relative path in `impls` starts: beside the config, or here for --impl."""
        return Path() if asked.origin.startswith("--") else self.experiment.path.parent

    def honourable(self, implementation: Implementation, settings: dict[str, Assigned]) -> None:
        for name, assigned in settings.items():
            if reason := implementation.refusal(name, assigned.value):
                what = (assigned.origin, name, reason, shown(assigned.value))
                self.refused.setdefault(what, []).append(implementation.name)

    def missing(self, implementation: Implementation, asked: Assigned) -> str:
        hints = [frameworks.install_hint(name) for name in implementation.missing()]
        if hints and asked.origin == "--impl":
            raise UserError(f"{implementation.name}: {'; '.join(hints)}")
        return "; ".join(hints)

    def fits(self, config: Config, settings: dict[str, Assigned]) -> None:
        from .problem import bytes_needed

        needed, limit = bytes_needed(config), machine.memory_bytes()
        if needed <= limit:
            return
        largest = max(("N", "H", "D_in", "D_out"), key=lambda name: getattr(config, name))
        message = (
            f"is too large: training would need at least {human_bytes(needed)} of memory, "
            f"this machine has {human_bytes(limit)} (got {shown(settings[largest].value)})"
        )
        origin = settings[largest].origin
        if not any(m.origin == origin and m.key == largest for m in self.mistakes):
            self.mistakes.append(Mistake(origin, largest, message))

    def twice(self, names: list[str]) -> None:
        for name in dict.fromkeys(n for n in names if names.count(n) > 1):
            message = f"{name} is listed more than once"
            self.mistakes.append(Mistake(self.experiment.impls[0].origin, "impls", message))

    def unused_names(self) -> None:
        """An override for an implementation that doesn't exist is a typo, not a wish."""
        e = self.experiment
        chosen = {Path(str(a.value)).stem if "." in str(a.value) else a.value for a in e.impls}
        known = {*catalogue.names(), *chosen}
        for layer in (e.overrides, e.said):
            for impl, settings in layer.items():
                if impl and impl not in known:
                    origin = next((a.origin for a in settings.values()), str(e.path))
                    hint = nearest(impl, [str(name) for name in known])
                    message = f"is not an implementation{hint}"
                    self.mistakes.append(Mistake(origin, impl, message))

    def all_mistakes(self) -> list[Mistake]:
        for (origin, key, reason, value), who in self.refused.items():
            reads = "read" if len(who) > 1 else "reads"
            message = f"{reason.format(who=listed(who), reads=reads)} (got {value})"
            self.mistakes.append(Mistake(origin, key, message))
        return self.mistakes


def human_bytes(count: float) -> str:
    """`3.2 GB`: bytes with three digits and a unit of 1000s."""
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if count < 999.5 or unit == "PB":
            break
        count /= 1000
    return f"{count:.3g} {unit}"


def thread_count(config: Config) -> int:
    """The number of threads that a run is given."""
    return machine.usable_cores() if config.threads == "auto" else int(config.threads)


def hosts_needed(runs: Iterable[Run]) -> dict[HostKey, tuple[str, ...]]:
    """The hosts that these runs are forked from, and what each is to import."""
    needed: dict[HostKey, tuple[str, ...]] = {}
    for run in runs:
        if not run.missing:
            key = host_key(run)
            more = run.implementation.preload if key[0] else ()
            needed[key] = tuple(dict.fromkeys((*needed.get(key, ()), *more)))
    return needed


def host_key(run: Run) -> HostKey:
    """The frameworks and threads of the process that a run is forked from.

    A package not known to survive a fork is not imported there; the run imports it itself.
    """
    imports = [name for name in run.implementation.imports if name in frameworks.KNOWN]
    if not all(frameworks.KNOWN[name].forks for name in imports):
        imports = []
    main = tuple(sorted(name for name in imports if name != "numpy"))
    return (main or tuple(imports), thread_count(run.config))
