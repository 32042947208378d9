"""`twolayer show`, `results` and `diff`: look at what has been run."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UserError
from ..output import emit, in_colour
from .common import (
    Format,
    FormatOption,
    PublishedOption,
    experiment_argument,
    fenced,
    latest_store,
    published_beside,
    show_records,
    table_markdown,
    table_text,
    terminal_size,
    terminal_width,
)
from .options import Results

if TYPE_CHECKING:
    from ..results.housekeeping import Waste
    from ..results.rows import Row
    from ..results.store import Store
    from ..tables import Table


MOST_RUNS = 40
"""Of more runs than this `show` gives a summary."""

BEST = 5
"""Runs that a summary lists."""

# --- show


def show(
    experiment: Annotated[str | None, experiment_argument("the latest")] = None,
    results: Results = Path("results"),
    format: FormatOption = Format.table,
    published: PublishedOption = False,
    rows: Annotated[
        str | None,
        typer.Option(
            "--rows", metavar="COLUMN", help="Average over runs: a row for each value of this."
        ),
    ] = None,
    cols: Annotated[
        str | None,
        typer.Option("--cols", metavar="COLUMN", help="With --rows: a column for each value."),
    ] = None,
    value: Annotated[
        str | None,
        typer.Option(
            "--value",
            metavar="COLUMN",
            help="With --rows: what to average.",
            show_default="final_loss",
        ),
    ] = None,
    best: Annotated[
        int | None,
        typer.Option("--best", metavar="N", min=1, help="The N runs with the lowest final loss."),
    ] = None,
    plot: Annotated[
        bool, typer.Option("--plot", help="Draw the losses of its runs, as text.")
    ] = False,
) -> None:
    asked = {
        "--rows": rows,
        "--best": best,
        "--published": published or None,
        "--plot": plot or None,
    }
    ways = [option for option, said in asked.items() if said is not None]
    if len(ways) > 1:
        raise UserError(f"{ways[0]} and {ways[1]}: choose one of them")
    for option, said in (("--cols", cols), ("--value", value)):
        if said is not None and rows is None:
            raise UserError(f"{option}: needs --rows")
    if plot and format in (Format.json, Format.csv):
        raise UserError(f"--plot: can't be printed as {format}; leave out --format")
    if plot:
        _show_plot(latest_store(experiment, results), format)
    elif rows is not None:
        _show_averages(latest_store(experiment, results), format, rows, cols, value)
    elif best is not None:
        _show_best(latest_store(experiment, results), format, best)
    else:
        _show_latest(experiment, results, format, published)


def _show_latest(name: str | None, results: Path, format: Format, published: bool) -> None:
    from ..config.experiment import find_config, load
    from ..results.rows import latest, read, row
    from ..results.store import read_run

    store = latest_store(name, results)
    found, skipped = read(store)
    _note_skipped(skipped, store.runs)
    runs = latest(found)
    if not runs:
        raise UserError(f"{store.folder}: holds no finished run")
    beside = published_beside(load(find_config("notebook"))) if published else None
    if len(runs) > MOST_RUNS and not beside and format in (Format.table, Format.markdown):
        _show_summary(store, [row(run) for run in runs], format)
    else:
        show_records([each for run in runs if (each := read_run(run.folder))], format, beside)


def _show_summary(store: "Store", rows: "list[Row]", format: Format) -> None:
    """What many runs came to, and the commands that show more of them."""
    from collections import Counter

    from ..results.rows import best, default_columns, differing, spread, table

    outcomes = Counter(each["outcome"] for each in rows).most_common()
    counts = ", ".join(f"{count:,} {outcome}" for outcome, count in outcomes)
    parts = [f"{len(rows):,} runs: {counts}", _drawn(spread(rows), format)]
    if lowest := best(rows, BEST):
        columns = [*default_columns(rows), "folder"]
        parts += ["the lowest final losses:", _drawn(table(lowest, columns), format)]
    name, by = store.folder.name, next(iter(differing(rows)), "outcome")
    ways = {
        f"twolayer results {name}": "all of them; --where picks some",
        f"twolayer show {name} --best 20": "more of the best",
        f"twolayer show {name} --rows {by} --cols impl": "averages",
        f"twolayer show {name} --format csv": "the losses of all",
    }
    width = max(map(len, ways))
    more = "\n".join(f"{command:{width}}  # {what}" for command, what in ways.items())
    emit("\n\n".join([*parts, fenced(more) if format is Format.markdown else more]))


def _show_averages(
    store: "Store", format: Format, rows: str, cols: str | None, value: str | None
) -> None:
    import textwrap

    from ..results.rows import check_column, pivot

    down = check_column(rows, "--rows")
    across = None if cols is None else check_column(cols, "--cols")
    what = check_column(value or "final_loss", "--value")
    found = pivot(_current_rows(store), down, across, what)
    if format in (Format.json, Format.csv):
        names, cells = found.long()
        _emit_exact(cells, names, format)
    else:
        caption = found.caption()
        if format is Format.table:
            caption = textwrap.fill(caption, terminal_width())
        emit(f"{_drawn(found.table(), format)}\n\n{caption}")


def _show_best(store: "Store", format: Format, count: int) -> None:
    from ..results.rows import best, default_columns

    rows = _current_rows(store)
    _emit_rows(best(rows, count), [*default_columns(rows), "folder"], format)


def _show_plot(store: "Store", format: Format) -> None:
    import textwrap

    from ..report import data as chart_data
    from ..report import terminal as terminal_plot

    chart = chart_data.chart("losses", store, None)
    plain = format is Format.table
    width, height = terminal_size(80) if plain else (80, 40)
    colour = plain and in_colour()
    drawn = terminal_plot.text(chart, width, height, colour=colour)
    emit(drawn if plain else fenced(drawn), styled=colour)
    if chart.note:
        emit(textwrap.fill(chart.note, width), sys.stderr)


def _current_rows(store: "Store") -> "list[Row]":
    """The runs of an experiment, each thing once."""
    from ..results.rows import current, read, row

    runs, skipped = read(store)
    _note_skipped(skipped, store.runs)
    if not runs:
        raise UserError(f"{store.folder}: holds no finished run")
    return [row(run) for run in current(runs)]


# --- results


def results(
    experiment: Annotated[str | None, experiment_argument("a list of all")] = None,
    where: Annotated[
        str | None,
        typer.Option(
            "--where", metavar="CONDITION", help="Only runs such as 'lr<1e-4 and outcome==\"ok\"'."
        ),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option("--sort", metavar="COLUMN", help="Sort by a column; -COLUMN from the top."),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option("--columns", metavar="A,B,…", help="Columns to show, divided by commas."),
    ] = None,
    format: FormatOption = Format.table,
    results: Results = Path("results"),
    prune: Annotated[
        bool,
        typer.Option(
            "--prune", help="List what killed runs left, and runs made again since; see --yes."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --prune: delete it for good.")] = False,
) -> None:
    picking = {"--where": where, "--sort": sort, "--columns": columns}
    said = [option for option, text in picking.items() if text is not None]
    if yes and not prune:
        raise UserError("--yes: needs --prune")
    if said and (prune or experiment is None):
        reason = "can't be used with --prune" if prune else "needs the name of an experiment"
        raise UserError(f"{said[0]}: {reason}")
    if prune:
        _prune(_stores(experiment, results), format, yes)
    elif experiment is None:
        _list_experiments(_stores(None, results), format)
    else:
        _list_runs(_stores(experiment, results)[0], format, where, sort, columns)


def _stores(name: str | None, results: Path) -> "list[Store]":
    from ..results.rows import known_experiments, named
    from ..results.store import Store

    if name is not None:
        return [named(results, name)]
    return [Store(results, each) for each in known_experiments(results)]


def _list_experiments(stores: "list[Store]", format: Format) -> None:
    from ..config.plan import human_bytes
    from ..results.rows import overview

    rows = []
    for store in stores:
        found, skipped = overview(store)
        _note_skipped(skipped, store.runs)
        rows.append(found)
    if format in (Format.table, Format.markdown):
        rows = [each | {"bytes": human_bytes(each["bytes"])} for each in rows]
    _emit_rows(rows, list(rows[0]), format)


def _list_runs(
    store: "Store", format: Format, where: str | None, sort: str | None, columns: str | None
) -> None:
    from ..results import query
    from ..results.rows import COLUMNS, check_column, default_columns, ordered, read, row

    condition = None if where is None else query.parse(where, list(COLUMNS), "--where")
    by = None if sort is None else check_column(sort.removeprefix("-"), "--sort")
    chosen = _chosen(columns)
    runs, skipped = read(store)
    _note_skipped(skipped, store.runs)
    rows = [row(run) for run in runs]
    if condition is not None:
        rows = [each for each in rows if condition(each)]
    if by is not None:
        rows = ordered(rows, by, descending=str(sort).startswith("-"))
    if not rows:
        emit("no run fits" if runs else "no runs", sys.stderr)
    everything = format in (Format.json, Format.csv)
    _emit_rows(rows, chosen or (COLUMNS if everything else default_columns(rows)), format)


def _chosen(columns: str | None) -> list[str]:
    from ..results.rows import check_column

    if columns is None:
        return []
    names = [check_column(name.strip(), "--columns") for name in columns.split(",")]
    return list(dict.fromkeys(names))


def _note_skipped(count: int, where: object) -> None:
    if count:
        what = (
            "1 folder that is not a whole run"
            if count == 1
            else f"{count} folders that are no whole runs"
        )
        emit(f"{where}: left out {what}", sys.stderr)


def _prune(stores: "list[Store]", format: Format, yes: bool) -> None:
    from ..config.plan import human_bytes
    from ..results.housekeeping import delete, leftovers, superseded

    waste: list[Waste] = []
    for store in stores:
        dead, kept = leftovers(store)
        waste += [*dead, *superseded(store)]
        for each in kept:
            emit(f"{each.path}: stays: {each.reason}", sys.stderr)
    rows = [{"path": str(w.path), "reason": w.reason, "bytes": w.bytes} for w in waste]
    if rows or format is Format.json:
        _emit_rows(rows, ["path", "reason", "bytes"], format)
    if yes:
        delete(waste)
    total = human_bytes(sum(each.bytes for each in waste))
    what = "1 folder or file" if len(waste) == 1 else f"{len(waste)} folders and files"
    done = f"deleted {what}, {total}" if yes else f"would delete {what}, {total}; --yes does it"
    emit(done if waste else "nothing to delete", sys.stderr)


# --- diff


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="An experiment, or a run of one.")],
    b: Annotated[str, typer.Argument(metavar="B", help="What to compare it with.")],
    results: Results = Path("results"),
    format: FormatOption = Format.table,
) -> None:
    from ..results import compare

    sides = []
    for text in (a, b):
        found, skipped = compare.side(text, results)
        _note_skipped(skipped, text)
        sides.append(found)
    pairs, *alone = compare.pairs(*sides)
    if not pairs:
        raise UserError(f"{a} and {b}: no implementation is in both with the same settings")
    about = [compare.compared(pair) for pair in pairs]
    left_over = [sorted(run.folder.name for run in runs) for runs in alone]
    if format is Format.json:
        whole = {"a": a, "b": b, "pairs": about, "only_a": left_over[0], "only_b": left_over[1]}
        emit(json.dumps(whole, indent=1, allow_nan=False))
    elif format is Format.csv:
        _emit_rows(about, compare.NUMBERS, format)
    else:
        tables = [compare.table(pairs, about), compare.difference_table(about)]
        emit("\n\n".join(_drawn(table, format) for table in tables if table.rows))
        _say_alone(left_over, (a, b))


def _say_alone(left_over: list[list[str]], names: tuple[str, str]) -> None:
    for folders, name in zip(left_over, names, strict=True):
        if folders:
            more = f" and {len(folders) - 5} more" if len(folders) > 5 else ""
            emit(f"only in {name}: {', '.join(folders[:5])}{more}", sys.stderr)


# --- printing


def _emit_rows(rows: "list[Row]", columns: Sequence[str], format: Format) -> None:
    from ..results.rows import table

    if format in (Format.json, Format.csv):
        _emit_exact(rows, columns, format)
    else:
        emit(_drawn(table(rows, columns), format))


def _emit_exact(rows: "list[Row]", columns: Sequence[str], format: Format) -> None:
    from ..results.rows import as_csv

    if format is Format.csv:
        emit(as_csv(rows, columns))
    else:
        picked = [{name: each[name] for name in columns} for each in rows]
        emit(json.dumps(picked, indent=1, allow_nan=False))


def _drawn(table: "Table", format: Format) -> str:
    return table_markdown(table) if format is Format.markdown else table_text(table)
