"""The command line: it parses and prints; what it offers is done by the modules beside it.

Frameworks, NumPy, YAML and tables are imported by the commands that need them, so that
`--help`, `list` and completion answer at once.
"""

import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import output
from .errors import UserError
from .options import ConfigFile, Impls, Results, complete_impls, split_names, with_settings
from .output import emit

if TYPE_CHECKING:
    from .config import Assignment, Experiment
    from .plan import Run
    from .record import Record
    from .scheduler import Session
    from .tables import Published, Table

CHECK_TIMEOUT_S = 120.0
OK, INTERNAL, USAGE, FAILED, DIVERGED, INTERRUPTED = 0, 1, 2, 3, 4, 130

app = typer.Typer(
    name="twolayer",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train one two-layer ReLU network in many implementations and compare them.",
    epilog="Exit codes: 0 all good, 2 bad usage or config, 3 a run failed, 4 diverged, "
    "130 interrupted.",
)


class Format(StrEnum):
    """How results are printed."""

    table = "table"
    json = "json"
    csv = "csv"
    markdown = "markdown"


FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How to print the results.")]
PublishedOption = Annotated[
    bool, typer.Option("--published", help="Show the losses that the notebook printed beside ours.")
]


def main() -> None:
    """Run the command line; turns every error into a message and an exit code."""
    output.prepare()
    try:
        app()
    except UserError as error:
        emit(str(error), sys.stderr)
        sys.exit(USAGE)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        output.forget(sys.stdout)
        sys.exit(OK)


def _version(wanted: bool) -> None:
    if wanted:
        from . import __version__

        emit(f"twolayer {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


@app.command()
@with_settings("name", "timeout", "memory_limit")
def run(
    assignments: "list[Assignment]",
    options: "list[Assignment]",
    impl: Impls = None,
    config: ConfigFile = "notebook",
    results: Results = Path("results"),
    format: FormatOption = Format.table,
    published: PublishedOption = False,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop after the first run that is not ok.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show no progress, only the results.")
    ] = False,
) -> None:
    """Train implementations, each in a process of its own, and show their losses side by side."""
    from . import live, plan, scheduler
    from .store import Store

    experiment = _load(config, assignments, options, impl)
    beside = _published(experiment) if published else None
    runs = plan.make(experiment)
    store = Store(results, experiment.name)
    store.prepare()
    limit = experiment.option("memory_limit")
    with live.watcher(runs, quiet=quiet) as watcher:
        session = scheduler.Session(
            store,
            watcher,
            timeout_s=experiment.option("timeout"),
            memory_limit=int(limit) if limit else None,
            fail_fast=fail_fast,
        )
        with _stoppable(session):
            records = list(session.run_all(runs))
    store.write_table(records)
    _show(records, format, beside)
    _say(f"results are in {store.folder}", quiet)
    raise typer.Exit(_verdict(records, experiment, session, runs))


def _load(
    config: str,
    assignments: "list[Assignment]",
    options: "list[Assignment]",
    impl: list[str] | None,
) -> "Experiment":
    from .config import find_config, load

    return load(find_config(config), assignments, options, split_names(impl))


def _published(experiment: "Experiment") -> "Published":
    from .tables import read_published

    if experiment.published is None:
        raise UserError(
            f"--published: {experiment.path.name} names no published losses; "
            "the notebook preset does (leave out --config)"
        )
    return read_published(Path(str(experiment.published.value)))


@contextlib.contextmanager
def _stoppable(session: "Session") -> Iterator[None]:
    """Ctrl-C, or a request to terminate, stops the run under way; a second one stops at once."""

    def stop(*_: object) -> None:
        if session.stop.is_set():
            raise KeyboardInterrupt
        session.stop.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _show(records: "list[Record]", format: Format, published: "Published | None") -> None:
    from . import tables

    if format is Format.json:
        emit(json.dumps([record.full() for record in records], indent=1, allow_nan=False))
        return
    exact = format is Format.csv
    table = tables.losses(records, published, exact=exact)
    if exact:
        emit(table.csv())
        return
    draw = _markdown if format is Format.markdown else _text
    if records:
        emit(f"{draw(table)}\n\n{draw(tables.summary(records))}")
    if reasons := tables.failures(records):
        emit(f"\n{_fenced(reasons) if format is Format.markdown else reasons}")


