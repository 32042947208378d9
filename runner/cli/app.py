"""The command line: it parses and prints; what it offers is done by the modules beside it.

Frameworks, NumPy, YAML and tables are imported by the commands that need them, so that
`--help`, `list` and completion answer at once.
"""

import errno
import os
import re
import sys
from importlib import import_module
from typing import Annotated, NamedTuple

import typer

from .. import output
from ..errors import UserError
from ..output import emit, printable
from .common import INTERRUPTED, OK, USAGE
from .options import HelpfulCommand


class Command(NamedTuple):
    """Where in `cli` a command is, and what `--help` says of it."""

    place: str
    summary: str


COMMANDS = {
    "run": Command(
        "run.run",
        "Train implementations, each in a process of its own, and show their losses side by side.",
    ),
    "sweep": Command(
        "sweep.sweep",
        "Run many configurations, losing nothing: what is finished is not run again.",
    ),
    "verify": Command(
        "verify.verify",
        "Prove, or refute, that implementations compute what the reference computes.",
    ),
    "bench": Command(
        "bench.bench",
        "Measure what a step costs, in fresh processes and interleaved rounds, with intervals.",
    ),
    "show": Command(
        "results.show",
        "Show an experiment that has been run: its latest run, averages, best runs, or its curves.",
    ),
    "results": Command(
        "results.results",
        "List experiments, or the runs of one: filtered, sorted, with the columns you choose.",
    ),
    "diff": Command(
        "results.diff",
        "Compare two experiments or runs (by `experiment/key` or as folders): what differs.",
    ),
    "report": Command(
        "report.report",
        "Write an experiment as one HTML file with charts and tables, which fetches nothing.",
    ),
    "plot": Command(
        "plot.plot",
        "Draw a chart of an experiment for a paper or slides, as PNG, SVG or PDF.",
    ),
    "export": Command(
        "export.export",
        "Export an experiment to CSV, JSON lines, Parquet, TensorBoard or MLflow.",
    ),
    "list": Command(
        "inspect.list_",
        "Show the implementations, their frameworks, and which settings each can honour.",
    ),
    "config": Command(
        "inspect.config",
        "Show the resolved settings of each implementation and where each value came from.",
    ),
    "check": Command(
        "inspect.check",
        "Check implementations against the rules of the contract, and say which are broken.",
    ),
}
"""Every command, in the order of `--help`, which so needs none of their modules."""


def _version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        emit(f"twolayer {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


def build(*names: str) -> typer.Typer:
    """The app with these commands, or with all; only their modules are imported."""
    app = _app()
    for name in names or COMMANDS:
        place, summary = COMMANDS[name]
        module, _, function = place.partition(".")
        found = import_module(f".{module}", __package__)
        app.command(name, help=summary, cls=HelpfulCommand)(getattr(found, function))
    return app


def outline() -> typer.Typer:
    """The app with no more of its commands than `twolayer --help` shows."""
    app = _app()
    for name, command in COMMANDS.items():
        app.command(name, help=command.summary)(lambda: None)
    return app


def _app() -> typer.Typer:
    app = typer.Typer(
        name="twolayer",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Train one two-layer ReLU network in many implementations and compare them.",
        epilog="Exit codes: 0 all good, 2 bad usage or config, 3 a run failed, 4 diverged or not "
        "equivalent, 5 slower than the baseline, 6 too noisy to say, 130 interrupted.",
    )
    app.callback()(_root)
    return app


def _asked_for() -> typer.Typer:
    """As much of the app as the words of the command line need."""
    words = sys.argv[1:]
    if set(words) <= {"-h", "--help", "--version"} and "_TWOLAYER_COMPLETE" not in os.environ:
        return outline()
    return build(*(word for word in words[:1] if word in COMMANDS))


_REFUSALS = {
    *(errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENOTDIR, errno.EISDIR, errno.ELOOP),
}
"""What a system says of a path that it can't use: the user's to mend, whichever command asked."""


def _cut(text: str) -> str:
    """A message whose names are not so long that the rest of it is lost to sight."""
    return re.sub(r"([^\s:]{200})[^\s:]{800,}", r"\1…", text)


def main() -> None:
    """Run the command line; turns every error into a message and an exit code."""
    output.prepare()
    try:
        _asked_for()()
    except UserError as error:
        emit(_cut(str(error)), sys.stderr)
        sys.exit(USAGE)
    except KeyboardInterrupt:
        emit("interrupted; what was finished is kept", sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        output.forget(sys.stdout)
        sys.exit(OK)
    except OSError as error:
        from ..machine import lacking

        refused = error.errno in _REFUSALS and error.filename is not None
        reason = lacking() or (_cut(f"{error.filename}: {error.strerror}") if refused else "")
        if not reason:
            raise
        emit(printable(reason), sys.stderr)
        sys.exit(USAGE)
