"""`twolayer check`: implementations against the rules of the contract."""

from pathlib import Path

from typer import Argument, Exit, Option

from ..config import catalogue, plan
from ..config.settings import Config
from ..engine.scheduler import perform_each
from ..errors import UserError, one_line
from ..output import emit, printable
from . import FAILED, OK
from .inputs import seconds
from .options import complete_impls
from .printing import say


def check(
    impls: list[str] = Argument(
        metavar="NAME|FILE…",
        help="Implementations, by name or as ./path.py.",
        autocompletion=complete_impls,
    ),
    timeout: str = Option("2m", metavar="TIME", help="Time that one check may take."),
) -> None:
    from ..training.check import RULES  # imports NumPy, which help and completion do without

    limit = seconds("--timeout", timeout)
    implementations = [catalogue.find(name) for name in impls if Path(name).name != "__init__.py"]
    if not implementations:
        raise UserError(f"{impls[0]}: a package's __init__.py is no implementation")
    for item in implementations:
        if hints := item.missing_frameworks:
            raise UserError(f"{item.name}: {hints}")
        item.reference  # noqa: B018 (refuses one that there is no reference for)
    for note in plan.notes(implementations):
        say(f"note: {note}")
    task = {"task": "twolayer.training.tasks:rules"}
    work = [(plan.Run(item, Config()), task) for item in implementations]
    kept = True
    for (run, _), result in zip(work, perform_each(work, limit), strict=True):
        emit(printable(f"{run.name}: {run.implementation.origin}"))
        verdicts, borrowed = result.get("verdicts"), result.get("borrowed")
        judged = {rule.text: verdicts[rule.name] for rule in RULES if verdicts}
        if borrowed:
            judged["the work is its own"] = borrowed
        for text, reason in judged.items():
            emit(f"  {'broken' if reason else 'ok':<6}  {text}{reason and f': {reason}'}")
        if not verdicts:
            emit(f"  broken  {one_line(result['error'])}")
        kept &= bool(verdicts) and not any(judged.values())
    raise Exit(OK if kept else FAILED)