def _markdown(table: "Table") -> str:
    return table.markdown()


def _fenced(text: str) -> str:
    return f"```text\n{text}\n```"


def _text(table: "Table") -> str:
    import shutil

    text = table.text(shutil.get_terminal_size((150, 24)).columns)
    return _coloured(text) if _colour() else text


def _colour() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def _coloured(text: str) -> str:
    """The outcomes in colour."""
    styles = {"ok": 32, "diverged": 33, "interrupted": 33}
    styles |= dict.fromkeys(("failed", "crashed", "timeout", "out_of_memory"), 31)
    for word, colour in styles.items():
        text = text.replace(f"  {word} ", f"  \x1b[{colour}m{word}\x1b[0m ")
    return text


def _say(text: str, quiet: bool) -> None:
    if not quiet:
        emit(text, sys.stderr)


def _verdict(
    records: "list[Record]", experiment: "Experiment", session: "Session", runs: "list[Run]"
) -> int:
    """The exit code: interrupted, else the worst that happened; says what needs saying."""
    from .record import FAILURES

    outcomes = {record.outcome for record in records}
    if session.stop.is_set():
        kept = sum(record.outcome != "interrupted" for record in records)
        emit(f"interrupted: {kept} of {len(runs)} runs finished and kept", sys.stderr)
        return INTERRUPTED
    risen = [r.impl for r in records if r.outcome == "ok" and not r.fell]
    must_fall = bool(experiment.option("loss_must_fall"))
    if must_fall and risen:
        emit(f"the loss did not fall: {', '.join(risen)}", sys.stderr)
    if outcomes & set(FAILURES):
        return FAILED
    return DIVERGED if "diverged" in outcomes or (must_fall and risen) else OK


@app.command("list")
def list_() -> None:
    """Show the implementations, their frameworks, and which settings each can honour."""
    from . import catalogue

    rows, unreadable = [], []
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
    from . import frameworks, packages

    missing = item.missing()
    state = "; ".join(map(frameworks.install_hint, missing))
    version = state or f"{item.framework} {packages.version(item.framework)}"
    honoured = [name for name in ("bias", "momentum") if item.honours(name)]
    devices = frameworks.allowed_devices(item.imports) if item.honours("device") else ("cpu",)
    return item.name, version, "/".join(devices), ", ".join(honoured) or "-", item.title


@app.command()
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
    """Show the resolved settings of each implementation and where each value came from."""
    from . import plan
    from .config import json_schema

    if schema:
        emit(json.dumps(json_schema(), indent=2))
        return
    experiment = _load(config, assignments, options, impl)
    for each in plan.make(experiment):
        emit(f"{each.name}:")
        settings = experiment.settings(each.name)
        width = max(len(f"{name}: {_yaml(a.value)}") for name, a in settings.items())
        for name, assigned in settings.items():
            emit(f"  {f'{name}: {_yaml(assigned.value)}':<{width}}  # {assigned.origin}")


def _yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@app.command()
def show(
    experiment: Annotated[
        str | None,
        typer.Argument(
            help="Name of the experiment, as under results/.",
            show_default="the latest",
            autocompletion=lambda incomplete: _experiments(incomplete),
        ),
    ] = None,
    results: Results = Path("results"),
    format: FormatOption = Format.table,
    published: PublishedOption = False,
) -> None:
    """Show an experiment that has been run: the records of its latest run."""
    from .config import find_config, load

    records = _stored(experiment, results)
    beside = _published(load(find_config("notebook"))) if published else None
    _show(records, format, beside)


def _experiments(incomplete: str) -> list[str]:
    from .store import experiments

    return [name for name in experiments(Path("results")) if name.startswith(incomplete)]


