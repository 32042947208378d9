"""Progress of runs, sweeps, benches and proofs, as standard error can show it."""

import os
import sys
from collections.abc import Sequence

from ..config.plan import Run
from .lines import Lines


def watcher(
    runs: Sequence[Run] = (), *, total: int = 0, cells: int = 0, quiet: bool = False
) -> Lines:
    """The view that fits standard error: of `runs`, or of a whole with one bar.

    That is a sweep of `total` runs, or rounds of `cells` turns.
    """
    if not quiet and sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown"):
        from .live import Live  # imports rich, which takes time that a pipe saves

        return Live(runs, total, cells)
    return Lines(runs, total, cells, quiet)
