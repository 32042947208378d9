"""Stored runs in the formats of other tools, each written by that tool's own or best-kept library.

CSV and Parquet hold one tidy table: a row for each run and epoch, with all that is known of the
run beside the loss. A run without a loss has one row, whose epoch and loss are missing.
"""

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import UserError, listed
from ..files import aside, writing
from ..tables import exact
from .query import Condition
from .record import Record
from .rows import COLUMNS, SETTINGS, TYPES, as_csv, row
from .store import Store, loaded

TIDY = TYPES | {"epoch": int, "loss": float}
"""The columns of the tables and their types."""

_BLOCK = 2**26
"""The bytes of a CSV that become a part of a Parquet file at once."""

_PARQUET = {str: "string", int: "int64", float: "float64", bool: "bool"}

_MLFLOW_BATCH, _MLFLOW_LONGEST = 1000, 5000
"""The most metrics that MLflow takes at once, and characters in a tag."""

_MLFLOW_STATUS = {"ok": "FINISHED", "interrupted": "KILLED", "timeout": "KILLED"}
"""What MLflow calls an outcome; every other is FAILED."""


@dataclass(frozen=True)
class Export:
    """An experiment and the file or folder to make of it."""

    experiment: str
    runs: Iterator[Record]  # with their losses
    path: Path  # where it is made
    out: Path  # where it is moved then


Watch = Callable[[list[Record]], Iterable[Record]]
"""What runs pass through when they are exported, one by one."""


def export(store: Store, fits: Condition | None, to: str, out: Path, watch: Watch = iter) -> int:
    """Write the runs of an experiment that fit, also those made again since.

    Returns how many. `out`, which must be free or empty, is whole when it appears.
    Raises UserError if it can't be made, if no run fits, or if a library is missing.
    """
    _check_free(out, to)
    runs = _fitting(store, fits)
    real = Path(os.path.realpath(out))  # a symbolic link stays one
    with writing(f"--out {out}"), aside(real.parent) as path:
        try:
            each = filter(None, map(loaded, watch(runs)))  # one in memory at a time
            WRITERS[to](Export(store.folder.name, each, path, out))
        except ImportError as error:
            name = (error.name or to).partition(".")[0]
            raise UserError(f"--to {to} needs {name}; pip install 'twolayer[{to}]'") from None
        _check_free(out, to)
        path.rename(real)
    return len(runs)


def lines(store: Store, fits: Condition | None, to: str, watch: Watch = iter) -> Iterator[str]:
    """The same as text, run by run. Raises UserError also if the format is no text."""
    if to not in TEXTS:
        kind = "binary" if to in FILES else "a folder"
        raise UserError(
            f"--out -: {to} is {kind}; name a path, or choose --to {listed(TEXTS, 'or')}"
        )
    runs = filter(None, map(loaded, watch(_fitting(store, fits))))
    return TEXTS[to](runs)


def _fitting(store: Store, fits: Condition | None) -> list[Record]:
    runs = [run for run in store.read()[0] if fits is None or fits(row(run))]
    if not runs:
        raise UserError(f"{store.folder}: holds no finished run{' that fits' if fits else ''}")
    return runs


def _check_free(out: Path, to: str) -> None:
    """Raise UserError if `out` holds anything, or is not what the format makes."""
    with writing(f"--out {out}"):
        folder, present = out.is_dir(), out.exists()
        empty = not any(out.iterdir()) if folder else out.is_file() and out.stat().st_size == 0
    if present and not empty:
        raise UserError(f"--out {out}: is there already; nothing is written over")
    if present and folder == (to in FILES):
        kinds = "folder; --to {} makes a file" if folder else "file; --to {} makes a folder"
        raise UserError(f"--out {out}: is a {kinds.format(to)}")


# --- tables


def _csv(runs: Iterable[Record]) -> Iterator[str]:
    """As `twolayer results --format csv`; a loss has every digit, or is nan, inf or -inf."""
    yield ",".join(TIDY) + "\n"
    for run in runs:
        same = as_csv([row(run)], COLUMNS).partition("\n")[2]  # in all rows of the run
        rows = [f"{same},{epoch},{loss!r}\n" for epoch, loss in enumerate(run.losses)]
        yield "".join(rows) or f"{same},,\n"


def _jsonl(runs: Iterable[Record]) -> Iterator[str]:
    """As `twolayer run --format json`, one record a line, and the name of its folder."""
    for run in runs:
        record = {"folder": run.folder.name} | run.full()
        yield json.dumps(record, allow_nan=False) + "\n"


TEXTS = {"csv": _csv, "jsonl": _jsonl}


def _text(to: str, export: Export) -> None:
    with export.path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(TEXTS[to](export.runs))


