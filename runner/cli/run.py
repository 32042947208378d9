"""`twolayer run`: train, and print the losses side by side."""

import sys
from itertools import chain
from pathlib import Path
from typing import Annotated

from typer import Exit, Option

from ..config import plan
from ..config.experiment import Assignment
from ..engine.scheduler import Session
from ..errors import UserError
from ..output import emit
from ..results.store import Store
from . import printing
from .inputs import Published, Quiet, keep_call, limits, load_experiment, published_beside
from .interrupt import stoppable
from .options import ConfigFile, Impls, Results, with_settings
from .printing import Format, FormatOption, say
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
    printing.say_notes(runs, quiet)
    store = Store(results, experiment.name)
    store.prepare()
    with watcher(runs, quiet=quiet) as progress:
        session = Session(store, progress, fail_fast=fail_fast, **limits(experiment))
        session.cancel = session.stop  # the first Ctrl-C stops the run under way, too
        keep_call(session, experiment.path)
        with stoppable(session.stop):
            records = list(session.run_here(runs, plan.hosts_needed(runs)))
    try:
        store.write_table(records)
    except UserError as error:
        session.give_up(str(error))
    printing.show_records(records, format, beside)
    for warning in dict.fromkeys(chain.from_iterable(map(printing.also_loaded, records))):
        say(warning, quiet)
    say(f"results are in {store.folder}", quiet)
    code = printing.exit_code(session, (record.outcome for record in records))
    risen = [record.impl for record in records if record.outcome == "ok" and not record.fell]
    if session.broken or session.interrupted:
        kept = sum(record.outcome != "interrupted" for record in records)
        reason = f"{session.broken};" if session.broken else "interrupted:"
        emit(f"{reason} {kept} of {len(runs)} runs finished and kept", sys.stderr)
    elif risen and experiment.option("loss_must_fall"):
        emit(f"the loss did not fall: {', '.join(risen)}", sys.stderr)
        code = code or printing.DIVERGED
    raise Exit(code)
