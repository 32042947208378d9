"""`twolayer sweep`: many runs from one file, each done once, continued where they were left."""

from collections import Counter
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Literal

from typer import Argument, Exit, Option

from ..config.experiment import find_config
from ..config.plan import hosts_needed
from ..config.settings import RULES
from ..config.sweep import KEYS, Sweep
from ..engine.campaign import Campaign
from ..engine.cluster import connect
from ..engine.scheduler import Session
from ..errors import UserError
from ..machine import usable_cores
from ..output import emit
from ..results.query import parse
from ..results.store import Store
from ..tables import Table, exact
from . import inputs, printing
from .options import QUIET, RESULTS, Load, completion, option, switch, with_settings
from .printing import patience, say
from .progress import duration, stoppable, watcher

FOLDER = "sweeps"
complete_sweeps = completion(FOLDER)


@with_settings()
def sweep(
    load: Load,
    file: str = Argument(
        metavar="FILE",
        help="YAML sweep, or the name of one that comes with twolayer.",
        autocompletion=complete_sweeps,
    ),
    only: str | None = Option(
        None, "--filter", metavar="CONDITION", help="Only runs such as 'lr > 1e-5'."
    ),
    plan: bool = switch("--plan", help="Show what would run, and run nothing."),
    jobs: int = Option(1, "--jobs", "-j", min=1, help="Runs at once."),
    retry: Literal["failed"] | None = Option(None, help="Run failed runs again."),
    fresh: bool = switch("--fresh", help="Run finished runs again, too."),
    results: Path = RESULTS,
    scheduler: str | None = option("ADDRESS", "Dask scheduler to run on."),
    scheduler_file: Path | None = option("FILE", "The scheduler's file, instead."),
    wait: str | None = option("DURATION", "Longest wait for Dask workers.", "no limit"),
    quiet: bool = QUIET,
) -> None:
    inputs.one_of({"--scheduler": scheduler, "--scheduler-file": scheduler_file})
    on_dask = scheduler is not None or scheduler_file is not None
    inputs.needs("--scheduler or --scheduler-file", on_dask, {"--wait": wait})
    wait_s = float("inf") if wait is None else inputs.seconds("--wait", wait)
    experiment = load(path=find_config(file, FOLDER, option=""), extra=KEYS)
    with patience(f"checking every combination of {file} …", quiet):
        requested = Sweep(experiment, cores=max(1, usable_cores() // jobs))
    _check_seed(requested)
    condition = None if only is None else parse(only, ["impl", *RULES], "--filter")
    store = Store(results, experiment.name)
    implementations = requested.implementations
    with patience(f"checking which of {requested.size:,} runs are finished …", quiet):
        runs = requested.runs(condition)
        campaign = Campaign(store, runs, implementations, retry=retry is not None, fresh=fresh)
    if plan:
        printing.show_parts([_outlook(campaign, jobs), _summary(campaign, jobs)])
        return
    store.prepare()
    printing.say_notes(campaign.todo, quiet)
    for note in campaign.notes():
        say(f"note: {note}", quiet)
    say(_summary(campaign, jobs), quiet)
    progress = watcher(total=len(campaign.todo), quiet=quiet)
    session = inputs.session(experiment, store, progress, jobs=jobs, keep_interrupted=False)
    remarks: dict[str, None] = {}
    dask = connect(scheduler, scheduler_file, session, wait_s) if on_dask else nullcontext()
    work = "runs" if jobs > 1 or on_dask else "run"
    stopping = stoppable(session.stop, session.cancel, work=work, quiet=quiet)
    with stopping, dask as cluster, progress:
        needed = hosts_needed(campaign.todo)
        run_all = cluster.run_all if cluster else partial(session.run_here, needed=needed)
        for record in campaign.run(session, run_all):
            remarks |= dict.fromkeys(f"note: {record.impl}: {note}" for note in record.notes)
            remarks |= printing.also_loaded(record)
    for remark in remarks:
        say(remark, quiet)
    raise Exit(_conclude(session, campaign, quiet))


def _check_seed(sweep: Sweep) -> None:
    for given in sweep.experiment.given.values():
        if "seed" in given and sweep.repeat > 1:
            file, repeat = sweep.experiment.path.name, sweep.repeat
            raise UserError(
                f"{given['seed'].origin}: would give every repetition the same seed; "
                f"{file} has repeat: {repeat}, so set its first seed there"
            )


def _outlook(campaign: Campaign, jobs: int) -> Table:
    """What is planned, by implementation."""
    todo, seconds = Counter(run.name for run in campaign.todo), campaign.seconds()
    rows = []
    for name, count in campaign.planned.items():
        time = duration(seconds[name] / jobs) if name in seconds else "-"
        rows.append([name, str(count), str(count - todo[name]), str(todo[name]), time])
    return Table(("implementation", "runs", "finished", "to do", "time"), rows, frozenset({0}))


def _summary(campaign: Campaign, jobs: int) -> str:
    """`38 runs: 12 finished, 26 to do, about 40 s of training`."""
    planned, todo, seconds = campaign.planned.total(), len(campaign.todo), campaign.seconds()
    text = f"{planned} runs: {planned - todo} finished, {todo} to do"
    if not todo:
        return text
    if any(run.name not in seconds for run in campaign.todo):
        return f"{text}; how long is not known before the first of each is finished"
    return f"{text}, about {duration(sum(seconds.values()) / jobs)} of training"


def _conclude(session: Session, campaign: Campaign, quiet: bool) -> int:
    """Print how the sweep ended; returns the exit code."""
    outcomes, planned = campaign.finished(), campaign.planned.total()
    finished = f"{outcomes.total()} of {planned} runs finished"
    emit(f"{finished}: {exact(dict(outcomes.most_common())) or 'none'}")
    if session.jobs > 1:
        say("runs shared the machine: their times do not compare with those of others", quiet)
    if session.broken:
        say(f"{session.broken}; {finished} and kept")
    elif session.interrupted:
        say(f"interrupted; to go on: {inputs.command_line()}", quiet)
    else:
        say(f"results are in {session.store.folder}", quiet)
    unfinished = {"failed"} if outcomes.total() < planned else set()
    happened = {*outcomes, *unfinished}
    return printing.exit_code(happened, interrupted=session.interrupted, broken=session.broken)
