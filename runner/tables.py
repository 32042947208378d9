"""A table: for a terminal of any width, as Markdown and as CSV."""

import itertools
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .output import printable

BARS = "▁▂▃▄▅▆▇█"
GAP = "  "


@dataclass(frozen=True)
class Table:
    """Cells in rows under a header; the first column names the row and is never split off."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: frozenset[int] = frozenset()  # columns with words, which align left, not right
    glued: frozenset[int] = frozenset()  # columns never split from the one before them
    optional: Sequence[int] = ()  # columns left out where they don't fit, the last ones first

    def text(self, width: int) -> str:
        """The table for people, split into blocks where it is wider than `width`."""
        columns = self._columns(width)
        sizes, room = [len(GAP) + len(column[0]) for column in columns], len(GAP) + width
        dropped = self._dropped(sizes, room)
        starts = [number for number in range(1, len(columns)) if number not in self.glued]
        blocks = [[0]]
        for start, end in itertools.pairwise([*starts, len(columns)]):
            part = [number for number in range(start, end) if number not in dropped]
            if len(blocks[-1]) > 1 and sum(sizes[n] for n in (*blocks[-1], *part)) > room:
                blocks.append([0])
            blocks[-1] += part
        text = "\n\n".join(_block([columns[n] for n in block]) for block in blocks)
        if dropped:
            names = ", ".join(self.header[number] for number in dropped)
            shows = f"(a wider terminal shows {names})"
            text += f"\n{textwrap.fill(shows, max(1, width))}"
        return text

    def _dropped(self, sizes: list[int], room: int) -> list[int]:
        """The optional columns that there is no room for beside the others."""
        room -= sum(s for n, s in enumerate(sizes) if n not in self.optional)
        dropped = []
        for number in self.optional:
            if sizes[number] > room:
                dropped.append(number)
            else:
                room -= sizes[number]
        return sorted(dropped)

    def _columns(self, width: int) -> list[list[str]]:
        """Columns of aligned cells, with words shortened where they'd not fit beside the first."""
        columns = list(zip(self.header, *self.rows, strict=True))
        first, *others = (max(map(len, column)) for column in columns)
        first = min(first, max(width // 2, width - len(GAP) - max(others, default=0)))
        aligned = []
        for number, column in enumerate(columns):
            words, limit = number in self.left, first if number == 0 else width - len(GAP) - first
            cells = [shortened(cell, max(1, limit)) if words else cell for cell in column]
            size = max(map(len, cells))
            align = str.ljust if words else str.rjust
            aligned.append([align(cell, size) for cell in (cells[0], "─" * size, *cells[1:])])
        return aligned

    def markdown(self) -> str:
        """The table as GitHub reads it."""
        rule = [":--" if column in self.left else "--:" for column in range(len(self.header))]
        escaped = [[cell.replace("|", "\\|") for cell in row] for row in self.rows]
        lines = [self.header, rule, *escaped]
        return "\n".join(printable(f"| {' | '.join(line)} |") for line in lines)

    def csv(self) -> str:
        import csv  # here, since `list` would feel it
        import io

        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.header, *self.rows])
        return text.getvalue().rstrip("\n")


def _block(columns: list[list[str]]) -> str:
    lines = (GAP.join(cells).rstrip() for cells in zip(*columns, strict=True))
    return "\n".join(map(printable, lines))


def shortened(text: str, width: int) -> str:
    """`an implem…` where there is not room for all of it."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def exact(value: Any) -> str:
    """A value for programs: every digit, nothing for None, true and false in lower case."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return ", ".join(f"{count} {name}" for name, count in value.items())
    return str(value)


def number(value: float | None, digits: int = 4) -> str:
    """`3.1911e+07`: the same width for every magnitude, so that columns line up."""
    return "-" if value is None else f"{value:.{digits}e}"


def sparkline(values: Sequence[float], width: int = 12) -> str:
    """The logarithms of some losses as a row of bars; the lowest bar is the lowest loss."""
    logs = [math.log10(v) for v in values if math.isfinite(v) and v > 0]
    if not logs:
        return ""
    count = min(width, len(logs))
    picked = [logs[round(i * (len(logs) - 1) / max(1, count - 1))] for i in range(count)]
    low, high = min(picked), max(picked)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0
    return "".join(BARS[round((value - low) * scale)] for value in picked)
