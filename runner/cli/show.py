"""`twolayer show`: an experiment's latest run, averages, best runs, or curves."""

import sys
import textwrap
from collections import Counter
from pathlib import Path
from typing import Annotated

from typer import Option

from ..config.experiment import find_config, load
from ..errors import UserError
from ..output import emit, in_colour
from ..results import rows as stored
from ..results.rows import Row, check_column
from ..results.store import Store, read_run
from ..tables import Table
from . import inputs, printing
from .options import Results
from .printing import Format, FormatOption, fenced

MOST_RUNS = 40
"""With more runs than this, a summary is shown."""

BEST = 5
"""Runs that a summary lists."""


def show(
    experiment: Annotated[str | None, inputs.experiment_argument("the latest")] = None,
    results: Results = Path("results"),
    format: FormatOption = Format.table,
    published: inputs.Published = False,
    rows: Annotated[
        str | None, Option(metavar="COLUMN", help="Average: a row for each value of COLUMN.")
    ] = None,
    cols: Annotated[
        str | None, Option(metavar="COLUMN", help="With --rows: a column for each value.")
    ] = None,
    value: Annotated[
        str | None,
        Option(metavar="COLUMN", help="With --rows: what to average.", show_default="final_loss"),
    ] = None,
    best: Annotated[
        int | None, Option(metavar="N", min=1, help="The N runs with the lowest final loss.")
    ] = None,
    plot: Annotated[bool, Option("--plot", help="Draw the losses as text.")] = False,
) -> None:
    inputs.one_of({"--rows": rows, "--best": best, "--published": published, "--plot": plot})
    inputs.needs("--rows", rows is not None, {"--cols": cols, "--value": value})
    if plot and format in (Format.json, Format.csv):
        raise UserError(f"--plot: can't be printed as {format}; leave out --format")
    store = inputs.latest_store(experiment, results)
    if plot:
        _show_plot(store, format)
    elif rows is not None:
        _show_averages(store, format, rows, cols, value or "final_loss")
    elif best is not None:
        current = _current_rows(store)
        columns = [*stored.default_columns(current), "folder"]
        printing.show_rows(stored.best(current, best), columns, format)
    else:
        _show_latest(store, format, published)


def _show_latest(store: Store, format: Format, published: bool) -> None:
    runs = stored.latest(inputs.stored_runs(store))
    beside = inputs.published_beside(load(find_config("notebook"))) if published else None
    if len(runs) > MOST_RUNS and not beside and format in (Format.table, Format.markdown):
        _show_summary(store, [stored.row(run) for run in runs], format)
    else:
        records = [record for run in runs if (record := read_run(run.folder))]
        printing.show_records(records, format, beside)


def _show_summary(store: Store, rows: list[Row], format: Format) -> None:
    """A summary of many runs, and the commands that show more of them."""
    outcomes = Counter(row["outcome"] for row in rows).most_common()
    lowest, columns = stored.best(rows, BEST), [*stored.default_columns(rows), "folder"]
    name, by = store.folder.name, next(iter(stored.differing(rows)), "outcome")
    more = {
        f"twolayer results {name}": "all of them; --where picks some",
        f"twolayer show {name} --best 20": "more of the best",
        f"twolayer show {name} --rows {by} --cols impl": "averages",
        f"twolayer show {name} --format csv": "the losses of all",
    }
    width = max(map(len, more))
    parts: list[Table | str] = [
        f"{len(rows):,} runs: {', '.join(f'{count:,} {outcome}' for outcome, count in outcomes)}",
        stored.spread(rows),
    ]
    if lowest:
        parts += ["the lowest final losses:", stored.table(lowest, columns)]
    lines = (f"{command:{width}}  # {what}" for command, what in more.items())
    parts.append(fenced("\n".join(lines), format))
    printing.show_parts(parts, format)


def _show_averages(store: Store, format: Format, rows: str, cols: str | None, value: str) -> None:
    down = check_column(rows, "--rows")
    across = None if cols is None else check_column(cols, "--cols")
    value = check_column(value, "--value")
    pivot = stored.pivot(_current_rows(store), down, across, value)
    if format in (Format.json, Format.csv):
        names, cells = pivot.long()
        printing.show_rows(cells, names, format)
    else:
        caption = pivot.caption()
        if format is Format.table:
            caption = textwrap.fill(caption, printing.terminal_size()[0])
        printing.show_parts([pivot.table(), caption], format)


def _show_plot(store: Store, format: Format) -> None:
    from ..report import data, terminal  # slow to import

    chart = data.chart("losses", store, None)
    width, height = printing.terminal_size(80) if format is Format.table else (80, 40)
    colour = format is Format.table and in_colour()
    emit(fenced(terminal.text(chart, width, height, colour=colour), format), styled=colour)
    if chart.note:
        emit(textwrap.fill(chart.note, width), sys.stderr)


def _current_rows(store: Store) -> list[Row]:
    """The runs of an experiment, without those made again since."""
    return [stored.row(run) for run in stored.current(inputs.stored_runs(store))]
