"""`twolayer verify`: whether it is the same computation, with numbers."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from ..output import emit
from .inputs import load_experiment
from .options import ConfigFile, Impls, with_settings
from .printing import (
    DIVERGED,
    OK,
    Format,
    FormatOption,
    finite,
    formatted,
    paragraphs,
    say,
    say_notes,
    why,
)

if TYPE_CHECKING:
    from ..config.experiment import Assignment


@with_settings("name", "timeout", "memory_limit")
def verify(
    assignments: "list[Assignment]",
    options: "list[Assignment]",
    impl: Impls = None,
    config: ConfigFile = "notebook",
    format: FormatOption = Format.table,
    tf32: Annotated[
        bool, typer.Option("--tf32", help="On a GPU, let float32 products round to TF32.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show no progress, only the verdicts.")
    ] = False,
) -> None:
    import dataclasses

    from ..config import plan
    from ..engine import scheduler
    from ..verify.evidence import Verdict
    from ..verify.judging import cases, judge, notes, table

    experiment = load_experiment(config, assignments, options, impl)
    configured = plan.make(experiment)
    say_notes(configured, quiet)
    common = plan.make(dataclasses.replace(experiment, overrides={}))
    todo = list(cases(common, configured))
    work = [(case.run, case.job() | {"tf32": tf32}) for case in todo]
    memory = experiment.option("memory_limit")
    limits = experiment.option("timeout"), int(memory) if memory else None
    verdicts = []
    for case, result in zip(todo, scheduler.perform_each(work, *limits), strict=True):
        if "results" in result:
            verdict = judge(case, result["results"], result["borrowed"])
        else:
            reason = f"does not train: {why(result)}"
            verdict = Verdict(case.run.name, case.family, case.start, {}, reasons=[reason])
        verdicts.append(verdict)
        say(f"[{len(verdicts):2}/{len(todo)}] {case.run.name} ({case.start})", quiet)
    if format is Format.json:
        emit(json.dumps(finite([v.summary() for v in verdicts]), indent=1, allow_nan=False))
    elif format is Format.csv:
        emit(table(verdicts).csv())
    else:
        emit(f"{formatted(table(verdicts), format)}\n\n{paragraphs(notes(verdicts))}".rstrip())
    raise typer.Exit(OK if all(v.equivalent for v in verdicts) else DIVERGED)
