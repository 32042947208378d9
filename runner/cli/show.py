"""`twolayer show`: an experiment's latest run, averages, best runs, or curves."""

import sys
import textwrap
from pathlib import Path

from ..config.experiment import find_config, load
from ..errors import UserError
from ..output import emit, in_colour
from ..results import rows as stored
from ..results.answers import Answer, answer
from ..results.rows import Row, check_column, counted
from ..results.store import Store, loaded
from ..tables import Table, exact
from . import inputs, printing
from .options import ALL, FORMAT, PUBLISHED, RESULTS, Format, experiment_argument, option, switch
from .printing import fenced, paragraphs, say

MOST_RUNS = 12  # with more than these, the answer is shown, not each of them
BEST = 5  # runs listed above the answer


def show(
    experiment: str | None = experiment_argument("the latest"),
    results: Path = RESULTS,
    format: Format = FORMAT,
    published: bool = PUBLISHED,
    rows: str | None = option("COLUMN", "Average: a row for each value of COLUMN."),
    cols: str | None = option("COLUMN", "With --rows: a column for each value."),
    value: str | None = option("COLUMN", "With --rows: what to average.", "final_loss"),
    best: int | None = option("N", "The N runs with the lowest final loss.", min=1),
    all_runs: bool = ALL,
    plot: bool = switch("--plot", help="Draw the losses as text."),
) -> None:
    inputs.one_of({"--rows": rows, "--best": best, "--published": published, "--plot": plot})
    inputs.needs("--rows", rows is not None, {"--cols": cols, "--value": value})
    if plot and format in ("json", "csv"):
        raise UserError(f"--plot: can't be printed as {format}; leave out --format")
    store = inputs.last_store(experiment, results)
    if plot:
        _show_plot(store, format, everything=all_runs)
        return
    runs, others = stored.selected(inputs.stored_runs(store), everything=all_runs)
    if others:
        say(stored.left_out(others, store.folder.name))
    current = [stored.row(run) for run in stored.current(runs)]
    if rows is not None:
        _show_averages(current, format, rows, cols, value or "final_loss")
    elif best is not None:
        columns, lowest = [*stored.default_columns(current), "folder"], stored.best(current, best)
        printing.show_rows(lowest, columns, format, lambda: [_lowest(current, best)])
    elif len(current) > MOST_RUNS and not published and format in ("table", "markdown"):
        _show_answer(store, current, format)
    else:
        beside = inputs.published_beside(load(find_config("notebook"))) if published else None
        sentences = _sentences(answer(current)) if all(map(stored.swept, runs)) else []
        records = list(filter(None, map(loaded, runs)))
        printing.show_records(records, format, beside, answer=sentences)


def _show_answer(store: Store, rows: list[Row], format: Format) -> None:
    """What many runs came to, and the commands that show more of them."""
    found, lowest = answer(rows), _lowest(rows, BEST)
    head = ("the lowest final losses:", lowest) if lowest.rows else ()
    printing.show_parts((*head, found.table, paragraphs(_sentences(found))), format)
    by, show = next(iter(stored.differing(rows)), "outcome"), inputs.call_on("show", store.folder)
    report = inputs.call_on("report", store.folder)
    printing.say_next([f"{show} --rows {by} --cols impl", f"{show} --best 20", report], quiet=False)


def _lowest(rows: list[Row], count: int) -> Table:
    columns = ["impl", *stored.differing(rows), "final_loss", "train_s", "folder"]
    return stored.table(stored.best(rows, count), columns)


def _sentences(found: Answer) -> list[str]:
    count = counted(found.outcomes.total(), "run", "runs")
    return [f"{count}: {exact(found.outcomes)}.", *found.sentences]


def _show_averages(
    runs: list[Row], format: Format, rows: str, cols: str | None, value: str
) -> None:
    down = check_column(rows, "--rows")
    across = None if cols is None else check_column(cols, "--cols")
    value = check_column(value, "--value")
    pivot = stored.pivot(runs, down, across, value)
    cells = list(pivot.cells.values())
    over = f" over {' and '.join(pivot.over)}" if pivot.over else ""
    caption = f"{value} of runs that ended as ok: mean ± standard deviation (runs){over}"
    if format == "table":
        caption = textwrap.fill(caption, printing.terminal_size()[0])
    printing.show_rows(cells, list(cells[0]), format, lambda: [pivot.table, caption])


def _show_plot(store: Store, format: Format, *, everything: bool) -> None:
    from ..report import data, terminal  # slow to import

    chart = data.chart("losses", store, None, everything=everything)
    width, height = printing.terminal_size(80) if format == "table" else (80, 40)
    colour = format == "table" and in_colour()
    emit(fenced(terminal.text(chart, width, height, colour=colour), format), styled=colour)
    if chart.note:
        emit(paragraphs([chart.note]), sys.stderr)
