"""`twolayer list`, `config` and `check`: what there is, what it would do, whether it may."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UserError
from ..output import emit, printable
from .common import FAILED, OK, load_experiment, say_notes, seconds, why
from .options import ConfigFile, Impls, complete_impls, with_settings

if TYPE_CHECKING:
    from ..config.experiment import Assignment


def list_() -> None:
    from ..config import catalogue

    rows, unreadable = [], [f"{problem}; it is left out" for problem in catalogue.problems()]
    for item in catalogue.installed():
        try:
            rows.append(_described(item))
        except UserError as error:
            unreadable.append(f"{item.name}: {error}")
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        emit("  ".join(map(str.ljust, row, widths)).rstrip())
    for reason in unreadable:
        emit(reason, sys.stderr)


def _described(item: Any) -> tuple[str, ...]:
    from .. import packages
    from ..config import frameworks

    state = "; ".join(map(frameworks.install_hint, item.missing()))
    version = state or f"{item.framework} {packages.version(item.framework)}"
    honoured = [name for name in ("bias", "momentum") if item.honours(name)]
    devices = frameworks.allowed_devices(item.imports) if item.honours("device") else ("cpu",)
    return item.name, version, "/".join(devices), ", ".join(honoured) or "-", item.title


@with_settings("name", "timeout", "memory_limit")
def config(
    assignments: "list[Assignment]",
    options: "list[Assignment]",
    impl: Impls = None,
    config: ConfigFile = "notebook",
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of a config, for editors.")
    ] = False,
) -> None:
    from ..config import plan
    from ..config.experiment import json_schema

    if schema:
        emit(json.dumps(json_schema(), indent=2))
        return
    experiment = load_experiment(config, assignments, options, impl)
    for each in plan.make(experiment):
        emit(f"{each.name}:")
        settings = experiment.settings(each.name)
        width = max(len(f"{name}: {_yaml(a.value)}") for name, a in settings.items())
        for name, assigned in settings.items():
            said = f"{name}: {_yaml(assigned.value)}"
            emit(printable(f"  {said:<{width}}  # {assigned.origin}"))


def _yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def check(
    impls: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME|FILE…",
            help="Implementations, by name or as ./path.py.",
            autocompletion=complete_impls,
        ),
    ],
    timeout: Annotated[
        str, typer.Option("--timeout", metavar="TIME", help="Time that checking each may take.")
    ] = "2m",
) -> None:
    from ..config import catalogue, frameworks, plan
    from ..config.settings import Config
    from ..engine import scheduler
    from ..training.check import RULES

    limit = seconds("--timeout", timeout)
    found = [catalogue.find(name) for name in impls if Path(name).name != "__init__.py"]
    if not found:
        raise UserError(f"{impls[0]}: a package's __init__.py is no implementation")
    for item in found:
        if hints := frameworks.missing(item.imports):
            raise UserError(f"{item.name}: {hints}")
        item.family  # noqa: B018 (refuses one that there is no reference for)
    say_notes(found, quiet=False)
    work = [(plan.Run(item, Config()), {"task": "twolayer.training.tasks:rules"}) for item in found]
    broken = False
    for item, result in zip(found, scheduler.perform_each(work, limit), strict=True):
        verdicts = result.get("verdicts", {})
        emit(printable(f"{item.name}: {item.origin}"))
        for rule in RULES if verdicts else ():
            reason = verdicts[rule.name]
            emit(f"  {'broken' if reason else 'ok':<6}  {rule.text}{reason and f': {reason}'}")
        if borrowed := result.get("borrowed"):
            emit(f"  broken  the work is its own: {borrowed}")
        if not verdicts:
            emit(f"  broken  {why(result, limit)}")
        broken |= not verdicts or any(verdicts.values()) or bool(borrowed)
    raise typer.Exit(FAILED if broken else OK)