def _parquet(export: Export) -> None:
    """The table of `_csv`, typed. What repeats in every row of a run is stored once."""
    import pyarrow
    from pyarrow import csv, parquet

    schema = pyarrow.schema([(name, _PARQUET[kind]) for name, kind in TIDY.items()])
    blocks, lines = csv.ReadOptions(block_size=_BLOCK), csv.ParseOptions(newlines_in_values=True)
    types = csv.ConvertOptions(
        column_types=schema, null_values=["", "auto"], strings_can_be_null=True
    )
    with aside(export.path.parent) as table:
        _text("csv", replace(export, path=table))
        # Files, since pyarrow takes only paths that are UTF-8.
        with table.open("rb") as text, export.path.open("wb") as file:
            try:
                with parquet.ParquetWriter(file, schema) as writer:
                    for batch in csv.open_csv(text, blocks, lines, types):
                        writer.write_batch(batch)
            except pyarrow.ArrowInvalid as error:  # a seed beyond 64 bits, say
                raise UserError(f"--to parquet: can't be said in this format: {error}") from None


# --- trackers


def _timeline(run: Record) -> tuple[float, list[float]]:
    """When a run began (0 if unknown) and each epoch was, if all took the same, since 1970."""
    try:
        begun = datetime.fromisoformat(run.started_at).timestamp()
    except ValueError:
        begun = 0.0
    first, step_s = begun + (run.setup_s or 0), (run.train_s or 0) / max(len(run.losses), 1)
    return begun, [first + epoch * step_s for epoch in range(len(run.losses))]


def _tensorboard(export: Export) -> None:
    """A folder of event files for each run, with its settings for the HParams page."""
    # The writers of TensorBoard and PyTorch import TensorFlow wherever it is installed.
    from tensorboardX import SummaryWriter
    from tensorboardX.summary import hparams

    logging.getLogger("tensorboardX.x2num").setLevel(logging.ERROR)  # warns of every nan and inf
    for run in export.runs:
        begun, times = _timeline(run)
        values = ((name, row(run)[name]) for name in ("impl", *SETTINGS, "outcome"))
        # All its numbers are float64.
        settings = {n: str(v) if type(v) is int and abs(v) > 2**53 else v for n, v in values}
        with SummaryWriter(str(export.path / run.folder.name)) as writer:
            # Not by writer.add_hparams, which puts them into a second run.
            for summary in hparams(settings, {"loss": None}):
                writer.file_writer.add_summary(summary, walltime=begun)
            for epoch, (loss, time_s) in enumerate(zip(run.losses, times, strict=True)):
                writer.add_scalar("loss", loss, epoch, walltime=time_s)


def _mlflow(export: Export) -> None:
    """An MLflow store in SQLite, `mlflow.db`: its file store is no longer supported."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read at import: it would call home
    import alembic  # noqa: F401 (MLflow imports it when it makes the database)
    import sqlalchemy  # noqa: F401
    from mlflow import MlflowClient

    if "?" in str(export.path):
        raise UserError(f"--out {export.out}: MLflow can't keep a database where a ? is in a name")
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # says that it makes one
    export.path.mkdir()
    place = f"sqlite:///{export.path}/mlflow.db"
    client = MlflowClient(place, registry_uri=place)
    if default := client.get_experiment_by_name(export.experiment):  # MLflow makes one called so
        experiment = default.experiment_id
    else:
        artifacts = Path(os.path.realpath(export.out), "artifacts").as_uri()  # there are none
        experiment = client.create_experiment(export.experiment, artifacts)
    for run in export.runs:
        _mlflow_run(client, experiment, run)


def _mlflow_run(client: Any, experiment: str, run: Record) -> None:
    """A run's settings as params, its losses and costs as metrics, the rest as tags."""
    from mlflow.entities import Metric, Param

    values, (begun, times) = row(run), _timeline(run)
    begun_ms, *times_ms = (round(1000 * time_s) for time_s in (begun, *times))
    tags = {n: values[n] for n in ("outcome", "key", "framework", "version", "host", "error")}
    tags["source_sha256"] = json.dumps(run.source_sha256)
    tags = {name: str(value)[:_MLFLOW_LONGEST] for name, value in tags.items() if value}
    run_id = client.create_run(experiment, begun_ms, tags, run.folder.name).info.run_id
    params = [Param(name, exact(values[name])) for name in ("impl", *SETTINGS)]
    costs = ("import_s", "setup_s", "train_s", "step_us", "peak_bytes")
    metrics = [Metric(n, values[n], begun_ms, 0) for n in costs if values[n] is not None]
    losses = enumerate(zip(run.losses, times_ms, strict=True))
    metrics += [Metric("loss", loss, time_ms, epoch) for epoch, (loss, time_ms) in losses]
    client.log_batch(run_id, params=params)
    for start in range(0, len(metrics), _MLFLOW_BATCH):
        client.log_batch(run_id, metrics[start : start + _MLFLOW_BATCH])
    status = _MLFLOW_STATUS.get(run.outcome, "FAILED")
    client.set_terminated(run_id, status, [begun_ms, *times_ms][-1])


FILES = {to: partial(_text, to) for to in TEXTS} | {"parquet": _parquet}
WRITERS = FILES | {"tensorboard": _tensorboard, "mlflow": _mlflow}
"""The formats: FILES are one file each, the others folders."""
