"""`twolayer sweep`: many runs from one file, each done once, continued where they were left."""

from collections import Counter
from collections.abc import Iterable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Literal

from typer import Argument, Exit, Option

from ..config.experiment import SWEEPS, find_config
from ..config.plan import Run, hosts_needed
from ..config.settings import RULES
from ..config.sweep import KEYS, Sweep
from ..engine.campaign import Campaign
from ..engine.cluster import connect
from ..engine.scheduler import Session
from ..errors import UserError
from ..machine import usable_cores
from ..results.answers import Answer, answer
from ..results.query import parse
from ..results.rows import COLUMNS, as_csv, counted
from ..results.store import Store
from ..tables import Table, exact
from . import FAILED, inputs, printing
from .options import FORMAT, QUIET, RESULTS, Format, Load, completion, option, switch, with_settings
from .printing import patience, say
from .progress import duration, stoppable, watcher

PLANNED = ("key", "impl", *RULES, "to_do", "outcome")  # of each run, in --plan for programs
NO_ANSWER = Answer(Table((), ()), [], Counter())


@with_settings()
def sweep(
    load: Load,
    file: str = Argument(
        metavar="FILE",
        help="YAML sweep, or the name of one that comes with twolayer.",
        autocompletion=completion(SWEEPS),
    ),
    only: str | None = option("CONDITION", "Only runs such as 'lr > 1e-5'.", flags=["--filter"]),
    plan: bool = switch("--plan", help="Show what would run, and run nothing."),
    jobs: int = Option(1, "--jobs", "-j", min=1, help="Runs at once."),
    retry: Literal["failed"] | None = Option(None, help="Run failed runs again."),
    fresh: bool = switch("--fresh", help="Run finished runs again, too."),
    results: Path = RESULTS,
    format: Format = FORMAT,
    scheduler: str | None = option("ADDRESS", "Dask scheduler to run on."),
    scheduler_file: Path | None = option("FILE", "The scheduler's file, instead."),
    wait: str | None = option("DURATION", "Longest wait for Dask workers.", "no limit"),
    quiet: bool = QUIET,
) -> None:
    inputs.one_of({"--scheduler": scheduler, "--scheduler-file": scheduler_file})
    on_dask = scheduler is not None or scheduler_file is not None
    inputs.needs("--scheduler or --scheduler-file", on_dask, {"--wait": wait})
    wait_s = float("inf") if wait is None else inputs.seconds("--wait", wait)
    experiment = load(path=find_config(file, SWEEPS, option=""), extra=KEYS)
    with patience(f"checking every combination of {file} …", quiet):
        requested = Sweep(experiment, cores=max(1, usable_cores() // jobs))
    _check_seed(requested)
    condition = None if only is None else parse(only, ["impl", *RULES], "--filter")
    store = Store(results, experiment.name)
    with patience(f"checking which of {requested.size:,} runs are finished …", quiet):
        runs = requested.runs(condition)
        again = {"retry": retry is not None, "fresh": fresh}
        campaign = Campaign(store, runs, requested.implementations, **again)
    if condition and not campaign.planned:
        raise UserError(f"--filter {only!r}: no run fits; twolayer sweep {file} --plan lists all")
    if plan:
        _show_plan(campaign, requested.runs(condition), jobs, format)
        return
    store.prepare()
    printing.say_notes(campaign.todo, quiet)
    for note in campaign.notes():
        say(f"note: {note}", quiet)
    say(_summary(campaign, jobs), quiet)
    if on_dask:
        say(f"connecting to the scheduler {scheduler or scheduler_file} …", quiet)
    progress = watcher(total=len(campaign.todo), quiet=quiet)
    session = inputs.session(experiment, store, progress, jobs=jobs, keep_interrupted=False)
    remarks: dict[str, None] = {}
    shared = False
    dask = connect(scheduler, scheduler_file, session, wait_s) if on_dask else nullcontext()
    work = "runs" if jobs > 1 or on_dask else "run"
    stopping = stoppable(session.stop, session.cancel, work=work, quiet=quiet)
    with stopping, dask as cluster, progress:
        needed = hosts_needed(campaign.todo)
        run_all = cluster.run_all if cluster else partial(session.run_here, needed=needed)
        for record in campaign.run(session, run_all):
            remarks |= dict.fromkeys(f"note: {record.impl}: {note}" for note in record.notes)
            remarks |= printing.also_loaded(record)
            shared |= bool(record.neighbours)
    if shared:
        remarks["runs shared the machine: their times do not compare with those of others"] = None
    for remark in remarks:
        say(remark, quiet)
    raise Exit(_conclude(session, campaign, format, quiet))


def _check_seed(sweep: Sweep) -> None:
    for given in sweep.experiment.given.values():
        if "seed" in given and sweep.repeat > 1:
            file, repeat = sweep.experiment.path.name, sweep.repeat
            raise UserError(
                f"{given['seed'].origin}: would give every repetition the same seed; "
                f"{file} has repeat: {repeat}, so set its first seed there"
            )


def _show_plan(campaign: Campaign, runs: Iterable[Run], jobs: int, format: Format) -> None:
    """Print what is planned: by implementation, or for programs each of the runs."""
    todo = {run.key for run in campaign.todo}
    rows = (
        {"key": run.key, "impl": run.name, **run.config.values()}
        | {"to_do": run.key in todo, "outcome": campaign.outcome(run.key)}
        for run in runs
    )
    printing.show_results(
        format,
        lambda: [_outlook(campaign, jobs), _summary(campaign, jobs)],
        whole=lambda: list(rows),
        csv=lambda: as_csv(rows, PLANNED),
    )


def _outlook(campaign: Campaign, jobs: int) -> Table:
    todo, seconds = Counter(run.name for run in campaign.todo), campaign.seconds()
    rows = []
    for name, count in campaign.planned.items():
        time = duration(seconds[name] / jobs) if name in seconds else "-"
        rows.append([name, str(count), str(count - todo[name]), str(todo[name]), time])
    return Table(("implementation", "runs", "finished", "to do", "time"), rows, frozenset({0}))


def _summary(campaign: Campaign, jobs: int) -> str:
    """`38 runs: 12 finished, 26 to do, about 40 s of training`."""
    planned, todo, seconds = campaign.planned.total(), len(campaign.todo), campaign.seconds()
    text = f"{counted(planned, 'run', 'runs')}: {planned - todo} finished, {todo} to do"
    if not todo:
        return text
    if any(run.name not in seconds for run in campaign.todo):
        return f"{text}; how long is not known yet"
    return f"{text}, about {duration(sum(seconds.values()) / jobs)} of training"


def _conclude(session: Session, campaign: Campaign, format: Format, quiet: bool) -> int:
    """Print what the sweep has found, and how it ended; returns the exit code."""
    rows, planned = campaign.finished(), campaign.planned.total()
    finished = f"{len(rows)} of {planned} runs finished"
    found = answer(rows) if rows and not (session.broken or session.interrupted) else NO_ANSWER
    outcomes = Counter(row["outcome"] for row in rows)
    count = f"{finished}: {exact(dict(outcomes.most_common())) or 'none'}"
    table = found.table
    printing.show_results(
        format,
        lambda: [count, *[table] * bool(table.rows), printing.paragraphs(found.sentences)],
        whole=lambda: {
            "planned": planned,
            "outcomes": outcomes,
            "answer": found.sentences,
            "best": [dict(zip(table.header, cells, strict=True)) for cells in table.rows],
            "runs": [{name: row[name] for name in COLUMNS} for row in rows],
        },
        csv=lambda: as_csv(rows, COLUMNS),
    )
    happened = set(outcomes) | ({"failed"} if len(rows) < planned else set())
    code = printing.exit_code(happened, interrupted=session.interrupted, broken=session.broken)
    again = inputs.command_line()
    if session.broken:
        say(f"{session.broken}; {finished} and kept")
    elif session.interrupted:
        how = "to begin again" if campaign.fresh else "to go on"
        say(f"interrupted; {how}: {again}", quiet)
    else:
        say(f"results are in {session.store.folder}", quiet)
        report, best = (inputs.call_on(name, session.store.folder) for name in ("report", "show"))
        retries = [] if "--retry" in again else [f"{again} --retry failed"]
        following = retries if code == FAILED else [report, *[f"{best} --best 20"] * (planned > 20)]
        printing.say_next(following, quiet)
    return code
