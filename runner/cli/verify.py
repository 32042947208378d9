"""`twolayer verify`: whether it is the same computation, with numbers."""

from contextlib import closing
from dataclasses import replace
from typing import Any

from typer import Exit

from ..config import plan
from ..engine.scheduler import perform_each
from ..errors import one_line
from ..verify import judging
from ..verify.bounds import Case
from ..verify.evidence import Verdict
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
    work = [(case.run, case.job() | {"tf32": tf32}) for case in cases]
    progress = watcher(cells=len(cases), quiet=quiet)

    def starting(number: int) -> None:
        title = f"{cases[number].run.name} ({cases[number].start})"
        progress.step(number, len(cases), title, f"[{number + 1}/{len(cases)}] {title}")

    shown: dict[str, Any] = {"importing": progress.importing, "starting": starting}
    with progress, closing(perform_each(work, **inputs.limits(experiment), **shown)) as results:
        verdicts = [_verdict(case, result) for case, result in zip(cases, results, strict=True)]
    table = judging.table(verdicts)
    printing.show_results(
        format,
        lambda: [table, printing.paragraphs(judging.notes(verdicts))],
        whole=lambda: [verdict.summary() for verdict in verdicts],
        csv=table.csv,
    )
    raise Exit(OK if all(v.equivalent for v in verdicts) else DIVERGED)


def _verdict(case: Case, result: dict[str, Any]) -> Verdict:
    if "results" in result:
        return judging.judge(case, result["results"], result["borrowed"])
    reason = f"does not train: {one_line(result['error'])}"
    return Verdict(case.run.name, case.family, case.start, {}, reasons=[reason])
