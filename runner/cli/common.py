"""What commands share: formats, loading a config, showing records, exit codes."""

import contextlib
import json
import math
import os
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UserError
from ..output import emit, printable
from .options import split_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..config.catalogue import Implementation
    from ..config.experiment import Assignment, Experiment
    from ..config.published import Published
    from ..engine.scheduler import Session
    from ..results.record import Record
    from ..results.store import Store
    from ..tables import Table

PATIENCE_S = 3.0
"""After so long, a command says what takes so long."""

OK, INTERNAL, USAGE, FAILED, DIVERGED, SLOWER, UNSURE, INTERRUPTED = 0, 1, 2, 3, 4, 5, 6, 130


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


def complete_experiments(incomplete: str) -> list[str]:
    """Names of experiments under results/."""
    from ..results.store import experiments

    return [name for name in experiments(Path("results")) if name.startswith(incomplete)]


def experiment_argument(default: str) -> Any:
    return typer.Argument(
        help="Name of the experiment, as under results/.",
        show_default=default,
        autocompletion=complete_experiments,
    )


def latest_store(name: str | None, results: Path) -> "Store":
    """The experiment of that name, or the one whose latest run is the latest."""
    from ..results.rows import known_experiments, named
    from ..results.store import Store

    if name is not None:
        return named(results, name)
    stores = [Store(results, each) for each in known_experiments(results)]
    return max(stores, key=_latest_invocation) if len(stores) > 1 else stores[0]


def charted_store(name: str | None, results: Path) -> "Store":
    """The same for what can be drawn, which a bench without runs can be, too."""
    from ..bench.measurement import stored
    from ..results.store import Store, experiments

    benched = [path.name for path in results.glob("*") if any(stored(path))]
    if name in benched:
        return Store(results, str(name))
    if name is not None or not benched:
        return latest_store(name, results)
    return max((Store(results, each) for each in {*experiments(results), *benched}), key=_latest)


def _latest(store: "Store") -> str:
    """When it was last called for, run or bench."""
    from ..bench.measurement import stored

    benches = [path.stem for path in stored(store.folder)]
    return max(_latest_invocation(store).replace(":", "-"), *benches[-1:], "")


def _latest_invocation(store: "Store") -> str:
    from ..results.rows import read

    return max((run.record.invocation for run in read(store)[0]), default="")


def load_experiment(
    config: str,
    assignments: "list[Assignment]",
    options: "list[Assignment]",
    impl: list[str] | None,
) -> "Experiment":
    from ..config.experiment import find_config, load
    from ..machine import usable_cores

    experiment = load(find_config(config), assignments, options, split_names(impl))
    theirs, auto = os.environ.get("OMP_NUM_THREADS"), experiment.settings("")["threads"].value
    if theirs and auto == "auto" and theirs != str(usable_cores()):
        said = f"OMP_NUM_THREADS={theirs} has no effect, --threads decides; auto is "
        emit(f"{said}the {usable_cores()} cores that runs may use", sys.stderr)
    return experiment


def keep_call(session: "Session", file: Path) -> None:
    """Keep in a session's records, and beside them, the command and the file that it runs."""
    from ..config.catalogue import configs_folder

    session.command = printable(shlex.join(["twolayer", *sys.argv[1:]]))
    if configs_folder() not in file.resolve().parents:
        session.config_file = str(file)
        session.store.keep_config(session.invocation, file)


def published_beside(experiment: "Experiment") -> "Published":
    from ..config.published import read_published

    if experiment.published is None:
        raise UserError(
            f"--published: {experiment.path.name} names no published losses; "
            "the notebook preset does (leave out --config)"
        )
    return read_published(Path(str(experiment.published.value)))


def show_records(records: "list[Record]", format: Format, published: "Published | None") -> None:
    from ..results import tables as record_tables

    if format is Format.json:
        emit(json.dumps([record.full() for record in records], indent=1, allow_nan=False))
        return
    exact = format is Format.csv
    table = record_tables.losses(records, published, exact=exact)
    if exact:
        emit(table.csv())
        return
    draw = table_markdown if format is Format.markdown else table_text
    if records:
        emit(f"{draw(table)}\n\n{draw(record_tables.summary(records))}")
    for said in filter(None, (record_tables.notes(records), record_tables.failures(records))):
        emit(f"\n{fenced(said) if format is Format.markdown else said}")


def finite(value: Any) -> Any:
    """A value for JSON, which has no word for infinite: null stands for that."""
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return list(map(finite, value))
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table_markdown(table: "Table") -> str:
    return table.markdown()


def fenced(text: str) -> str:
    return f"```text\n{text}\n```"


def table_text(table: "Table") -> str:
    return table.text(terminal_width())


def paragraphs(texts: "Iterable[str]") -> str:
    """Sentences, one a paragraph; on a terminal broken between words, the rest indented."""
    import textwrap

    if not sys.stdout.isatty():
        return "\n".join(texts)
    width = max(20, terminal_width())
    wrapped = (
        textwrap.fill(
            text, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        )
        for text in texts
    )
    return "\n".join(wrapped)


def terminal_width() -> int:
    return terminal_size()[0]


def terminal_size(columns: int = 150) -> tuple[int, int]:
    """Columns and lines; where there is no terminal, so many columns, and lines enough."""
    import shutil

    return shutil.get_terminal_size((columns, 40))


def seconds(option: str, text: str) -> float:
    """The time that was given for an option."""
    from ..config.document import scalar
    from ..config.rules import DURATION

    try:
        return float(DURATION.check(scalar(text)))
    except ValueError as error:
        raise UserError(f"{option}: {error} (got {text!r})") from None


def say(text: str, quiet: bool) -> None:
    if not quiet:
        emit(printable(text), sys.stderr)


def say_notes(implementations: "Iterable[Implementation]", quiet: bool) -> None:
    """Say what may go wrong with implementations that are to run."""
    from ..config.plan import notes

    for note in notes(implementations):
        say(f"note: {note}", quiet)


def also_loaded(record: "Record") -> "Iterator[str]":
    """A warning of files that a run loaded although its source doesn't show it, if it did."""
    from ..errors import listed

    if record.also_loaded:
        files = listed(record.also_loaded)
        yield (
            f"warning: {record.impl} also loaded {files}, which its source does not show: a sweep "
            "sees when they change, but Dask workers don't get them"
        )


def why(result: dict[str, Any], timeout_s: float = float("inf")) -> str:
    """Why a process came back without what was wanted."""
    error = result["error"]
    if error is None:
        return f"it did not end within {timeout_s:g} s"
    message = str(error["message"]).partition("\n")[0]
    return f"{error['type']}: {message}" if error["traceback"] else message


@contextlib.contextmanager
def patience(text: str, quiet: bool) -> "Iterator[None]":
    """Say what is being done, should it take long."""
    import threading

    timer = threading.Timer(PATIENCE_S, say, (text, quiet))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
