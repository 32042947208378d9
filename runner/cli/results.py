"""`twolayer results`: list experiments, or the runs of one, or what can be deleted."""

from pathlib import Path

from ..config.plan import human_bytes
from ..errors import UserError
from ..results import rows as stored
from ..results.rows import COLUMNS, check_column, row
from ..results.store import Store, deletable, delete, find_stores
from . import inputs
from .options import FORMAT, RESULTS, WHERE, Format, experiment_argument, option, switch
from .printing import say, show_rows


def results(
    experiment: str | None = experiment_argument("a list of all"),
    where: str | None = WHERE,
    sort: str | None = option("COLUMN", "Sort by a column; -COLUMN from the top."),
    columns: str | None = option("A,B,…", "Columns to show, separated by commas."),
    format: Format = FORMAT,
    results: Path = RESULTS,
    prune: bool = switch("--prune", help="List leftovers of killed runs and superseded runs."),
    yes: bool = switch("--yes", help="With --prune: delete them for good."),
) -> None:
    inputs.needs("--prune", prune, {"--yes": yes})
    picking = {"--where": where, "--sort": sort, "--columns": columns}
    if prune and (refused := inputs.given(picking)):
        raise UserError(f"{refused[0]}: can't be used with --prune")
    inputs.needs("the name of an experiment", experiment is not None, picking)
    stores = find_stores(experiment, results)
    if prune:
        _prune(stores, format, yes)
    elif experiment is None:
        _list_experiments(stores, format)
    else:
        _list_runs(stores[0], format, where, sort, columns)


def _list_experiments(stores: list[Store], format: Format) -> None:
    rows = []
    for store in stores:
        experiment, skipped = store.overview()
        inputs.note_skipped(skipped, store.runs)
        if format in ("table", "markdown"):
            experiment["bytes"] = human_bytes(experiment["bytes"])
        rows.append(experiment)
    show_rows(rows, list(rows[0]), format)


def _list_runs(
    store: Store, format: Format, where: str | None, sort: str | None, columns: str | None
) -> None:
    fits = inputs.condition(where) or (lambda run: True)
    names = [] if columns is None else columns.split(",")
    chosen = dict.fromkeys(check_column(name.strip(), "--columns") for name in names)
    runs = [row(run) for run in inputs.stored_runs(store, needed=False)]
    rows = [run for run in runs if fits(run)]
    if sort is not None:
        by = check_column(sort.removeprefix("-"), "--sort")
        rows = stored.ordered(rows, by, descending=sort.startswith("-"))
    if not rows:
        say("no run fits" if runs else "no runs")
    usual = COLUMNS if format in ("json", "csv") else stored.default_columns(rows)
    show_rows(rows, list(chosen) or usual, format)


def _prune(stores: list[Store], format: Format, yes: bool) -> None:
    waste: list[stored.Row] = []
    for store in stores:
        dead, kept = deletable(store)
        waste += dead
        for path in kept:
            say(f"{path}: stays: written to within the last day")
    if waste or format == "json":
        show_rows(waste, ["path", "reason", "bytes"], format)
    if yes:
        delete(waste)
    total = human_bytes(sum(item["bytes"] for item in waste))
    what = "1 folder or file" if len(waste) == 1 else f"{len(waste)} folders and files"
    done = f"deleted {what}, {total}" if yes else f"would delete {what}, {total}; --yes does it"
    say(done if waste else "nothing to delete")
