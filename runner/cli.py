"""The command line: it parses and prints; what it offers is done by the modules beside it.

Frameworks, NumPy, YAML and tables are imported by the commands that need them, so that
`--help`, `list` and completion answer at once.
"""

import sys
from typing import Annotated

import typer

from . import output
from .commands import export, inspect, proof, results, run, sweep
from .commands.common import INTERRUPTED, OK, USAGE
from .errors import UserError
from .output import emit

app = typer.Typer(
    name="twolayer",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train one two-layer ReLU network in many implementations and compare them.",
    epilog="Exit codes: 0 all good, 2 bad usage or config, 3 a run failed, 4 diverged or not "
    "equivalent, 130 interrupted.",
)


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


app.command()(run.run)
app.command()(results.show)
app.command()(results.results)
app.command()(results.diff)
app.command()(export.export)
app.command("list")(inspect.list_)
app.command()(inspect.config)
app.command()(inspect.check)
app.command()(proof.verify)
app.command()(sweep.sweep)


def main() -> None:
    """Run the command line; turns every error into a message and an exit code."""
    output.prepare()
    try:
        app()
    except UserError as error:
        emit(str(error), sys.stderr)
        sys.exit(USAGE)
    except KeyboardInterrupt:
        emit("interrupted; what was finished is kept", sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        output.forget(sys.stdout)
        sys.exit(OK)


if __name__ == "__main__":
    main()
