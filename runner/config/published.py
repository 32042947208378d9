"""Losses that somebody printed, read from a CSV as people and spreadsheets write it."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

from ..errors import ConfigError, Mistake, UserError
from .document import scalar, text_of
from .experiment import shown, shown_path
from .rules import Whole

Published = dict[str, dict[int, float]]
"""Losses by implementation and epoch."""

COLUMNS = ("implementation", "epoch", "loss")
_SHOWN = 10


def read_published(path: Path) -> Published:
    """Losses by implementation and epoch, from a CSV with the columns of COLUMNS, and others.

    Cells are divided by commas, or by semicolons or tabs where the header is, and then losses
    may have decimal commas. Blank lines, lines that begin with `#` and empty losses are passed
    over. Raises ConfigError with the line of everything that can't be read without guessing.
    """
    reader = _Reader(shown_path(path))
    try:
        reader.read(text_of(path, reader.name).removeprefix("\ufeff"))
    except csv.Error as error:
        raise UserError(f"{reader.name}: is not CSV: {error}") from None
    if reader.mistakes:
        more = len(reader.mistakes) - _SHOWN
        note = f"and {more} more like these" if more > 0 else ""
        shown = reader.mistakes[:_SHOWN]
        raise ConfigError([*shown[:-1], replace(shown[-1], note=note)])
    return reader.published


class _Reader:
    def __init__(self, name: str) -> None:
        self.name = name
        self.published: Published = {}
        self.mistakes: list[Mistake] = []

    def wrong(self, line: int, key: str, message: str) -> None:
        self.mistakes.append(Mistake(f"{self.name}:{line}", key, message))

    def read(self, text: str) -> None:
        lines = [
            (number, line)
            for number, line in enumerate(text.split("\n"), start=1)
            if line.strip(" \t,;") and not line.lstrip(' "').startswith("#")
        ]
        first, header = lines[0] if lines else (1, "")
        divider = next((mark for mark in ";\t" if mark in header), ",")
        names = [name.lower() for name in _cells(header, divider)]
        for column in COLUMNS:
            if names.count(column) != 1:
                message = f"must have one column {column} (got {shown(header)})"
                self.wrong(first, "", message)
        if self.mistakes:
            return
        rows = {number: _cells(line, divider) for number, line in lines[1:]}
        at = names.index("loss")
        points = any("." in loss for cells in rows.values() for loss in cells[at : at + 1])
        for number, cells in rows.items():
            row = dict(zip(names, cells + [""] * len(names), strict=False))
            if len(cells) > len(names):
                message = f"has {len(cells)} cells, the header {len(names)}"
                self.wrong(number, "", f"{message}; where decimals have commas, divide cells by ;")
            elif points or divider == ",":
                self.row(number, row, row["loss"])
            else:
                self.row(number, row, row["loss"].replace(",", "."))

    def row(self, line: int, row: dict[str, str], loss: str) -> None:
        if not (impl := row["implementation"]):
            self.wrong(line, "implementation", "must be a name (got nothing)")
        try:
            epoch = Whole(0).check(scalar(row["epoch"]))
        except ValueError as error:
            self.wrong(line, "epoch", f"{error} (got {shown(row['epoch'])})")
            return
        losses = self.published.setdefault(impl, {})
        if epoch in losses:
            self.wrong(line, "epoch", f"{epoch} of {impl} is given twice; keep one")
        try:
            if loss:
                losses[epoch] = _finite(loss)
        except ValueError:
            message = f"must be a number, or empty where there is none (got {shown(row['loss'])})"
            self.wrong(line, "loss", message)


def _finite(text: str) -> float:
    """A loss as people write it. Raises ValueError for nan, inf and 1_000."""
    if not math.isfinite(number := float(text)) or "_" in text:
        raise ValueError
    return number


def _cells(line: str, divider: str) -> list[str]:
    """The cells of a line, without those at its end that are empty."""
    reader = csv.reader([line], delimiter=divider, skipinitialspace=True)
    cells = [cell.strip() for cell in next(reader)]
    while cells and not cells[-1]:
        cells.pop()
    return cells
