"""`twolayer verify`: whether it is the same computation, with numbers."""

from dataclasses import asdict, replace

from typer import Exit

from ..config import plan
from ..verify import judging, tasks
from . import inputs, printing
from .options import FORMAT, QUIET, Format, Load, switch, with_settings
from .progress import in_turn


@with_settings("notebook")
def verify(
    load: Load,
    format: Format = FORMAT,
    verbose: bool = switch("--verbose", "-v", help="Show all that was measured."),
    tf32: bool = switch("--tf32", help="On a GPU, let float32 products round to TF32."),
    quiet: bool = QUIET,
) -> None:
    experiment = load()
    configured = plan.make(experiment)
    printing.say_notes(configured, quiet)
    cases = list(judging.cases(plan.make(replace(experiment, overrides={})), configured))
    verdicts = in_turn(
        [(case.run, tasks.job(case.reference.config) | {"tf32": tf32}) for case in cases],
        [f"{case.run.name} ({case.start})" for case in cases],
        lambda number, *result: judging.judge(cases[number], *result),
        quiet=quiet,
        **inputs.limits(experiment),
    )
    missing = len(cases) - len(verdicts)
    printing.show_results(
        format,
        lambda: [
            *[judging.table(verdicts, verbose=verbose)] * bool(verdicts),
            printing.paragraphs(judging.notes(verdicts) if verbose else []),
            printing.paragraphs(judging.answer(verdicts, missing, verbose=verbose)),
        ],
        whole=lambda: list(map(asdict, verdicts)),
        csv=lambda: judging.table(verdicts).csv(),
    )
    differ = not all(verdict.equivalent for verdict in verdicts)
    if not differ and not missing:
        printing.say_next([inputs.call_of("bench", "--epochs")], quiet)
    raise Exit(printing.exit_code({"diverged"} if differ else (), interrupted=missing > 0))
