"""Stored runs in the formats of other tools, each written by that tool's own or best-kept library.

CSV and Parquet hold one tidy table: a row for each run and epoch, with all that is known of the
run beside the loss. A run without a loss has one row, whose epoch and loss are missing.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..files import aside, writing
from ..tables import exact
from .query import Condition
from .record import Record
from .rows import COLUMNS, SETTINGS, TYPES, Stored, as_csv, read, row
from .store import Store, read_losses

if TYPE_CHECKING:
    import pyarrow

TIDY = TYPES | {"epoch": int, "loss": float}
"""The columns of the tables and their types."""

_BATCH = 100_000
"""Rows of a table that are in memory at once."""

_COSTS = ("import_s", "setup_s", "train_s", "step_us", "peak_bytes")

_MLFLOW_BATCH = 1000
"""The most metrics that MLflow takes at once."""

_MLFLOW_LONGEST = 5000
"""Characters of a tag's value, which MLflow limits."""

_MLFLOW_STATUS = {"ok": "FINISHED", "interrupted": "KILLED", "timeout": "KILLED"}
"""What MLflow calls an outcome; every other is FAILED."""


@dataclass(frozen=True)
class Export:
    """Runs of one experiment, at least one, and the file or folder that they go to."""

    experiment: str
    runs: list[Stored]
    out: Path

    def whole(self) -> Iterator[Stored]:
        """The runs with their losses, one in memory at a time."""
        for run in self.runs:
            if (losses := read_losses(run.folder)) is not None:
                yield replace(run, record=replace(run.record, losses=losses))


def export(store: Store, condition: Condition | None, to: str, out: Path) -> int:
    """Write the runs of an experiment that fit the condition; returns how many.

    Every stored attempt counts, also one made again since. `out` must be free: nothing, or
    empty. It is whole when it appears. Raises UserError if it isn't free or can't be written,
    if no run fits, or if a library is missing.
    """
    _check_free(out, to)
    runs = [run for run in read(store)[0] if condition is None or condition(row(run))]
    if not runs:
        raise UserError(f"{store.folder}: holds no finished run{' that fits' if condition else ''}")
    real = Path(os.path.realpath(out))  # a symbolic link stays one
    with writing(f"--out {out}"), aside(real.parent) as path:
        try:
            WRITERS[to](Export(store.folder.name, runs, out), path)
        except ImportError as error:
            name = (error.name or to).partition(".")[0]
            raise UserError(f"--to {to} needs {name}; pip install 'twolayer[{to}]'") from None
        _check_free(out, to)
        path.rename(real)
    return len(runs)


def _check_free(out: Path, to: str) -> None:
    """Raise UserError if `out` holds anything, or is not what the format makes."""
    try:
        folder, present = out.is_dir(), out.exists()
        empty = not any(out.iterdir()) if folder else out.is_file() and out.stat().st_size == 0
    except OSError as error:
        raise UserError(f"--out {out}: can't be read: {error.strerror}") from None
    if present and not empty:
        raise UserError(f"--out {out}: is there already; nothing is written over")
    if present and folder == (to in FILES):
        kinds = ("file", "folder") if folder else ("folder", "file")
        raise UserError(f"--out {out}: is a {kinds[1]}; --to {to} makes a {kinds[0]}")


# --- tables


