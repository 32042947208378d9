"""`twolayer run`: train, and print the losses side by side."""

import sys
from itertools import chain
from pathlib import Path
from typing import Annotated

from typer import Exit, Option

from ..config import plan
from ..config.experiment import Assignment, Experiment
from ..engine.scheduler import Session
from ..errors import UserError
from ..output import emit
from ..results.record import Record
from ..results.store import Store
from .inputs import Published, Quiet, limits, load_experiment, published_beside
from .interrupt import stoppable
from .options import ConfigFile, Impls, Results, with_settings
from .printing import (
    DIVERGED,
    FAILED,
    INTERRUPTED,
    OK,
    Format,
    FormatOption,
    also_loaded,
    exit_code,
    say,
    say_notes,
    show_records,
)
from .progress import watcher


@with_settings("name", "timeout", "memory_limit")
def run(
    assignments: list[Assignment],
    options: list[Assignment],
    impl: Impls = None,
    config: ConfigFile = "notebook",
    results: Results = Path("results"),
    format: FormatOption = Format.table,
    published: Published = False,
    fail_fast: Annotated[
        bool, Option("--fail-fast", help="Stop after the first run that is not ok.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    experiment = load_experiment(config, assignments, options, impl)
    runs = plan.make(experiment)
    beside = published_beside(experiment) if published else None
    say_notes(runs, quiet)
    store = Store(results, experiment.name)
    store.prepare()
    with watcher(runs, quiet=quiet) as progress:
        session = Session(store, progress, fail_fast=fail_fast, **limits(experiment))
        with stoppable(session.stop):
            records = list(session.run_here(runs, plan.hosts_needed(runs)))
    try:
        store.write_table(records)
    except UserError as error:
        session.give_up(str(error))
    show_records(records, format, beside)
    for warning in dict.fromkeys(chain.from_iterable(map(also_loaded, records))):
        say(warning, quiet)
    say(f"results are in {store.folder}", quiet)
    if session.broken or session.interrupted:
        kept = sum(record.outcome != "interrupted" for record in records)
        reason = f"{session.broken};" if session.broken else "interrupted:"
        emit(f"{reason} {kept} of {len(runs)} runs finished and kept", sys.stderr)
        raise Exit(FAILED if session.broken else INTERRUPTED)
    raise Exit(_verdict(records, experiment))


def _verdict(records: list[Record], experiment: Experiment) -> int:
    """The exit code; names the runs whose loss did not fall, where the config asks for that."""
    risen = [record.impl for record in records if record.outcome == "ok" and not record.fell]
    code = exit_code(record.outcome for record in records)
    if not risen or not experiment.option("loss_must_fall"):
        return code
    emit(f"the loss did not fall: {', '.join(risen)}", sys.stderr)
    return DIVERGED if code == OK else code
