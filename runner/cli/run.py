"""`twolayer run`: train, and print the losses side by side."""

import shlex
from pathlib import Path

from typer import Exit

from ..config import plan
from ..errors import UserError
from ..results.store import Store
from . import DIVERGED, OK, inputs, printing
from .options import FORMAT, PUBLISHED, QUIET, RESULTS, Format, Load, switch, with_settings
from .printing import say
from .progress import stoppable, watcher


@with_settings("notebook")
def run(
    load: Load,
    results: Path = RESULTS,
    format: Format = FORMAT,
    published: bool = PUBLISHED,
    fail_fast: bool = switch("--fail-fast", help="Stop after the first run that is not ok."),
    verbose: bool = switch("--verbose", "-v", help="Show every column of the summary."),
    quiet: bool = QUIET,
) -> None:
    experiment = load()
    runs = plan.make(experiment)
    beside = inputs.published_beside(experiment) if published else None
    printing.say_notes(runs, quiet)
    store = Store(results, experiment.name)
    store.prepare()
    with watcher(runs, quiet=quiet) as progress:
        session = inputs.session(experiment, store, progress, fail_fast=fail_fast)
        with stoppable(session.stop, session.cancel, quiet=quiet):
            records = list(session.run_here(runs, plan.hosts_needed(runs)))
    try:
        store.write_table(records)
    except UserError as error:
        session.give_up(str(error))
    printing.show_records(records, format, beside, verbose=verbose)
    for warning in printing.also_loaded(*records):
        say(warning, quiet)
    if records:
        say(f"results are in {store.folder}", quiet)
    outcomes = {record.outcome for record in records}
    code = printing.exit_code(outcomes, interrupted=session.interrupted, broken=session.broken)
    risen = [record.impl for record in records if record.outcome == "ok" and not record.fell]
    finished = sum(record.outcome != "interrupted" for record in records)
    if session.broken or session.interrupted:
        part = f", {len(records) - finished} in part," if finished < len(records) else ""
        reason = f"{session.broken};" if session.broken else "interrupted:"
        say(f"{reason} {finished} of {len(runs)} runs finished{part} and kept")
    elif finished < len(runs):
        say(f"stopped early: {finished} of {len(runs)} runs finished")
    elif risen and experiment.option("loss_must_fall"):
        say(f"the loss did not fall: {', '.join(risen)}")
        code = code or DIVERGED
    if code == OK:
        measure = inputs.call_of("bench", "--epochs")
        report, verify = inputs.call_on("report", store.folder), inputs.call_of("verify")
        printing.say_next([report, verify, measure], quiet)
    elif not (session.interrupted or session.broken) and "failed" in outcomes:
        failed = {record.impl for record in records if record.outcome == "failed"}
        names = inputs.words_for(run.implementation for run in runs if run.name in failed)
        printing.say_next([shlex.join(["twolayer", "check", *names])], quiet)
    raise Exit(code)
