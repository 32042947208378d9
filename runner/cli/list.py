"""`twolayer list`: the implementations, and what each can honour."""

import sys
from typing import Any

from .. import packages
from ..config import catalogue, frameworks
from ..config.catalogue import Implementation
from ..config.settings import OPTIONAL
from ..errors import UserError
from ..output import emit
from ..tables import GAP, Table
from .options import FORMAT, Format

HEADER = ("implementation", "framework", "devices", "honours", "title")
_LEFT = frozenset(range(len(HEADER)))


def list(format: Format = FORMAT) -> None:  # noqa: A001 (a command's function has its name)
    rows, notes = [], catalogue.problems()
    for item in catalogue.installed():
        try:
            rows.append(_described(item))
        except UserError as error:
            notes.append(f"{item.name}: {error}")
    table = Table(HEADER, [_as_cells(**row) for row in rows], _LEFT)
    needs = {frameworks.install_hint(name): None for row in rows for name in row["missing"]}
    ready = sum(not row["missing"] for row in rows)
    answer = "; ".join([f"{ready} of {len(rows)} can run here", *needs])
    if format == "table":  # at once: printing imports much that this does without
        emit(f"{_for_width(table)}\n\n{answer}")
    else:
        from .printing import show_results

        show_results(format, lambda: [table, answer], whole=lambda: rows, csv=table.csv)
    for note in notes:
        emit(f"note: {note}", sys.stderr)


def _described(item: Implementation) -> dict[str, Any]:
    missing = item.missing()
    return {
        "implementation": item.name,
        "framework": item.framework,
        "version": None if missing else packages.version(item.framework),
        "devices": item.devices,
        "honours": [name for name in OPTIONAL if item.honours(name)],
        "title": item.title,
        "origin": item.origin,
        "missing": missing,
    }


def _as_cells(implementation: str, framework: str, title: str, **row: Any) -> tuple[str, ...]:
    missing = f"{', '.join(row['missing'])} missing" if row["missing"] else ""
    needs = missing or f"{framework} {row['version']}"
    return implementation, needs, "/".join(row["devices"]), ", ".join(row["honours"]) or "-", title


def _for_width(table: Table) -> str:
    """A line for each implementation, or, on a terminal too narrow for that, titles apart."""
    text = table.text(sys.maxsize)
    if not sys.stdout.isatty():
        return text
    from shutil import get_terminal_size  # takes a while
    from textwrap import fill

    width = get_terminal_size().columns
    if max(map(len, text.split("\n"))) <= width:
        return text
    size = max(len(cells[0]) for cells in table.rows)
    lines = [f"{name:<{size}}{GAP}{title}" for name, *_, title in table.rows]
    titles = [fill(line, width, subsequent_indent=" " * size + GAP) for line in lines]
    upper = Table(HEADER[:-1], [cells[:-1] for cells in table.rows], _LEFT)
    return "\n".join([upper.text(width), "", *titles])
