"""The command line: `twolayer x` is the function `x` of the module `x` beside this one.

Only the module of the command that is called is imported, so that the others cost nothing.
"""

import errno
import os
import re
import sys
from importlib import import_module
from typing import Annotated

import typer

from .. import __version__, output
from ..errors import UserError
from ..output import emit, printable
from .options import HelpfulCommand
from .printing import INTERNAL, INTERRUPTED, OK, USAGE

COMMANDS = {
    "Train": {
        "run": "Train implementations, each in its own process, and compare losses.",
        "sweep": "Train over many settings; finished runs are never repeated.",
    },
    "Prove": {
        "verify": "Prove that implementations compute what the reference computes.",
        "check": "Check implementations against the rules of the contract.",
    },
    "Measure": {
        "bench": "Measure the time of a step, with confidence intervals.",
    },
    "Look": {
        "show": "Show an experiment: latest run, averages, best runs or curves.",
        "results": "List experiments, or the runs of one, filtered and sorted.",
        "diff": "Compare two experiments or runs.",
        "report": "Write an experiment as one HTML file with charts and tables.",
        "plot": "Draw a chart as PNG, SVG or PDF for a paper or slides.",
        "export": "Export to CSV, JSON lines, Parquet, TensorBoard or MLflow.",
        "list": "List the implementations, their frameworks and what they honour.",
        "config": "Show the settings of each implementation and their origins.",
    },
}
"""Every command and its summary, by the groups of `--help`."""

_REFUSALS = {
    *(errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENOTDIR, errno.EISDIR, errno.ELOOP),
}
"""Errors of the system about a path that are the user's to mend."""


def _version(requested: bool) -> None:
    if requested:
        emit(f"twolayer {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


def build(*loaded: str) -> typer.Typer:
    """The app; commands that are not to be `loaded` are only a line in its help."""
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
    for group, commands in COMMANDS.items():
        for name, summary in commands.items():
            module = import_module(f".{name}", __package__) if name in loaded else None
            function = getattr(module, name, _unloaded)
            app.command(name, help=summary, rich_help_panel=group, cls=HelpfulCommand)(function)
    return app


def _unloaded() -> None:
    raise AssertionError("a command that is called is loaded")


def _command_word() -> list[str]:
    """The first word of the command line, also of one that a shell completes."""
    typed = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS") or ""
    words = typed.split()[1:] if "_TWOLAYER_COMPLETE" in os.environ else sys.argv[1:]
    return [word for word in words if not word.startswith("-")][:1]


def _cut(text: str) -> str:
    """A message without the middle of names so long that they would hide the rest."""
    return re.sub(r"([^\s:]{200})[^\s:]{800,}", r"\1…", text)


def main() -> None:
    """Run the command line; turns every error into a message and an exit code."""
    output.prepare()
    try:
        build(*_command_word())()
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
        if error.errno in (errno.ENOSPC, errno.EDQUOT):  # no room for the help
            output.forget(sys.stdout)
            emit(f"output can't be written: {error.strerror}", sys.stderr)
            sys.exit(INTERNAL)
        emit(_explained(error), sys.stderr)
        sys.exit(USAGE)


def _explained(error: OSError) -> str:
    """What a user can do about an error of the system; raises one that is ours to mend."""
    from ..machine import lacking

    if reason := lacking():
        return printable(reason)
    if error.errno in _REFUSALS and error.filename is not None:
        return printable(_cut(f"{error.filename}: {error.strerror}"))
    raise error
