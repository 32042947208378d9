"""Losses that somebody printed, read from a CSV as people and spreadsheets write it."""

import csv
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ..errors import ConfigError, Mistake, UserError
from .document import scalar, text_of
from .experiment import as_written, shown_path
from .rules import numeric

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
    name, published = shown_path(path), Published()
    text = text_of(path, name).removeprefix("\ufeff")
    try:
        wrong = [Mistake(f"{name}:{line}", *what) for line, *what in _read(text, published)]
    except csv.Error as error:
        raise UserError(f"{name}: is not CSV: {error}") from None
    if more := wrong[_SHOWN:]:
        wrong[_SHOWN - 1 :] = [replace(wrong[_SHOWN - 1], note=f"and {len(more)} more like these")]
    if wrong:
        raise ConfigError(wrong)
    return published


def _read(text: str, published: Published) -> Iterator[tuple[int, str, str]]:
    """Read a text into `published`; yields line, key and message of what is wrong with it."""
    lines = {
        number: line
        for number, line in enumerate(text.split("\n"), start=1)
        if line.strip(" \t,;") and not line.lstrip(' "').startswith("#")
    } or {1: ""}
    first, header = next(iter(lines.items()))
    divider = next((mark for mark in ";\t" if mark in header), ",")
    cut = (line.rstrip(f"{divider} \t") for line in lines.values())  # no empty cells at the end
    read = (next(csv.reader([c], delimiter=divider, skipinitialspace=True)) for c in cut)
    names, *rows = ([cell.strip() for cell in cells] for cells in read)
    names = [name.lower() for name in names]
    if lacking := [column for column in COLUMNS if names.count(column) != 1]:
        for column in lacking:
            yield first, "", f"must have one column {column} (got {as_written(header)})"
        return
    at = names.index("loss")
    points = divider == "," or any("." in loss for row in rows for loss in row[at : at + 1])
    for number, cells in zip(list(lines)[1:], rows, strict=True):
        if len(cells) > len(names):
            message = f"has {len(cells)} cells, the header {len(names)}"
            yield number, "", f"{message}; where decimals have commas, divide cells by ;"
            continue
        row = dict.fromkeys(names, "") | dict(zip(names, cells, strict=False))
        for key, message in _read_row(row, "." if points else ",", published):
            yield number, key, message


def _read_row(row: dict[str, str], comma: str, published: Published) -> Iterator[tuple[str, str]]:
    if not (impl := row["implementation"]):
        yield "implementation", "must be a name (got nothing)"
    try:
        epoch = numeric(int, minimum=0).check(scalar(row["epoch"]))
    except ValueError as error:
        yield "epoch", f"{error} (got {as_written(row['epoch'])})"
        return
    losses = published.setdefault(impl, {})
    if epoch in losses:
        yield "epoch", f"{epoch} of {impl} is given twice; keep one"
    if text := row["loss"]:
        try:
            loss = float(text.replace(comma, "."))
        except ValueError:
            loss = math.nan
        if math.isfinite(loss) and "_" not in text:
            losses[epoch] = loss
        else:
            yield "loss", f"must be a number, or empty where there is none (got {as_written(text)})"
