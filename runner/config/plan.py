"""From a config to the runs it asks for, refused whole where any of them can't be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .. import machine
from ..errors import ConfigError, Mistake, UserError, listed, nearest
from . import catalogue, frameworks
from .catalogue import Implementation
from .experiment import Assigned, Experiment, shown
from .settings import SHOWN_ONLY, Config

HostKey = tuple[tuple[str, ...], int]
HostsNeeded = dict[HostKey, tuple[str, ...]]


@dataclass(frozen=True)
class Run:
    """One implementation with its settings.

    `missing` says what keeps it from starting; `cores`, how many `threads: auto` stands for
    (None: all that this process may use).
    """

    implementation: Implementation
    config: Config
    missing: str = ""
    cores: int | None = None

    @property
    def name(self) -> str:
        return self.implementation.name

    @property
    def threads(self) -> int:
        """The number of threads that it is given."""
        if self.config.threads == "auto":
            return self.cores or machine.usable_cores()
        return int(self.config.threads)

    @cached_property
    def key(self) -> str:
        """The run's identity: `<impl>-<hash of settings and source>`.

        Settings that only change what is printed have no part in it.
        """
        values = {k: v for k, v in self.config.values().items() if k not in SHOWN_ONLY}
        identity = {"impl": self.name, "config": values, "source": self.implementation.sha256}
        text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
        name = self.name.replace("/", "-")
        return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def make(experiment: Experiment) -> list[Run]:
    """The runs of an experiment, in its order.

    Raises ConfigError with everything that no run could do: unknown implementations,
    settings that one can't honour, sizes that don't fit in memory, a framework missing for
    an implementation that the command line names.
    """
    planner = Planner(experiment)
    runs = [planner.run(*found) for found in planner.implementations()]
    planner.unused_names()
    if mistakes := planner.all_mistakes():
        raise ConfigError(mistakes)
    return runs


def notes(implementations: Iterable[Implementation]) -> list[str]:
    """What may go wrong, but need not: packages that can't be found, broken registrations."""
    return [
        *(f"{problem}; it is left out" for problem in catalogue.problems()),
        *(
            f"{each.name} imports {listed(missing)}, which can't be found before the run"
            for each in dict.fromkeys(implementations)
            if (missing := [n for n in each.missing() if n not in frameworks.KNOWN])
        ),
    ]


