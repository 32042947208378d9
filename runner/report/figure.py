"""The figure of `twolayer verify --figure`: deviations against their bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..config import catalogue
from ..errors import UserError
from ..verify.evidence import Gate, Verdict
from . import drawing
from .chart import Look
from .looks import looks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOWEST = 1e-17
"""Where a deviation of 0 is drawn, for want of a logarithm."""


def deviations(verdicts: Sequence[Verdict], path: Path) -> None:
    """Draw how far each has deviated so far against its bound, a panel for each problem.

    float64, which decides, stands above float32. Raises UserError if there is nothing to draw or
    the file can't be written.
    """
    from matplotlib.figure import Figure

    groups = _by_problem(verdicts)
    if not groups:
        raise UserError(f"--figure {path}: not drawn, since no implementation came to a loss")
    known = {item.name: item.framework for item in catalogue.installed()}
    seen = looks({verdict.impl: known.get(verdict.impl, "") for verdict in verdicts})
    size = (1.2 + 2.6 * len(groups), 5.6)
    with drawing.style():
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(2, len(groups), sharex="col", sharey="row", squeeze=False)
        for row, dtype in zip(grid, ("float64", "float32"), strict=True):
            for axes, group in zip(row, groups, strict=True):
                _panel(axes, [(v, gate) for v in group if (gate := getattr(v, dtype))], seen)
            row[0].set_ylabel(f"{dtype}: relative deviation\nof the loss, largest so far")
        for axes, group in zip(grid[0], groups, strict=True):
            axes.set_title(f"{group[0].reference}, {group[0].start} start")
        for axes in grid[1]:
            axes.set_xlabel("epoch")
        _legend(figure)
        drawing.save(figure, path, "--figure", "Deviations from the reference, and their bounds")


def _by_problem(verdicts: Sequence[Verdict]) -> list[list[Verdict]]:
    """The verdicts in groups that were held to the same bounds."""
    groups: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.float64 is not None:
            problem = {k: v for k, v in verdict.config.items() if k not in ("epochs", "log_every")}
            groups.setdefault(f"{verdict.reference} {problem}", []).append(verdict)
    return list(groups.values())


def _panel(axes: Axes, gates: Sequence[tuple[Verdict, Gate]], seen: Mapping[str, Look]) -> None:
    for number, (verdict, gate) in enumerate(gates):
        so_far = np.maximum.accumulate(np.maximum(gate.deviations, LOWEST))
        step = max(1, len(so_far) // 6)
        every = (number * step // len(gates), step)  # where others are not marked
        look = drawing.line(seen[verdict.impl]) | drawing.MARKED | {"markevery": every}
        axes.plot(so_far, label=drawing.words(verdict.impl), **look)
    longest = max((gate.band for _, gate in gates), key=len, default=[])
    axes.plot(longest, color=drawing.INK, linewidth=2, label="bound")
    axes.set_yscale("log")


def _legend(figure: Figure) -> None:
    """One for all panels, under them."""
    lines = {line.get_label(): line for axes in figure.axes for line in axes.lines}
    bound = lines.pop("bound")
    handles = [*lines.values(), bound]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(6, len(handles)))
