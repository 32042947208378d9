"""`twolayer bench`: what a step costs, which implementation is faster, how certain that is."""

import math
import shlex
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UserError
from ..output import emit, printable
from .inputs import Quiet, limits, load_experiment, needs, one_of, seconds
from .interrupt import stoppable
from .options import ConfigFile, Impls, Results, with_settings
from .printing import (
    DIVERGED,
    FAILED,
    INTERRUPTED,
    OK,
    SLOWER,
    UNSURE,
    Format,
    FormatOption,
    paragraphs,
    say,
    say_notes,
    show_parts,
    show_results,
)

if TYPE_CHECKING:
    from ..bench.gate import Slowdown
    from ..bench.measurement import Bench
    from ..bench.rounds import Measuring
    from ..config.experiment import Assignment, Experiment
    from ..tables import Table

MAX_SLOWDOWN = 1.10


@with_settings("name", "timeout", "memory_limit", without=("epochs", "log_every"))
def bench(
    assignments: "list[Assignment]",
    options: "list[Assignment]",
    impl: Impls = None,
    config: ConfigFile = "bench",
    rounds: Annotated[
        int | None,
        typer.Option("--rounds", min=1, help="Fresh processes of each.", show_default="10"),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option("--budget", metavar="TIME", help="As many rounds as fit in this, like 60s."),
    ] = None,
    blocks: Annotated[
        int, typer.Option("--blocks", min=1, help="Blocks of at least 20 ms in each process.")
    ] = 5,
    warmup: Annotated[
        str, typer.Option("--warmup", metavar="TIME", help="The most that warm-up may take.")
    ] = "2s",
    over: Annotated[
        str | None,
        typer.Option(
            "--over",
            metavar="NAME",
            help="Implementation that the ratios compare to.",
            show_default="the first",
        ),
    ] = None,
    scale: Annotated[
        str | None,
        typer.Option(
            "--scale", metavar="SIZES", help="Measure at growing sizes: N=15..960, H=…, D_in=…."
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="REV", help="Measure a git revision in the same rounds."),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option("--baseline", metavar="FILE", help="Compare with an earlier bench."),
    ] = None,
    max_slowdown: Annotated[
        float | None,
        typer.Option(
            "--max-slowdown",
            metavar="RATIO",
            help="Slower than this is exit 5.",
            show_default="1.10",
        ),
    ] = None,
    other_machine: Annotated[
        bool, typer.Option("--other-machine", help="Accept a baseline from another machine.")
    ] = False,
    order_seed: Annotated[
        int, typer.Option("--order-seed", min=0, help="Seed of the order within each round.")
    ] = 0,
    results: Results = Path("results"),
    format: FormatOption = Format.table,
    quiet: Quiet = False,
) -> None:
    from ..bench import gate, plan, tables
    from ..bench.measurement import read_bench
    from ..bench.rounds import Measuring
    from .progress import watcher

    one_of({"--rounds": rounds, "--budget": budget})
    one_of({"--scale": scale, "--against": against, "--baseline": baseline})
    needs("--baseline", baseline is not None, {"--other-machine": other_machine})
    limit = _limit(max_slowdown, against, baseline)
    experiment = load_experiment(config, assignments, options, impl)

    def at_size(size: "Assignment") -> "Experiment":
        return load_experiment(config, [size, *assignments], options, impl)

    announce = partial(say, quiet=quiet)
    with plan.entries(experiment, at_size, scale, against) as entries:
        say_notes((entry.run for entry in entries), quiet)
        command = printable(shlex.join(["twolayer", *sys.argv[1:]]))
        new = plan.new(
            experiment.name, entries, over=over, scale=scale, order_seed=order_seed, command=command
        )
        measuring = Measuring(
            new,
            entries,
            lambda cells: watcher(cells=cells, quiet=quiet),
            new.path(results),
            rounds=rounds or Measuring.rounds,
            budget_s=None if budget is None else seconds("--budget", budget),
            blocks=blocks,
            warmup_s=seconds("--warmup", warmup),
            **limits(experiment),
        )
        before = None if baseline is None else read_bench(baseline)
        if before:
            gate.check_comparable(new, before, str(baseline), other_machine=other_machine)
        slowdowns: list[gate.Slowdown] = []
        with stoppable(measuring.stop):
            measuring.measure()
            if against is not None or before:
                slowdowns = gate.confirmed(measuring, before, limit, announce)
    _show(new, format)
    if slowdowns and format in (Format.table, Format.markdown):
        emit("")
        show_parts([tables.verdicts(slowdowns, against or str(baseline))], format)
    announce(f"the measurement is in {measuring.path}")
    raise typer.Exit(_exit_code(measuring, slowdowns))


def _limit(max_slowdown: float | None, against: str | None, baseline: Path | None) -> float:
    if max_slowdown is None:
        return MAX_SLOWDOWN
    needs("--baseline or --against", bool(against or baseline), {"--max-slowdown": max_slowdown})
    if not 0 < max_slowdown < math.inf:
        got = f"(got {max_slowdown})"
        raise UserError(f"--max-slowdown: must be a ratio greater than 0, like 1.10 {got}")
    return max_slowdown


def _show(bench: "Bench", format: Format) -> None:
    from ..bench import tables

    makers = (tables.growth, tables.fits) if bench.axis else (tables.comparison, tables.costs)

    def parts() -> "list[Table | str]":
        warnings = (f"warning: {warning}" for warning in bench.warnings)
        return [*(make(bench) for make in makers), paragraphs([*tables.remarks(bench), *warnings])]

    show_results(format, parts, whole=partial(asdict, bench), csv=lambda: tables.flat(bench).csv())


def _exit_code(measuring: "Measuring", slowdowns: "list[Slowdown]") -> int:
    """Interrupted, else the worst that happened, else what the gate says."""
    failures = {cell.failure.outcome for cell in measuring.bench.cells if cell.failure}
    states = {slowdown.state for slowdown in slowdowns}
    if measuring.stop.is_set():
        emit("interrupted: what was measured until then is shown and kept", sys.stderr)
        return INTERRUPTED
    if failures - {"diverged"}:
        return FAILED
    if failures:
        return DIVERGED
    return SLOWER if "slower" in states else UNSURE if "unsure" in states else OK
