"""Printing: results as tables, JSON, CSV or Markdown; messages; exit codes."""

import contextlib
import json
import math
import os
import shutil
import sys
import textwrap
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import listed, one_line
from ..output import emit, printable

if TYPE_CHECKING:
    from ..config.plan import Run
    from ..config.published import Published
    from ..engine.scheduler import Session
    from ..results.record import Record
    from ..results.rows import Row
    from ..tables import Table

PATIENCE_S = 3.0
"""After this time a command says what takes so long."""

OK, INTERNAL, USAGE, FAILED, DIVERGED, SLOWER, UNSURE, INTERRUPTED = 0, 1, 2, 3, 4, 5, 6, 130


class Format(StrEnum):
    """How results are printed."""

    table = "table"
    json = "json"
    csv = "csv"
    markdown = "markdown"


FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How to print the results.")]


# --- results


def show_results(
    format: Format,
    parts: "Callable[[], Iterable[Table | str]]",
    *,
    whole: Callable[[], Any],
    csv: Callable[[], str],
) -> None:
    """Print results: `parts` as tables or Markdown, `whole` as JSON, or `csv`."""
    if format is Format.json:
        emit(json.dumps(finite(whole()), indent=1, allow_nan=False))
    elif format is Format.csv:
        emit(csv())
    else:
        show_parts(parts(), format)


def show_parts(parts: "Iterable[Table | str]", format: Format = Format.table) -> None:
    """Print tables and text, those that are not empty, for the terminal or as Markdown."""
    if texts := [formatted(part, format) for part in parts if part]:
        emit("\n\n".join(texts))


def show_rows(rows: "Sequence[Row]", columns: Sequence[str], format: Format) -> None:
    from ..results.rows import as_csv, table

    show_results(
        format,
        lambda: [table(rows, columns)],
        whole=lambda: [{name: row[name] for name in columns} for row in rows],
        csv=lambda: as_csv(rows, columns),
    )


def show_records(records: "list[Record]", format: Format, published: "Published | None") -> None:
    from ..results import tables

    def parts() -> "list[Table | str]":
        texts = [fenced(text, format) for text in (tables.notes(records), tables.failures(records))]
        return [tables.losses(records, published), tables.summary(records), *texts]

    show_results(
        format,
        lambda: parts() if records else [],
        whole=lambda: [record.full() for record in records],
        csv=lambda: tables.losses(records, published, exact=True).csv(),
    )


def formatted(part: "Table | str", format: Format) -> str:
    """A table for the terminal or as Markdown; text stays as it is."""
    if isinstance(part, str):
        return part
    return part.markdown() if format is Format.markdown else part.text(terminal_size()[0])


def fenced(text: str, format: Format) -> str:
    """Text whose lines and columns Markdown must keep."""
    return f"```text\n{text}\n```" if text and format is Format.markdown else text


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


def finite(value: Any) -> Any:
    """A value for JSON, which has no infinity and no NaN: they become null."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def exit_code(session: "Session", outcomes: Iterable[str]) -> int:
    """Given up, interrupted, or the worst that happened to runs."""
    from ..results.record import FAILURES

    outcomes = set(outcomes)
    if session.interrupted:
        return INTERRUPTED
    if session.broken or not outcomes.isdisjoint(FAILURES):
        return FAILED
    return DIVERGED if "diverged" in outcomes else OK


# --- messages


def say(text: str, quiet: bool) -> None:
    if not quiet:
        emit(printable(text), sys.stderr)


def say_notes(runs: "Iterable[Run]", quiet: bool) -> None:
    """Print what may surprise about runs that are about to start."""
    from ..config.plan import notes

    runs = list(runs)
    texts = notes(run.implementation for run in runs)
    given = os.environ.get("OMP_NUM_THREADS")
    auto = next((run.threads for run in runs if run.config.threads == "auto"), None)
    if given and auto and given != str(auto):
        texts.append(f"OMP_NUM_THREADS={given} has no effect, --threads decides; auto is {auto}")
    for text in texts:
        say(f"note: {text}", quiet)


def also_loaded(record: "Record") -> list[str]:
    """A warning of files that a run loaded although its source does not show it."""
    if not record.also_loaded:
        return []
    return [
        f"warning: {record.impl} also loaded {listed(record.also_loaded)}, which its source does "
        "not show: a sweep sees when they change, but Dask workers don't get them"
    ]


def why(result: dict[str, Any], timeout_s: float = float("inf")) -> str:
    """Why a process returned an error instead of a result, in one line."""
    error = result["error"]
    if error is None:
        return f"it did not end within {timeout_s:g} s"
    return one_line(error)


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
