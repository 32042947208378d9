"""`twolayer verify`: whether it is the same computation, with numbers."""

from contextlib import closing
from dataclasses import asdict, replace
from typing import Annotated, Any

from typer import Exit, Option

from ..config import plan
from ..config.experiment import Assignment
from ..engine.scheduler import perform_each
from ..verify import judging, tasks
from . import inputs, printing
from .options import ConfigFile, Impls, with_settings
from .printing import FormatOption
from .progress import watcher


@with_settings("name", "timeout", "memory_limit")
def verify(
    assignments: list[Assignment],
    options: list[Assignment],
    impl: Impls = None,
    config: ConfigFile = "notebook",
    format: FormatOption = "table",
    tf32: Annotated[
        bool, Option("--tf32", help="On a GPU, let float32 products round to TF32.")
    ] = False,
    quiet: inputs.Quiet = False,
) -> None:
    experiment = inputs.load_experiment(config, assignments, options, impl)
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
    raise Exit(printing.OK if all(v.equivalent for v in verdicts) else printing.DIVERGED)