def _stored(name: str | None, results: Path) -> "list[Record]":
    from .errors import nearest
    from .store import Store, experiments

    known = experiments(results)
    if not known:
        raise UserError(f"{results}: holds no experiments yet; `twolayer run` makes one")
    if name is not None and name not in known:
        hint = nearest(name, known) or f"; there are {', '.join(known)}"
        raise UserError(f"{results}: has no experiment {name}{hint}")
    stored = [Store(results, each).latest() for each in ([name] if name else known)]
    records = max(stored, key=lambda records: max((r.invocation for r in records), default=""))
    if not records:
        raise UserError(f"{results}/{name or known[0]}: holds no finished run")
    return records


@app.command()
def check(
    impls: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME|FILE…",
            help="Implementations, by name or as ./path.py.",
            autocompletion=complete_impls,
        ),
    ],
) -> None:
    """Check implementations against the rules of the contract, and say which are broken."""
    from . import catalogue, frameworks, plan, scheduler
    from .check import RULES
    from .settings import Config

    found = [catalogue.find(name) for name in impls]
    for item in found:
        if hints := [frameworks.install_hint(name) for name in item.missing()]:
            raise UserError(f"{item.name}: {'; '.join(hints)}")
    work = [(plan.Run(item, Config()), {"task": "check"}) for item in found]
    broken = False
    for item, result in zip(found, scheduler.perform_each(work, CHECK_TIMEOUT_S), strict=True):
        verdicts = result.get("verdicts", {})
        emit(f"{item.name}: {item.origin}")
        for rule in RULES if verdicts else ():
            reason = verdicts[rule.name]
            emit(f"  {'broken' if reason else 'ok':<6}  {rule.text}{reason and f': {reason}'}")
        if not verdicts:
            emit(f"  broken  {_why(result)}")
        broken |= not verdicts or any(verdicts.values())
    raise typer.Exit(FAILED if broken else OK)


def _why(result: dict[str, Any]) -> str:
    """Why a process came back without what was wanted."""
    error = result["error"]
    if error is None:
        return f"it did not end within {CHECK_TIMEOUT_S:g} s"
    message = str(error["message"]).partition("\n")[0]
    return f"{error['type']}: {message}" if error["traceback"] else message


@app.command()
@with_settings("name")
def verify(
    assignments: "list[Assignment]",
    options: "list[Assignment]",
    impl: Impls = None,
    config: ConfigFile = "notebook",
    format: FormatOption = Format.table,
    figure: Annotated[
        Path | None,
        typer.Option("--figure", metavar="FILE", help="Draw deviations against bounds (.svg …)."),
    ] = None,
    tf32: Annotated[
        bool, typer.Option("--tf32", help="On a GPU, let float32 products round to TF32.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show no progress, only the verdicts.")
    ] = False,
) -> None:
    """Prove, or refute, that implementations compute what the reference computes."""
    import dataclasses

    from . import plan, scheduler
    from .evidence import Verdict
    from .verify import cases, judge, notes, table

    experiment = _load(config, assignments, options, impl)
    configured = plan.make(experiment)
    common = plan.make(dataclasses.replace(experiment, overrides={}))
    todo = list(cases(common, configured))
    work = [(case.run, case.job() | {"tf32": tf32}) for case in todo]
    verdicts = []
    for case, result in zip(todo, scheduler.perform_each(work), strict=True):
        verdict = (
            judge(case, result["results"])
            if "results" in result
            else Verdict(case.run.name, case.family, case.start, {}, reasons=[_why(result)])
        )
        verdicts.append(verdict)
        _say(f"[{len(verdicts):2}/{len(todo)}] {case.run.name} ({case.start})", quiet)
    if figure is not None:
        from .figure import deviations

        deviations(verdicts, figure)
    if format is Format.json:
        emit(json.dumps([v.summary() for v in verdicts], indent=1))
    elif format is Format.csv:
        emit(table(verdicts).csv())
    else:
        draw = _markdown if format is Format.markdown else _text
        emit("\n".join([draw(table(verdicts)), "", *notes(verdicts)]).rstrip())
    raise typer.Exit(OK if all(v.equivalent for v in verdicts) else DIVERGED)


if __name__ == "__main__":
    main()
