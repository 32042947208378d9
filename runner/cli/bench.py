"""`twolayer bench`: what a step costs, who is faster, and whether that is certain."""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UserError
from ..output import emit, printable
from .inputs import load_experiment, seconds
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
    formatted,
    paragraphs,
    say,
    say_notes,
)

if TYPE_CHECKING:
    from ..bench.gate import Verdict
    from ..bench.measurement import Bench
    from ..bench.plan import Load
    from ..bench.rounds import Campaign, Entry, Method
    from ..config.experiment import Assignment

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
            "--over", metavar="NAME", help="Whom ratios are to.", show_default="the first"
        ),
    ] = None,
    scale: Annotated[
        str | None,
        typer.Option("--scale", metavar="SIZES", help="How cost grows: N=15..960, H=…, D_in=…."),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="REV", help="Measure a git revision beside them."),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option("--baseline", metavar="FILE", help="Compare with a bench made before."),
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
        bool, typer.Option("--other-machine", help="Let the baseline be from another machine.")
    ] = False,
    order_seed: Annotated[
        int, typer.Option("--order-seed", min=0, help="Seed of the order within each round.")
    ] = 0,
    results: Results = Path("results"),
    format: FormatOption = Format.table,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show no progress, only the results.")
    ] = False,
) -> None:
    _one_of({"--rounds": rounds, "--budget": budget})
    _one_of({"--scale": scale, "--against": against, "--baseline": baseline})
    limit = _limit(max_slowdown, against, baseline)

    def load(extra: "Sequence[Assignment]") -> Any:
        return load_experiment(config, [*extra, *assignments], options, impl)

    experiment = load([])
    method = _method(rounds, budget, blocks, warmup, order_seed, experiment)
    with _entries(load, scale, against) as entries:
        say_notes((entry.run for entry in entries), quiet)
        campaign = _campaign(experiment.name, results, entries, method, over, scale, quiet)
        before = _baseline(baseline, campaign.bench, other_machine=other_machine)
        with stoppable(campaign.stop):
            campaign.measure()
            verdicts = _verdicts(campaign, before, against, limit, quiet)
    _show(campaign.bench, format)
    if verdicts and format in (Format.table, Format.markdown):
        _show_verdicts(verdicts, against or str(baseline), limit, format)
    say(f"the measurement is in {campaign.path}", quiet)
    raise typer.Exit(_exit_code(campaign, verdicts))


def _one_of(asked: dict[str, object]) -> None:
    said = [option for option, value in asked.items() if value is not None]
    if len(said) > 1:
        raise UserError(f"{said[0]} and {said[1]}: choose one of them")


def _limit(asked: float | None, against: str | None, baseline: Path | None) -> float:
    if asked is not None and against is None and baseline is None:
        raise UserError("--max-slowdown: needs --baseline or --against")
    if asked is not None and not 0 < asked < float("inf"):
        raise UserError(f"--max-slowdown: must be a ratio greater than 0, like 1.10 (got {asked})")
    return MAX_SLOWDOWN if asked is None else asked


def _method(
    rounds: int | None,
    budget: str | None,
    blocks: int,
    warmup: str,
    order_seed: int,
    experiment: Any,
) -> "Method":
    from ..bench.rounds import Method

    limit = experiment.option("memory_limit")
    return Method(
        rounds=rounds or Method.rounds,
        blocks=blocks,
        budget_s=None if budget is None else seconds("--budget", budget),
        warmup_s=seconds("--warmup", warmup),
        order_seed=order_seed,
        timeout_s=experiment.option("timeout"),
        memory_limit=int(limit) if limit else None,
    )


@contextmanager
def _entries(load: "Load", scale: str | None, against: str | None) -> "Iterator[list[Entry]]":
    """What is to be measured; sources of a revision are there until the end."""
    from ..bench import plan as bench_plan

    if scale is not None:
        yield bench_plan.scaled(load, *bench_plan.parse_scale(scale))
    elif against is not None:
        with tempfile.TemporaryDirectory(prefix="twolayer-") as folder:
            yield bench_plan.with_revision(load, against, Path(folder))
    else:
        yield bench_plan.plain(load)


