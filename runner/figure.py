"""Figures for papers and slides, drawn by matplotlib (the extra `plot`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .errors import UserError
from .evidence import Gate, Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette, which people with colour-blindness can tell apart; the dash tells
# apart what shares a colour.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":")
LOWEST = 1e-17
"""Where a deviation of 0 is drawn, for want of a logarithm."""


def deviations(verdicts: Sequence[Verdict], path: Path) -> None:
    """Draw how far each has deviated so far against its bound, a panel for each problem.

    float64, which decides, stands above float32. Raises UserError if matplotlib is not
    installed or can't write such a file.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError("--figure needs matplotlib; pip install 'twolayer[plot]'") from None
    groups = _by_problem(verdicts)
    size = (1.2 + 2.6 * len(groups), 5.2)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(2, len(groups), sharex="col", sharey="row", squeeze=False)
    for row, dtype in zip(grid, ("float64", "float32"), strict=True):
        for axes, group in zip(row, groups, strict=True):
            _panel(axes, [(v, gate) for v in group if (gate := getattr(v, dtype))])
        row[0].set_ylabel(f"{dtype}: relative deviation\nof the loss, largest so far", fontsize=8)
    for axes, group in zip(grid[0], groups, strict=True):
        axes.set_title(f"{group[0].reference}, {group[0].start} start", fontsize=9)
    for axes in grid[1]:
        axes.set_xlabel("epoch", fontsize=8)
    try:
        figure.savefig(path, dpi=150)
    except ValueError as error:
        raise UserError(f"--figure {path}: {error}") from None
    except OSError as error:
        raise UserError(f"--figure {path}: can't be written: {error.strerror}") from None


def _by_problem(verdicts: Sequence[Verdict]) -> list[list[Verdict]]:
    """The verdicts in groups that were held to the same bounds."""
    groups: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.float64 is not None:
            problem = {k: v for k, v in verdict.config.items() if k not in ("epochs", "log_every")}
            groups.setdefault(f"{verdict.reference} {problem}", []).append(verdict)
    return list(groups.values())


def _panel(axes: Axes, gates: Sequence[tuple[Verdict, Gate]]) -> None:
    for number, (verdict, gate) in enumerate(gates):
        so_far = np.maximum.accumulate(np.maximum(gate.deviations, LOWEST))
        colour, dash = COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)]
        axes.plot(so_far, linewidth=1.2, color=colour, linestyle=dash, label=verdict.impl)
    longest = max((gate for _, gate in gates), key=lambda gate: gate.judged)
    axes.plot(longest.band, color="0.25", linewidth=2, label="bound")
    axes.set_yscale("log")
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.25, linewidth=0.5)
    axes.legend(fontsize=6, frameon=False)
