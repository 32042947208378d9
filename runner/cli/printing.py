"""Printing: results as tables, JSON, CSV or Markdown; messages; exit codes."""

import contextlib
import json
import os
import shutil
import sys
import textwrap
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

from ..config.plan import Run, notes
from ..config.published import Published
from ..errors import listed
from ..output import emit, printable
from ..results import tables
from ..results.record import FAILURES, Record
from ..results.rows import Row, as_csv, table
from ..tables import Table
from . import DIVERGED, FAILED, INTERRUPTED, OK, SLOWER, UNSURE
from .options import Format

Parts = Callable[[], Iterable[Table | str]]

PATIENCE_S = 1.5  # after this time a command says what takes so long
_CODES = dict.fromkeys(FAILURES, FAILED)
_CODES |= {"diverged": DIVERGED, "slower": SLOWER, "unsure": UNSURE}
"""Exit codes of what may happen, the worst first."""


def exit_code(happened: Collection[str], *, interrupted: bool = False, broken: str = "") -> int:
    """Interrupted or given up, or else the worst that happened."""
    if interrupted or broken:
        return INTERRUPTED if interrupted else FAILED
    return next((code for what, code in _CODES.items() if what in happened), OK)


# --- results


def show_results(
    format: Format, parts: Parts, *, whole: Callable[[], Any], csv: Callable[[], str]
) -> None:
    """Print results: `parts` as tables or Markdown, `whole` as JSON, or `csv`."""
    if format == "json":
        # JSON has no infinity and no NaN: they become null.
        finite = json.loads(json.dumps(whole()), parse_constant=lambda _: None)
        emit(json.dumps(finite, indent=1))
    elif format == "csv":
        emit(csv())
    else:
        show_parts(parts(), format)


def show_parts(parts: Iterable[Table | str], format: Format = "table") -> None:
    """Print tables and text, those that are not empty, for the terminal or as Markdown."""
    if texts := [_formatted(part, format) for part in parts if part]:
        emit("\n\n".join(texts))


def _formatted(part: Table | str, format: Format) -> str:
    if isinstance(part, str):
        return part
    return part.markdown() if format == "markdown" else part.text(terminal_size()[0])


def show_rows(
    rows: Sequence[Row], columns: Sequence[str], format: Format, parts: Parts | None = None
) -> None:
    """Print rows as a table, or people `parts` in its place."""
    show_results(
        format,
        parts or (lambda: [table(rows, columns)]),
        whole=lambda: [{name: row[name] for name in columns} for row in rows],
        csv=lambda: as_csv(rows, columns),
    )


def show_records(
    records: list[Record],
    format: Format,
    published: Published | None,
    *,
    verbose: bool = False,
    answer: Sequence[str] = (),
) -> None:
    """Print runs: losses, beside `published` ones, a summary, what to say of them, the verdict.

    `answer` is what to say in its place, in paragraphs.
    """

    def parts() -> Iterator[Table | str]:
        if records:
            yield tables.losses(records, published)
            yield tables.summary(records, verbose=verbose)
            yield paragraphs([tables.common(records)])
            yield fenced(tables.notes(records), format)
            yield fenced(tables.failures(records), format)
            yield paragraphs(answer or [tables.verdict(records)])

    show_results(
        format,
        parts,
        whole=lambda: [record.full() for record in records],
        csv=lambda: tables.losses(records, published, exact=True).csv(),
    )


def fenced(text: str, format: Format) -> str:
    """Text whose lines and columns Markdown must keep."""
    return f"```text\n{text}\n```" if text and format == "markdown" else text


def paragraphs(texts: Iterable[str]) -> str:
    """One paragraph a line; on a terminal wrapped between words, with the rest indented."""
    if not sys.stdout.isatty():
        return "\n".join(texts)
    wrapper = textwrap.TextWrapper(max(20, terminal_size()[0]), subsequent_indent="  ")
    wrapper.break_long_words = wrapper.break_on_hyphens = False
    return "\n".join(map(wrapper.fill, texts))


def terminal_size(columns: int = 150) -> tuple[int, int]:
    """Columns and lines of the terminal; without one, `columns` and 40."""
    return shutil.get_terminal_size((columns, 40))


# --- messages


def say(text: str, quiet: bool = False) -> None:
    """Print a line to standard error, unless `quiet`."""
    if not quiet:
        emit(printable(text), sys.stderr)


def say_next(commands: Iterable[str], quiet: bool) -> None:
    """Print what may sensibly be called next, in a line if it fits."""
    commands = list(map(printable, commands))
    line = "next: " + "; ".join(commands)
    if len(line) > terminal_size()[0]:
        line = "next: " + "\n      ".join(commands)
    if commands and not quiet:
        emit(line, sys.stderr)


def say_notes(runs: Iterable[Run], quiet: bool) -> None:
    """Print what may surprise about runs that are about to start."""
    runs = list(runs)
    texts = notes(run.implementation for run in runs)
    given = os.environ.get("OMP_NUM_THREADS")
    auto = next((run.threads for run in runs if run.config.threads == "auto"), None)
    if given and auto and given != str(auto):
        texts.append(f"OMP_NUM_THREADS={given} has no effect, --threads decides; auto is {auto}")
    for text in texts:
        say(f"note: {text}", quiet)


def also_loaded(*records: Record) -> dict[str, None]:
    """Warnings, once each, of files that runs loaded although their sources do not show it."""
    hidden = "which its source does not show: a sweep sees when they change, but Dask workers"
    return {
        f"warning: {r.impl} also loaded {listed(r.also_loaded)}, {hidden} don't get them": None
        for r in records
        if r.also_loaded
    }


@contextlib.contextmanager
def patience(text: str, quiet: bool) -> Iterator[None]:
    """Print what is being done if it takes long."""
    timer = threading.Timer(PATIENCE_S, say, (text, quiet))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
