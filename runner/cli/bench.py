"""`twolayer bench`: what a step costs, which implementation is faster, how certain that is."""

import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from typer import Exit, Option

from ..bench import gate, plan, tables
from ..bench.measurement import Bench, read_bench
from ..bench.rounds import Measuring
from ..errors import UserError
from ..tables import Table
from . import inputs, printing
from .options import FORMAT, QUIET, RESULTS, Format, Load, option, switch, with_settings
from .printing import say
from .progress import stoppable, watcher

MAX_SLOWDOWN = 1.10


@with_settings("bench", without=("epochs", "log_every"))
def bench(
    load: Load,
    rounds: int | None = Option(None, min=1, help="Fresh processes of each.", show_default="10"),
    budget: str | None = option("TIME", "As many rounds as fit in this, like 60s."),
    blocks: int = Option(5, min=1, help="Blocks of at least 20 ms in each process."),
    warmup: str = Option("2s", metavar="TIME", help="The most that warm-up may take."),
    over: str | None = option("NAME", "Implementation to compare with.", "the first that works"),
    scale: str | None = option("SIZES", "Measure at sizes: N=15..960, H=…, D_in=…."),
    against: str | None = option("REV", "Measure a git revision in the same rounds."),
    baseline: Path | None = option("FILE", "Compare with an earlier bench."),
    max_slowdown: float | None = option("RATIO", "Slower is exit 5.", "1.10"),
    other_machine: bool = switch("--other-machine", help="Accept a baseline from another machine."),
    order_seed: int = Option(0, min=0, help="Seed of the order within each round."),
    verbose: bool = switch("--verbose", help="Show every column."),
    results: Path = RESULTS,
    format: Format = FORMAT,
    quiet: bool = QUIET,
) -> None:
    inputs.one_of({"--rounds": rounds, "--budget": budget})
    inputs.one_of({"--scale": scale, "--against": against, "--baseline": baseline})
    inputs.needs("--baseline", baseline is not None, {"--other-machine": other_machine})
    limit = _limit(max_slowdown, bool(against or baseline))
    experiment = load()
    with plan.entries(experiment, load, scale, against) as entries:
        printing.say_notes((run for _, run in entries), quiet)
        command = inputs.command_line()
        about = {"name": experiment.name, "order_seed": order_seed, "command": command}
        new = plan.new(entries, over=over, scale=scale, **about)
        measuring = Measuring(
            new,
            entries,
            lambda: watcher(transient=True, quiet=quiet),
            new.path(results),
            over=over,
            rounds=rounds or Measuring.rounds,
            budget_s=None if budget is None else inputs.seconds("--budget", budget),
            blocks=blocks,
            warmup_s=inputs.seconds("--warmup", warmup),
            **inputs.limits(experiment),
        )
        before = None if baseline is None else read_bench(baseline)
        if before:
            gate.check_comparable(new, before, str(baseline), other_machine=other_machine)
        slowdowns: list[gate.Slowdown] = []
        with stoppable(measuring.stop, measuring.cancel, work="turn", quiet=quiet):
            measuring.measure()
            if against is not None or before:
                slowdowns = gate.confirmed(measuring, before, limit, lambda text: say(text, quiet))
    interrupted = measuring.stop.is_set()
    if interrupted and not new.measured:
        for text in [*tables.failures(new), "interrupted: nothing was measured"]:
            say(text)
        raise Exit(printing.exit_code((), interrupted=True))
    printing.show_results(
        format,
        lambda: _shown(new, slowdowns, against or str(baseline or ""), verbose),
        whole=lambda: asdict(new),
        csv=lambda: tables.flat(new).csv(),
    )
    say(f"the measurement is in {measuring.path}", quiet)
    failures = {cell.failure.outcome for cell in new.cells if cell.failure}
    happened = failures | {slowdown.state for slowdown in slowdowns}
    code = printing.exit_code(happened, interrupted=interrupted)
    if interrupted:
        say(f"interrupted {measuring.progress()}: what was measured until then is shown and kept")
    elif not code:
        printing.say_next([inputs.call_on("report", results / new.name)], quiet)
    raise Exit(code)


def _limit(max_slowdown: float | None, compared: bool) -> float:
    inputs.needs("--baseline or --against", compared, {"--max-slowdown": max_slowdown})
    limit = MAX_SLOWDOWN if max_slowdown is None else max_slowdown
    if not 0 < limit < math.inf:
        raise UserError(f"--max-slowdown: must be a ratio greater than 0, like 1.10 (got {limit})")
    return limit


def _shown(
    bench: Bench, slowdowns: list[gate.Slowdown], against: str, verbose: bool
) -> Iterator[Table | str]:
    first, second = tables.comparison, tables.costs
    if bench.axis:
        first, second = tables.growth, tables.fits
    yield first(bench)
    if (table := second(bench, verbose=verbose)).rows:
        yield table
    warnings = (f"warning: {warning}" for warning in bench.warnings)
    yield printing.paragraphs([*tables.remarks(bench), *warnings])
    if slowdowns:
        yield tables.verdicts(slowdowns, against)
    yield printing.paragraphs(tables.findings(bench, slowdowns, against))
