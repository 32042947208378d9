"""`twolayer verify`: whether it is the same computation, with numbers."""

from contextlib import closing
from dataclasses import asdict, replace
from typing import Any

from typer import Exit

from ..config import plan
from ..engine.scheduler import perform_each
from ..verify import judging, tasks
from . import DIVERGED, OK, inputs, printing
from .options import FORMAT, QUIET, Format, Load, switch, with_settings
from .progress import watcher


@with_settings("notebook")
def verify(
    load: Load,
    format: Format = FORMAT,
    tf32: bool = switch("--tf32", help="On a GPU, let float32 products round to TF32."),
    quiet: bool = QUIET,
) -> None:
    experiment = load()
    configured = plan.make(experiment)
    printing.say_notes(configured, quiet)
    cases = list(judging.cases(plan.make(replace(experiment, overrides={})), configured))
    work = [(case.run, tasks.job(case.reference.config) | {"tf32": tf32}) for case in cases]
    progress = watcher(cells=len(cases), quiet=quiet)

    def starting(number: int) -> None:
        title = f"{cases[number].run.name} ({cases[number].start})"
        progress.step(number, len(cases), title, f"[{number + 1}/{len(cases)}] {title}")

    shown: dict[str, Any] = {"importing": progress.importing, "starting": starting}
    with progress, closing(perform_each(work, **inputs.limits(experiment), **shown)) as results:
        verdicts = [judging.judge(*each) for each in zip(cases, results, strict=True)]
    table = judging.table(verdicts)
    printing.show_results(
        format,
        lambda: [table, printing.paragraphs(judging.notes(verdicts))],
        whole=lambda: list(map(asdict, verdicts)),
        csv=table.csv,
    )
    raise Exit(OK if all(v.equivalent for v in verdicts) else DIVERGED)