class Planner:
    """Finds what an experiment's runs could not do. `mistakes` are those of its config, too."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.mistakes = list(experiment.mistakes)
        self.names: set[str] = set()
        self.refused: dict[tuple[str, str, str, str], list[str]] = {}

    def run(self, implementation: Implementation, missing: str) -> Run:
        """The run of one of the experiment's implementations."""
        settings = self.experiment.settings(implementation.name)
        self.honourable(implementation, settings)
        config = Config(**{name: a.value for name, a in settings.items()})  # type: ignore[arg-type]
        self.fits(config, {name: a.origin for name, a in settings.items()})
        return Run(implementation, config, missing)

    def implementations(self) -> list[tuple[Implementation, str]]:
        """The experiment's implementations, and what keeps each from starting."""
        found: dict[Path, tuple[Implementation, str]] = {}
        for asked in self.experiment.impls:
            try:
                implementation = catalogue.find(str(asked.value), self.folder(asked))
                missing = self.missing(implementation, asked)
                implementation.sources  # noqa: B018 (reads the file, which may not be Python)
            except UserError as error:
                key = "" if asked.origin == "--impl" else "impls"
                self.mistakes.append(Mistake(asked.origin, key, str(error)))
                continue
            if implementation.source in found:
                message = f"{implementation.name} is listed more than once"
                self.mistakes.append(Mistake(asked.origin, "impls", message))
            found[implementation.source] = implementation, missing
        named = catalogue.told_apart([implementation for implementation, _ in found.values()])
        self.names = {implementation.name for implementation in named}
        whys = (why for _, why in found.values())
        return list(zip(named, whys, strict=True))

    def folder(self, asked: Assigned) -> Path:
        """Where a relative path in `impls` starts: beside the config, or here for --impl."""
        return Path() if asked.origin.startswith("--") else self.experiment.path.parent

    def honourable(self, implementation: Implementation, settings: dict[str, Assigned]) -> None:
        """Note the settings that an implementation can't honour."""
        for name, assigned in settings.items():
            if reason := implementation.refusal(name, assigned.value):
                what = (assigned.origin, name, reason, shown(assigned.value))
                self.refused.setdefault(what, []).append(implementation.name)
        if settings["device"].value == "mps" and settings["dtype"].value == "float64":
            message = "must be float32 on mps, which has no float64 (got float64)"
            self.mistakes.append(Mistake(settings["dtype"].origin, "dtype", message))

    def missing(self, implementation: Implementation, asked: Assigned) -> str:
        hints = frameworks.missing(implementation.imports)
        if hints and asked.origin == "--impl":
            raise UserError(f"{implementation.name}: {hints}")
        return hints

    def fits(self, config: Config, origins: dict[str, str]) -> None:
        """Note the sizes that can't fit in memory; `origins` says where settings came from."""
        from .problem import bytes_needed

        limit = machine.memory_bytes()
        for name, needed in bytes_needed(config).items():
            said = any((m.origin, m.key) == (origins[name], name) for m in self.mistakes)
            if needed > limit and not said:
                message = (
                    f"is too large: training would need at least {human_bytes(needed)} of memory,"
                    f" this machine has {human_bytes(limit)} (got {shown(getattr(config, name))})"
                )
                self.mistakes.append(Mistake(origins[name], name, message))

    def unused_names(self) -> None:
        """An override for an implementation that doesn't exist is a typo, not a wish."""
        e = self.experiment
        values = [str(assigned.value) for assigned in (*e.listed, *e.impls)]
        files = {Path(value).stem for value in values if value.endswith(".py")}
        known = {*catalogue.names(), *files, *self.names}
        known |= {name for name in e.named_at if name.rpartition("/")[2] in files}
        for impl, settings in e.said.items():
            if impl in known and impl not in self.names and settings and not self.mistakes:
                origin = next(a.origin for a in settings.values())
                self.mistakes.append(Mistake(origin, impl, f"{impl} is not among those to run"))
        named = e.named_at | {
            impl: next(a.origin for a in settings.values())
            for impl, settings in e.said.items()
            if impl and settings
        }
        for impl, origin in named.items():
            if impl not in known:
                hint = nearest(impl, [str(name) for name in known])
                who = f"{impl}: " if origin.startswith("--") else ""
                message = f"{who}is not an implementation{hint}"
                self.mistakes.append(Mistake(origin, impl, message))

    def all_mistakes(self) -> list[Mistake]:
        """Everything noted, in the order of the file, then of the command line."""
        for (origin, key, reason, value), who in self.refused.items():
            reads = "read" if len(who) > 1 else "reads"
            message = f"{reason.format(who=listed(who), reads=reads)} (got {value})"
            self.mistakes.append(Mistake(origin, key, message))
        return sorted(dict.fromkeys(self.mistakes), key=_place)


def _place(mistake: Mistake) -> tuple[bool, int, int]:
    """The order of mistakes: those in the file from its top, then those on the command line."""
    _, _, place = mistake.origin.partition(":")
    line, _, column = place.partition(":")
    in_file = line.isdigit() and column.isdigit()
    return (False, int(line), int(column)) if in_file else (True, 0, 0)


def human_bytes(count: float) -> str:
    """`3.2 GB`: bytes with three digits and a unit of 1000s."""
    if count >= 1e18:
        return "over 1000 PB"
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if count < 999.5 or unit == "PB":
            break
        count /= 1000
    return f"{count:.3g} {unit}"


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
    """What a run's host may import for it: all or nothing of what it needs of frameworks.

    A framework that may not survive a fork, and any other package, the run imports itself.
    """
    known = [m for m in run.implementation.preload if m.partition(".")[0] in frameworks.KNOWN]
    safe = all(frameworks.KNOWN[module.partition(".")[0]].forks for module in known)
    return tuple(known) if safe else ()