def _campaign(
    name: str,
    results: Path,
    entries: "list[Entry]",
    method: "Method",
    over: str | None,
    scale: str | None,
    quiet: bool,
) -> "Campaign":
    import shlex

    from ..bench import plan as bench_plan
    from ..bench import rounds
    from ..bench.measurement import Keeper
    from .progress import watcher

    new = rounds.new(
        name,
        entries,
        baseline=bench_plan.baseline_label(entries, over),
        axis=scale.partition("=")[0].strip() if scale else "",
        method=method,
        command=printable(shlex.join(["twolayer", *sys.argv[1:]])),
    )
    keeper = Keeper(results / name, new.started_at)
    return rounds.Campaign(
        new, entries, method, lambda cells: watcher(cells=cells, quiet=quiet), keeper
    )


def _baseline(path: Path | None, bench: "Bench", *, other_machine: bool) -> "Bench | None":
    """The bench to compare with, once it is clear that it compares."""
    if path is None:
        if other_machine:
            raise UserError("--other-machine: needs --baseline")
        return None
    from ..bench.gate import check_comparable
    from ..bench.measurement import read

    before = read(path)
    check_comparable(bench, before, str(path), other_machine=other_machine)
    return before


def _verdicts(
    campaign: "Campaign", before: "Bench | None", against: str | None, limit: float, quiet: bool
) -> "list[Verdict]":
    """Whether any has become slower; what is in doubt is measured again first."""
    from ..bench import gate

    if before is None and against is None:
        return []

    def judged(since: int = 0) -> "dict[str, Verdict]":
        found = (
            gate.over_baseline(campaign.bench, before, limit, since)
            if before is not None
            else gate.over_revision(campaign.bench, limit, since)
        )
        return {verdict.label: verdict for verdict in found}

    verdicts = judged()
    doubtful = gate.doubtful(verdicts.values())
    if not doubtful or campaign.stop.is_set():
        return list(verdicts.values())
    say(f"measuring again, to be sure: {', '.join(sorted(doubtful))}", quiet)
    since = campaign.again(doubtful)
    second = judged(since)
    return [
        gate.confirmed(first, second.get(label, first)) if label in doubtful else first
        for label, first in verdicts.items()
    ]


def _show(bench: "Bench", format: Format) -> None:
    from ..bench import tables as bench_tables

    if format is Format.json:
        emit(bench.text().rstrip())
        return
    if format is Format.csv:
        emit(bench_tables.flat(bench).csv())
        return
    tables = (
        [bench_tables.growth(bench), bench_tables.fits(bench)]
        if bench.axis
        else [bench_tables.comparison(bench), bench_tables.costs(bench.cells)]
    )
    emit("\n\n".join(formatted(table, format) for table in tables))
    warnings = (f"warning: {warning}" for warning in bench.warnings)
    emit("\n" + paragraphs([*bench_tables.notes(bench), *warnings]))


def _show_verdicts(verdicts: "list[Verdict]", over: str, limit: float, format: Format) -> None:
    from ..bench.gate import table

    emit("\n" + formatted(table(verdicts, over, limit), format))


def _exit_code(campaign: "Campaign", verdicts: "list[Verdict]") -> int:
    """Interrupted, else the worst that happened, else what the gate says."""
    failures = {cell.failure.outcome for cell in campaign.bench.cells if cell.failure}
    states = {verdict.state for verdict in verdicts}
    if campaign.stop.is_set():
        emit("interrupted: what was measured until then is shown and kept", sys.stderr)
        return INTERRUPTED
    if failures - {"diverged"}:
        return FAILED
    if failures:
        return DIVERGED
    return SLOWER if "slower" in states else UNSURE if "unsure" in states else OK
