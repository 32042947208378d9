"""`twolayer show`: an experiment's latest run, averages, best runs, or curves."""

import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from typer import Option

from ..config.experiment import find_config, load
from ..errors import UserError
from ..output import emit, in_colour
from ..results import rows as stored
from ..results.rows import Row, check_column
from ..results.store import Store, loaded
from ..tables import Table
from . import inputs, printing
from .options import FORMAT, PUBLISHED, RESULTS, Format, experiment_argument, option, switch
from .printing import fenced, paragraphs, say

MOST_RUNS = 40  # with more than these, a summary is shown
BEST = 5  # runs that a summary lists


def show(
    experiment: str | None = experiment_argument("the latest"),
    results: Path = RESULTS,
    format: Format = FORMAT,
    published: bool = PUBLISHED,
    rows: str | None = option("COLUMN", "Average: a row for each value of COLUMN."),
    cols: str | None = option("COLUMN", "With --rows: a column for each value."),
    value: str | None = option("COLUMN", "With --rows: what to average.", "final_loss"),
    best: int | None = Option(
        None, metavar="N", min=1, help="The N runs with the lowest final loss."
    ),
    plot: bool = switch("--plot", help="Draw the losses as text."),
) -> None:
    inputs.one_of({"--rows": rows, "--best": best, "--published": published, "--plot": plot})
    inputs.needs("--rows", rows is not None, {"--cols": cols, "--value": value})
    if plot and format in ("json", "csv"):
        raise UserError(f"--plot: can't be printed as {format}; leave out --format")
    store = inputs.last_store(experiment, results)
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
    runs = stored.selected(inputs.stored_runs(store))[0]
    beside = inputs.published_beside(load(find_config("notebook"))) if published else None
    if len(runs) > MOST_RUNS and not beside and format in ("table", "markdown"):
        rows = [stored.row(run) for run in runs]
        more = fenced(_more(store.folder.name, rows), format)
        printing.show_parts([*_overview(rows), more], format)
    else:
        records = list(filter(None, map(loaded, runs)))
        printing.show_records(records, format, beside)


def _overview(rows: list[Row]) -> Iterator[Table | str]:
    outcomes = Counter(row["outcome"] for row in rows).most_common()
    yield f"{len(rows):,} runs: {', '.join(f'{count:,} {outcome}' for outcome, count in outcomes)}"
    yield stored.spread(rows)
    if lowest := stored.best(rows, BEST):
        yield "the lowest final losses:"
        yield stored.table(lowest, [*stored.default_columns(rows), "folder"])


def _more(name: str, rows: list[Row]) -> str:
    """The commands that show more of many runs."""
    by = next(iter(stored.differing(rows)), "outcome")
    commands = {
        f"twolayer results {name}": "all of them; --where picks some",
        f"twolayer show {name} --best 20": "more of the best",
        f"twolayer show {name} --rows {by} --cols impl": "averages",
        f"twolayer show {name} --format csv": "the losses of all",
    }
    width = max(map(len, commands))
    return "\n".join(f"{command:{width}}  # {what}" for command, what in commands.items())


def _show_averages(store: Store, format: Format, rows: str, cols: str | None, value: str) -> None:
    down = check_column(rows, "--rows")
    across = None if cols is None else check_column(cols, "--cols")
    value = check_column(value, "--value")
    pivot = stored.pivot(_current_rows(store), down, across, value)
    cells = list(pivot.cells.values())
    over = f" over {' and '.join(pivot.over)}" if pivot.over else ""
    caption = f"{value} of runs that ended as ok: mean ± standard deviation (runs){over}"
    if format == "table":
        caption = textwrap.fill(caption, printing.terminal_size()[0])
    printing.show_rows(cells, list(cells[0]), format, lambda: [pivot.table, caption])


def _show_plot(store: Store, format: Format) -> None:
    from ..report import data, terminal  # slow to import

    chart = data.chart("losses", store, None)
    width, height = printing.terminal_size(80) if format == "table" else (80, 40)
    colour = format == "table" and in_colour()
    emit(fenced(terminal.text(chart, width, height, colour=colour), format), styled=colour)
    if chart.note:
        say(paragraphs([chart.note]))


def _current_rows(store: Store) -> list[Row]:
    """The runs of an experiment, without those made again since."""
    return [stored.row(run) for run in stored.current(inputs.stored_runs(store))]
