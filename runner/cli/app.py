"""The command line: `twolayer x` is the function `x` of the module `x` beside this one."""

import errno
import re
import sys
from importlib import import_module
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from .. import __version__, output
from ..errors import UserError, listed, nearest
from ..output import emit, printable
from . import INTERNAL, INTERRUPTED, USAGE
from .options import HelpfulCommand

COMMANDS = {
    "Train": {
        "run": "Train implementations, each in its own process, and compare losses.",
        "sweep": "Train over many settings; finished runs are never repeated.",
    },
    "Prove": {
        "verify": "Prove that implementations compute what the reference computes.",
        "check": "Check implementations against the rules of the contract.",
    },
    "Measure": {"bench": "Measure the time of a step, with confidence intervals."},
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


class Commands(TyperGroup):
    """Lines of help, until one is called: only then is its module imported."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        if args[0] not in self.commands and not ctx.resilient_parsing:
            hint = nearest(args[0], self.commands)
            raise UserError(f"{args[0]}: is not a command{hint}; see twolayer --help")
        name, line, rest = super().resolve_command(ctx, args)
        return name, line and name and command(name, str(line.help)), rest

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:  # typer would end without a word
            _end(INTERRUPTED, "; ".join(["interrupted", *map(str, error.args)]))


def command(name: str, summary: str) -> Any:
    """A command with its options."""
    alone = typer.Typer(add_completion=False)
    function = getattr(import_module(f".{name}", __package__), name)
    alone.command(name, help=summary, cls=HelpfulCommand)(function)
    made: Any = typer.main.get_command(alone)
    for parameter in made.params:
        kind = parameter.type
        if choices := list(getattr(kind, "choices", ())):  # typer would put them in a column
            parameter.metavar = parameter.name.upper() if choices[1:] else choices[0]
            if choices[1:]:
                parameter.help = f"{parameter.help.rstrip('.')}: {listed(choices, 'or')}."
        elif getattr(kind, "min", None) is not None:
            parameter.metavar = "N"
    return made


app = typer.Typer(
    name="twolayer",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train one two-layer ReLU network in many implementations and compare them.",
    epilog="Exit codes: 0 all good, 2 bad usage or config, 3 a run failed, 4 diverged or not "
    "equivalent, 5 slower than the baseline, 6 too noisy to say, 130 interrupted.",
)
for _group, _commands in COMMANDS.items():
    for _name, _summary in _commands.items():
        app.command(_name, help=_summary, rich_help_panel=_group)(lambda: None)


def _version(requested: bool) -> None:
    if requested:
        emit(f"twolayer {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version."
    ),
) -> None:
    pass


def main() -> None:
    """Run the command line; turns every error into a message and an exit code."""
    output.prepare()
    try:
        sys.exit(app(standalone_mode=False))
    except UserError as error:
        _end(USAGE, str(error))
    except BrokenPipeError:
        output.forget(sys.stdout)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):  # no room for the help
            output.forget(sys.stdout)
            _end(INTERNAL, f"output can't be written: {error.strerror}")
        from ..machine import lacking  # not needed for help

        reason = lacking()
        if not reason and error.errno in _REFUSALS and error.filename is not None:
            reason = f"{error.filename}: {error.strerror}"
        if not reason:  # ours to mend
            raise
        _end(USAGE, printable(reason))
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        _end(USAGE, _usage(error))


def _usage(error: Any) -> str:
    """What typer found wrong with a call, said as our own errors are."""
    parameter, message = getattr(error, "param", None), str(error.message).rstrip(".")
    place: str = getattr(error, "option_name", "")
    kind: Any = getattr(parameter, "type", None)
    if parameter:
        place = parameter.metavar or parameter.name.upper()
        place = next((name for name in parameter.opts if name.startswith("--")), place)
    got = f" (got {message.partition(' is not ')[0]})"
    if type(error).__name__ == "NoArgsIsHelpError":
        return message
    if hasattr(error, "possibilities"):
        from ..config.experiment import elsewhere

        known = [name for each in error.ctx.command.params for name in each.opts]
        impls = ["--impls"] if "--impl" in known else []  # what a config calls it
        if hint := elsewhere(place, [*known, *impls]):
            return f"{place}: is not an option{hint.replace('--impls', '--impl')}"
        message = f"is not an option{nearest(place, known)}"
    elif type(error).__name__ == "MissingParameter":
        message = "is missing"
    elif getattr(kind, "choices", ()):
        message = f"must be {listed(kind.choices, 'or')}{got}"
    elif getattr(kind, "min", None) is not None:
        message = f"must be a whole number, {kind.min} or more{got}"
    else:
        message = message.removeprefix(f"Option {place!r} ")
    about = f"; see {error.ctx.command_path} --help" if error.ctx else ""
    return f"{place}: {message}{about}" if place else f"{message}{about}"


def _end(code: int, message: str) -> NoReturn:
    """End with a message, without the middle of names so long that they would hide the rest."""
    if message:  # typer has printed the help of a call without a word
        emit(re.sub(r"([^\s:]{200})[^\s:]{800,}", r"\1…", message), sys.stderr)
    sys.exit(code)
