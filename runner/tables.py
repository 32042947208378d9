"""A table: for a terminal of any width, as Markdown and as CSV."""

import csv
import io
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

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

    def text(self, width: int) -> str:
        """The table for people, split into blocks where it is wider than `width`."""
        table = self._cut(width)
        return "\n\n".join(map(table._block, table._blocks(width)))

    def _widths(self) -> list[int]:
        return [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]

    def _cut(self, width: int) -> Self:
        """The table with words shortened where a column would not fit beside the first."""
        first, *others = self._widths()
        first = min(first, max(width // 2, width - len(GAP) - max(others, default=0)))
        limits = [first, *(max(1, width - len(GAP) - first) for _ in others)]
        rows = [list(cells) for cells in (self.header, *self.rows)]
        for cells, column in itertools.product(rows, self.left.intersection(range(len(limits)))):
            cells[column] = shortened(cells[column], limits[column])
        return replace(self, header=rows[0], rows=rows[1:])

    def _blocks(self, width: int) -> list[list[int]]:
        """Column numbers, first one included, in blocks that fit into `width` characters."""
        widths = self._widths()
        starts = [column for column in range(1, len(widths)) if column not in self.glued]
        blocks, used = [[0]], widths[0]
        for start, end in itertools.pairwise([*starts, len(widths)]):
            needed = sum(len(GAP) + column for column in widths[start:end])
            if used + needed > width and len(blocks[-1]) > 1:
                blocks.append([0])
                used = widths[0]
            blocks[-1] += range(start, end)
            used += needed
        return blocks

    def _block(self, columns: list[int]) -> str:
        widths, lines = self._widths(), []
        for cells in (self.header, ["─" * width for width in widths], *self.rows):
            aligned = (
                cells[c].ljust(widths[c]) if c in self.left else cells[c].rjust(widths[c])
                for c in columns
            )
            lines.append(printable(GAP.join(aligned).rstrip()))
        return "\n".join(lines)

    def markdown(self) -> str:
        """The table as GitHub reads it."""
        rule = [":--" if column in self.left else "--:" for column in range(len(self.header))]
        escaped = [[cell.replace("|", "\\|") for cell in row] for row in self.rows]
        lines = [self.header, rule, *escaped]
        return "\n".join(printable(f"| {' | '.join(line)} |") for line in lines)

    def csv(self) -> str:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.header, *self.rows])
        return text.getvalue().rstrip("\n")


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
