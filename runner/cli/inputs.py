"""From words of the command line to configs, sessions, stored experiments and durations."""

import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..config import published
from ..config.catalogue import Implementation, configs_folder
from ..config.document import scalar
from ..config.experiment import Experiment
from ..config.rules import DURATION
from ..engine.scheduler import Session, Watcher
from ..errors import UserError
from ..output import printable
from ..results.query import Condition, parse
from ..results.record import Record
from ..results.rows import COLUMNS
from ..results.store import Store, find_stores
from .printing import say

# --- options that go together, or don't


def given(options: dict[str, Any]) -> list[str]:
    """The options that were given: those that are neither None nor False."""
    return [name for name, value in options.items() if value is not None and value is not False]


def one_of(options: dict[str, Any]) -> None:
    """Refuse more than one of several options."""
    if len(names := given(options)) > 1:
        raise UserError(f"{names[0]} and {names[1]}: choose one of them")


def needs(option: str, there: bool, options: dict[str, Any]) -> None:
    """Refuse options that mean nothing without another, where that is not there."""
    if not there and (names := given(options)):
        raise UserError(f"{names[0]}: needs {option}")


# --- configs


def limits(experiment: Experiment) -> dict[str, Any]:
    """The time in seconds and memory in bytes of one run, as arguments."""
    return {
        "timeout_s": experiment.option("timeout"),
        "memory_limit": experiment.option("memory_limit"),
    }


def session(experiment: Experiment, store: Store, watcher: Watcher, **options: Any) -> Session:
    """A session within an experiment's limits, which keeps the command and the file that it ran."""
    session = Session(store, watcher, command=command_line(), **options, **limits(experiment))
    if configs_folder() not in experiment.path.resolve().parents:
        session.config_file = str(experiment.path)
        store.keep_config(session.invocation, experiment.path)
    return session


def command_line() -> str:
    """The call of `twolayer` under way, as a line for a shell."""
    return printable(shlex.join(["twolayer", *sys.argv[1:]]))


def call_of(command: str, *without: str) -> str:
    """A call of another command with the words of this one, but for options `without` values."""
    kept, words = ["twolayer", command], iter(sys.argv[2:])
    alone = ("--published", "--fail-fast", "--verbose", "-v", "--quiet", "-q")
    for word in words:
        name, equals, _ = word.partition("=")
        if name in ("--format", "-f", "--results", "--name", "--log-every", *without):
            next(iter(()) if equals else words, None)
        elif name not in alone:
            kept.append(word)
    return shlex.join(kept)


def call_on(command: str, folder: Path) -> str:
    """A call of a command that reads the experiment in a folder."""
    results = str(folder.parent)
    words = [] if results == "results" else ["--results", results]
    return shlex.join(["twolayer", command, folder.name, *words])


def published_beside(experiment: Experiment) -> published.Published:
    """The losses that a config names, for `--published`."""
    if experiment.published is None:
        name = f"--published: {experiment.path.name} names no published losses"
        raise UserError(f"{name}; the notebook preset does (leave out --config)")
    return published.read_published(Path(str(experiment.published.value)))


def seconds(option: str, text: str) -> float:
    """The duration given for an option."""
    try:
        return float(DURATION.check(scalar(text)))
    except ValueError as error:
        raise UserError(f"{option}: {error} (got {text!r})") from None


def words_for(implementations: Iterable[Implementation]) -> list[str]:
    """What stands for each on a command line."""
    return [item.name if item.module else item.origin for item in implementations]


# --- stored experiments


def last_store(name: str | None, results: Path, *, measured: bool = False) -> Store:
    """The experiment of that name, or the one that was run, or perhaps `measured`, last."""
    from ..bench.measurement import stored

    def last_use(store: Store) -> str:
        runs = [run.invocation.replace(":", "-") for run in store.read()[0]]
        benches = [path.stem for path in stored(store.folder)] if measured else []
        return max([*runs, *benches, ""])

    stores = find_stores(name, results)
    return max(stores, key=last_use) if len(stores) > 1 else stores[0]


def stored_runs(store: Store, *, needed: bool = True) -> list[Record]:
    """The runs of an experiment. Raises UserError if there are none and they are `needed`."""
    runs, skipped = store.read()
    note_skipped(skipped, store.runs)
    if needed and not runs:
        raise UserError(f"{store.folder}: holds no finished run")
    return runs


def note_skipped(count: int, where: object) -> None:
    """Print how many folders were left out because they are no whole runs."""
    if count:
        say(f"{where}: left out {count} folder{'s' * (count > 1)} without a whole run")


def condition(where: str | None) -> Condition | None:
    """The condition of `--where` on stored runs."""
    return None if where is None else parse(where, list(COLUMNS), "--where")
