"""From words of the command line to configs, stored experiments, columns and durations."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from ..config.catalogue import configs_folder
from ..config.document import scalar
from ..config.experiment import Assignment, Experiment, find_config, load
from ..config.published import Published as PublishedLosses
from ..config.published import read_published
from ..config.rules import DURATION
from ..errors import UserError
from ..output import emit, printable
from ..results.query import Condition, parse
from ..results.record import Record
from ..results.rows import COLUMNS, read
from ..results.store import Store, experiments, find_stores
from .options import split_names

if TYPE_CHECKING:
    from ..engine.scheduler import Session

Published = Annotated[
    bool, Option("--published", help="Show the losses printed in the notebook beside ours.")
]
Quiet = Annotated[bool, Option("--quiet", "-q", help="Show no progress, only the results.")]
Where = Annotated[
    str | None, Option(metavar="CONDITION", help="Only runs such as 'lr<1e-4 and outcome==\"ok\"'.")
]


def complete_experiments(incomplete: str) -> list[str]:
    """Names of experiments under results/."""
    return [name for name in experiments(Path("results")) if name.startswith(incomplete)]


def experiment_argument(default: str = "") -> Any:
    text = "Name of the experiment, as under results/."
    return Argument(help=text, show_default=default, autocompletion=complete_experiments)


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


def load_experiment(
    config: str,
    assignments: list[Assignment],
    options: list[Assignment],
    impl: list[str] | None,
) -> Experiment:
    return load(find_config(config), assignments, options, split_names(impl))


def limits(experiment: Experiment) -> dict[str, Any]:
    """What one run may take, as arguments of a session."""
    memory = experiment.option("memory_limit")
    return {
        "timeout_s": experiment.option("timeout"),
        "memory_limit": int(memory) if memory else None,
    }


def keep_call(session: "Session", file: Path) -> None:
    """Keep in a session's records, and beside them, the command and the file that it runs."""
    session.command = printable(shlex.join(["twolayer", *sys.argv[1:]]))
    if configs_folder() not in file.resolve().parents:
        session.config_file = str(file)
        session.store.keep_config(session.invocation, file)


def published_beside(experiment: Experiment) -> PublishedLosses:
    """The losses that a config names, for `--published`."""
    if experiment.published is None:
        name = f"--published: {experiment.path.name} names no published losses"
        raise UserError(f"{name}; the notebook preset does (leave out --config)")
    return read_published(Path(str(experiment.published.value)))


def seconds(option: str, text: str) -> float:
    """The duration given for an option."""
    try:
        return float(DURATION.check(scalar(text)))
    except ValueError as error:
        raise UserError(f"{option}: {error} (got {text!r})") from None


# --- stored experiments


def latest_store(name: str | None, results: Path) -> Store:
    """The experiment of that name, or the one that was run last."""
    stores = find_stores(name, results)
    return max(stores, key=_last_run) if len(stores) > 1 else stores[0]


def charted_store(name: str | None, results: Path) -> Store:
    """The same of what can be drawn, which a bench without runs can be, too."""
    from ..bench.measurement import stored

    benches = {path.name: [b.stem for b in stored(path)] for path in results.glob("*")}
    last = {folder: stems[-1] for folder, stems in benches.items() if stems}
    if name in last:
        return Store(results, str(name))
    if name is not None or not last:
        return latest_store(name, results)
    used = {
        folder: max(_last_run(Store(results, folder)).replace(":", "-"), last.get(folder, ""))
        for folder in {*experiments(results), *last}
    }
    return Store(results, max(used, key=lambda folder: used[folder]))


def _last_run(store: Store) -> str:
    return max((run.invocation for run in read(store)[0]), default="")


def stored_runs(store: Store, *, needed: bool = True) -> list[Record]:
    """The runs of an experiment. Raises UserError if there are none and they are `needed`."""
    runs, skipped = read(store)
    note_skipped(skipped, store.runs)
    if needed and not runs:
        raise UserError(f"{store.folder}: holds no finished run")
    return runs


def note_skipped(count: int, where: object) -> None:
    """Print how many folders were left out because they are no whole runs."""
    if count:
        several = f"{count} folders that are no whole runs"
        what = "1 folder that is not a whole run" if count == 1 else several
        emit(f"{where}: left out {what}", sys.stderr)


def condition(where: str | None) -> Condition | None:
    """The condition of `--where` on stored runs."""
    return None if where is None else parse(where, list(COLUMNS), "--where")
