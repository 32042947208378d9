"""`twolayer results`: list experiments, or the runs of one, or what can be deleted."""

from collections import Counter
from pathlib import Path

from ..config.plan import human_bytes
from ..errors import UserError
from ..results import rows as stored
from ..results.rows import COLUMNS, Row, check_column, counted, row
from ..results.store import Store, deletable, delete, find_stores
from ..tables import Table, exact
from . import inputs
from .options import FORMAT, RESULTS, WHERE, Format, experiment_argument, option, switch
from .printing import say, say_next, show_rows


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
        rows.append(experiment)
    show_rows(rows, list(rows[0]), format, lambda: [_sized(rows, list(rows[0]))])


def _sized(rows: list[Row], columns: list[str]) -> Table:
    """Rows for people, with a readable size in place of the bytes at their end."""
    readable = [row | {"size": human_bytes(row["bytes"])} for row in rows]
    return stored.table(readable, [*columns[:-1], "size"])


def _list_runs(
    store: Store, format: Format, where: str | None, sort: str | None, columns: str | None
) -> None:
    fits = inputs.condition(where) or (lambda run: True)
    names = [] if columns is None else columns.split(",")
    chosen = list(dict.fromkeys(check_column(name.strip(), "--columns") for name in names))
    runs = [row(run) for run in inputs.stored_runs(store, needed=False)]
    rows = [run for run in runs if fits(run)]
    if sort is not None:
        by = check_column(sort.removeprefix("-"), "--sort")
        rows = stored.ordered(rows, by, descending=sort.startswith("-"))
    chosen = chosen or list(COLUMNS if format in ("json", "csv") else stored.default_columns(rows))
    outcomes = Counter(run["outcome"] for run in rows).most_common()
    ending = f"{counted(len(rows), 'run', 'runs')}: {exact(dict(outcomes))}"
    if not rows:
        ending = "no run fits" if runs else "no runs"
    show_rows(rows, chosen, format, lambda: [stored.table(rows, chosen), ending])


def _prune(stores: list[Store], format: Format, yes: bool) -> None:
    waste: list[Row] = []
    for store in stores:
        dead, kept = deletable(store)
        waste += dead
        for path in kept:
            say(f"note: {path} stays: written to within the last day")
    if yes:
        delete(waste)
    size = human_bytes(sum(item["bytes"] for item in waste))
    done = "deleted" if yes else "can be deleted"
    ending = f"{counted(len(waste), 'folder or file', 'folders and files')} {done}, {size}"
    columns = ["path", "reason", "bytes"]
    parts = (_sized(waste, columns), ending) if waste else ("nothing to delete",)
    show_rows(waste, columns, format, lambda: parts)
    if waste and not yes:
        say_next([f"{inputs.command_line()} --yes"], quiet=False)
