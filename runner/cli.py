"""The command line: it parses and prints; what it offers is done by the modules beside it.

Frameworks, NumPy, YAML and tables are imported by the commands that need them, so that
`--help`, `list` and completion answer at once.
"""

import sys
from importlib import import_module
from typing import Annotated

import typer

from . import output
from .commands.common import INTERRUPTED, OK, USAGE
from .errors import UserError
from .output import emit

COMMANDS = {
    "run": "run.run",
    "show": "results.show",
    "results": "results.results",
    "diff": "results.diff",
    "report": "report.report",
    "export": "export.export",
    "plot": "plot.plot",
    "list": "inspect.list_",
    "config": "inspect.config",
    "check": "inspect.check",
    "verify": "proof.verify",
    "bench": "bench.bench",
    "sweep": "sweep.sweep",
}
"""Every command, in the order of `--help`, and where in `commands` it is."""


def _version(wanted: bool) -> None:
    if wanted:
        from . import __version__

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
    for name in names or COMMANDS:
        module, _, function = COMMANDS[name].partition(".")
        found = import_module(f".commands.{module}", __package__)
        app.command(name)(getattr(found, function))
    return app


def main() -> None:
    """Run the command line; turns every error into a message and an exit code."""
    output.prepare()
    asked = [word for word in sys.argv[1:2] if word in COMMANDS]
    try:
        build(*asked)()
    except UserError as error:
        emit(str(error), sys.stderr)
        sys.exit(USAGE)
    except KeyboardInterrupt:
        emit("interrupted; what was finished is kept", sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        output.forget(sys.stdout)
        sys.exit(OK)