def _csv(export: Export, path: Path) -> None:
    """As `twolayer results --format csv`; a loss has every digit, or is nan, inf or -inf."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(TIDY) + "\n")
        for run in export.whole():
            same = as_csv([row(run)], COLUMNS).partition("\n")[2]  # in all rows of the run
            lines = (f"{same},{i},{loss!r}\n" for i, loss in enumerate(run.record.losses))
            file.writelines(lines if run.record.losses else [f"{same},,\n"])


def _jsonl(export: Export, path: Path) -> None:
    """As `twolayer run --format json`, one record a line, and the name of its folder."""
    with path.open("w", encoding="utf-8") as file:
        for run in export.whole():
            record = {"folder": run.folder.name} | run.record.full()
            file.write(json.dumps(record, allow_nan=False) + "\n")


def _parquet(export: Export, path: Path) -> None:
    """The tidy table in one file.

    One file rather than a table of runs beside one of losses: `pandas.read_parquet(file)` then
    gives what can be grouped and plotted at once. What repeats in every row of a run costs next
    to nothing there, since Parquet stores each value once and counts it.
    """
    import pyarrow
    import pyarrow.parquet

    schema, runs = _schema(TIDY), export.whole()
    try:
        with path.open("wb") as file, pyarrow.parquet.ParquetWriter(file, schema) as writer:
            while batch := list(_some(runs)):
                writer.write_table(_arrow(batch).cast(schema))
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, OverflowError, UnicodeError) as error:
        # A seed beyond 64 bits, say, or a result.json that was edited.
        raise UserError(f"--to parquet: can't be said in this format: {error}") from None


def _some(runs: Iterator[Stored]) -> Iterator[Stored]:
    """The next runs, until they have _BATCH rows."""
    rows = 0
    while rows < _BATCH and (run := next(runs, None)):
        rows += max(1, len(run.record.losses))
        yield run


def _arrow(runs: list[Stored]) -> pyarrow.Table:
    import pyarrow

    losses: list[list[Any]] = [run.record.losses or [None] for run in runs]
    rows = [{n: None if v == "auto" else v for n, v in row(run).items()} for run in runs]
    once = pyarrow.Table.from_pylist(rows, _schema(TYPES))
    tidy = once.take([number for number, own in enumerate(losses) for _ in own])
    epochs = [None if loss is None else epoch for own in losses for epoch, loss in enumerate(own)]
    tidy = tidy.append_column("epoch", pyarrow.array(epochs, pyarrow.int64()))
    return tidy.append_column("loss", pyarrow.array(chain(*losses), pyarrow.float64()))


def _schema(types: dict[str, type]) -> pyarrow.Schema:
    import pyarrow

    names = {str: "string", int: "int64", float: "float64", bool: "bool"}
    fields = ((name, pyarrow.type_for_alias(names[kind])) for name, kind in types.items())
    return pyarrow.schema(fields)


# --- trackers


def _epoch_times(record: Record) -> list[float]:
    """About when each epoch was, in seconds since 1970: train_s divided evenly.

    Single steps are timed, but only their quantiles are kept.
    """
    begun = _begun(record) + (record.setup_s or 0)
    step_s = (record.train_s or 0) / max(len(record.losses), 1)
    return [begun + epoch * step_s for epoch in range(len(record.losses))]


def _begun(record: Record) -> float:
    """When a run began, in seconds since 1970; 0 if that is not known."""
    try:
        return datetime.fromisoformat(record.started_at).timestamp()
    except ValueError:
        return 0.0


def _tensorboard(export: Export, path: Path) -> None:
    """A folder of event files for each run, with its settings for the HParams page.

    By tensorboardX, which needs no framework. The others, tensorboard.summary.Writer (experimental,
    by its own word, and without settings) and torch.utils.tensorboard (on the same event writer),
    need all of TensorBoard and import TensorFlow wherever it is installed.
    """
    from tensorboardX import SummaryWriter
    from tensorboardX.summary import hparams

    logging.getLogger("tensorboardX.x2num").setLevel(logging.ERROR)  # warns of every nan and inf
    for run in export.whole():
        values = row(run)
        settings = {n: _number_or_text(values[n]) for n in ("impl", *SETTINGS, "outcome")}
        with SummaryWriter(str(path / run.folder.name)) as writer:
            # Not by writer.add_hparams, which puts them into a second run.
            for summary in hparams(settings, {"loss": None}):
                writer.file_writer.add_summary(summary, walltime=_begun(run.record))
            times = _epoch_times(run.record)
            for epoch, (loss, time_s) in enumerate(zip(run.record.losses, times, strict=True)):
                writer.add_scalar("loss", loss, epoch, walltime=time_s)


def _number_or_text(value: Any) -> Any:
    """A setting as TensorBoard can keep it: all its numbers are float64."""
    return str(value) if isinstance(value, int) and abs(value) > 2**53 else value


def _mlflow(export: Export, path: Path) -> None:
    """An MLflow store in SQLite, `mlflow.db`: its file store is no longer supported.

    The client of mlflow-skinny is MLflow's own; it lacks what the database needs, which the
    extra adds.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read at import: it would call home
    import alembic  # noqa: F401 (MLflow imports it when it makes the database)
    import sqlalchemy  # noqa: F401
    from mlflow import MlflowClient

    if "?" in str(path):
        raise UserError(f"--out {export.out}: MLflow can't keep a database where a ? is in a name")
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # says that it makes one
    path.mkdir()
    artifacts = Path(os.path.realpath(export.out)) / "artifacts"  # where they would go: none do
    place = f"sqlite:///{path}/mlflow.db"
    client = MlflowClient(place, registry_uri=place)
    present = client.get_experiment_by_name(export.experiment)  # MLflow makes one called Default
    experiment = (
        present.experiment_id
        if present
        else client.create_experiment(export.experiment, artifacts.as_uri())
    )
    for run in export.whole():
        _mlflow_run(client, experiment, run)


def _mlflow_run(client: Any, experiment: str, run: Stored) -> None:
    """A run's settings as params, its losses and costs as metrics, the rest as tags."""
    from mlflow.entities import Metric, Param

    values, record = row(run), run.record
    times = [round(1000 * time_s) for time_s in _epoch_times(record)]
    begun = round(1000 * _begun(record))
    tags = {n: values[n] for n in ("outcome", "key", "framework", "version", "host", "error")}
    tags["source_sha256"] = json.dumps(record.source_sha256)
    tags = {name: str(value)[:_MLFLOW_LONGEST] for name, value in tags.items() if value}
    run_id = client.create_run(experiment, begun, tags, run.folder.name).info.run_id
    params = [Param(name, exact(values[name])) for name in ("impl", *SETTINGS)]
    costs = [Metric(n, values[n], begun, 0) for n in _COSTS if values[n] is not None]
    client.log_batch(run_id, costs, params)
    losses = zip(record.losses, times, range(len(times)), strict=True)
    metrics = (Metric("loss", loss, time_ms, epoch) for loss, time_ms, epoch in losses)
    while batch := list(islice(metrics, _MLFLOW_BATCH)):
        client.log_batch(run_id, batch)
    status = _MLFLOW_STATUS.get(record.outcome, "FAILED")
    client.set_terminated(run_id, status, times[-1] if times else begun)


WRITERS: dict[str, Callable[[Export, Path], None]] = {
    "csv": _csv,
    "jsonl": _jsonl,
    "parquet": _parquet,
    "tensorboard": _tensorboard,
    "mlflow": _mlflow,
}
FILES = ("csv", "jsonl", "parquet")
"""The formats that are one file; the others are folders."""
