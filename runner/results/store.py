"""Results on disk: one folder a run, whole or not there at all, never written over.

    results/<experiment>/runs/<impl>-<hash10>/{config.yaml, result.json, losses.csv, log.txt}

A later run of the same settings and source lands beside the first as `<impl>-<hash10>.2`,
so nothing is ever replaced. Everything else under an experiment can be made again from here.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
import platform
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import UnionType
from typing import get_args, get_origin, get_type_hints

import yaml

from ..errors import UserError
from .record import Record

RUNS, BENCHES = "runs", "bench"
"""The folders of an experiment: one of runs, one of benches."""
TEMPORARY = ".tmp-"
_COLUMNS = (
    *("impl", "outcome", "final_loss", "epochs_done", "import_s", "setup_s", "train_s"),
    *("step_us_median", "peak_bytes", "device", "threads", "started_at"),
)


class Store:
    """The results of one experiment.

    Raises UserError where the folder can't be written.
    """

    def __init__(self, results: Path, experiment: str) -> None:
        self.folder = results / experiment
        self.runs = self.folder / RUNS

    def prepare(self) -> None:
        """Make the folder now, so that a run is not lost for want of it later."""
        try:
            self.runs.mkdir(parents=True, exist_ok=True)
            probe = self.runs / temporary_name()
            probe.mkdir()
            probe.rmdir()
        except OSError as error:
            raise UserError(f"{self.runs}: can't be written: {error.strerror}") from None

    def write(self, record: Record) -> Path:
        """Save a record; when this returns, it is on disk under its final name."""
        files = {
            "config.yaml": _config_yaml(record),
            "result.json": json.dumps(record.summary(), indent=1, allow_nan=False) + "\n",
            "losses.csv": _losses_csv(record.losses),
            "log.txt": record.log,
        }
        temporary = self.runs / temporary_name()
        try:
            temporary.mkdir(parents=True)
            for name, text in files.items():
                _write_synced(temporary / name, text)
            _sync(temporary)
            final = self._claim(temporary, record.key)
            _sync(self.runs)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise UserError(f"{self.runs}: can't be written: {error.strerror}") from None
        return final

    def _claim(self, temporary: Path, key: str) -> Path:
        """Give a finished folder the first free name; a name once taken is never reused."""
        attempt = 1
        while True:
            final = self.runs / (key if attempt == 1 else f"{key}.{attempt}")
            if not final.exists():
                try:
                    temporary.rename(final)  # fails if another process took it just now
                    return final
                except OSError:
                    if not final.exists():
                        raise
            attempt += 1

    def folders(self) -> list[Path]:
        """The folders of finished runs, in the order of their names."""
        try:
            names = sorted(os.listdir(self.runs))
        except OSError:
            return []
        return [self.runs / name for name in names if not name.startswith(".")]

    def read(self) -> Iterator[Record]:
        """Every whole record, in no particular order."""
        return filter(None, map(read_run, self.folders()))

    def keep_config(self, invocation: str, config: Path) -> None:
        """Copy the file that a call of twolayer ran; without it, runs are as good as with it."""
        copy = self._config_of(invocation)
        with contextlib.suppress(OSError):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(config, copy)

    def config_text(self, invocation: str) -> str:
        """The copy's text; empty if there is none."""
        try:
            return self._config_of(invocation).read_text(encoding="utf-8")
        except (OSError, ValueError):
            return ""

    def _config_of(self, invocation: str) -> Path:
        return self.folder / "configs" / f"{invocation.replace(':', '-')}.yaml"

    def write_table(self, records: Iterable[Record]) -> None:
        """Write results.csv, one row a run: derived, so it may be deleted at any time."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for record in records:
            values = record.summary()
            values["step_us_median"] = (record.step_us or {}).get("median")
            writer.writerow([values[column] for column in _COLUMNS])
        temporary = self.folder / temporary_name()
        try:
            _write_synced(temporary, text.getvalue())
            temporary.replace(self.folder / "results.csv")
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise UserError(f"{self.folder}: can't be written: {error.strerror}") from None


def experiments(results: Path) -> list[str]:
    """The names of the experiments under a results folder: those with runs or a bench."""
    found = (path for kind in (RUNS, BENCHES) for path in results.glob(f"*/{kind}"))
    return sorted({path.parent.name for path in found if path.is_dir()})


def read_run(folder: Path) -> Record | None:
    """The record in a run's folder; None if it is not one (any more)."""
    record, losses = read_summary(folder), read_losses(folder)
    if record is None or losses is None:
        return None
    try:
        record.losses, record.log = losses, (folder / "log.txt").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    return record


def read_losses(folder: Path) -> list[float] | None:
    """The losses in a run's folder; None if they can't be read."""
    try:
        with open(f"{folder}/losses.csv", encoding="utf-8", newline="") as file:
            lines = csv.reader(file)
            column = next(lines, []).index("loss")
            return [float(line[column]) for line in lines if line]
    except (OSError, ValueError, IndexError, csv.Error):
        return None


def read_summary(folder: Path) -> Record | None:
    """The same without losses and log: all that lists need, from one file instead of three."""
    try:
        with open(f"{folder}/result.json", encoding="utf-8") as file:
            values = json.load(file, parse_float=_finite, parse_constant=_finite, parse_int=_whole)
        record = Record.from_summary(values, [], "")
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None
    return record if _is_record(record) else None


def _finite(text: str) -> float:
    """A number of a result.json, in which none of ours is infinite."""
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text} is not finite")
    return number


def _whole(text: str) -> int:
    _finite(text)  # one that no float can hold fails wherever it is written as one
    return int(text)


def _is_record(record: Record) -> bool:
    """Whether its fields are of the types that they should be: anybody can edit a file."""
    error = record.error
    return all(isinstance(getattr(record, name), types) for name, types in _types().items()) and (
        error is None or {"type", "message", "traceback"} <= error.keys()
    )


@cache
def _types() -> dict[str, tuple[type, ...]]:
    """The classes that the fields of a record may be of; a whole number serves as a float."""
    types = {}
    for name, hint in get_type_hints(Record).items():
        parts = get_args(hint) if isinstance(hint, UnionType) else (hint,)
        classes = {get_origin(part) or part for part in parts}
        types[name] = tuple(classes | {int} if float in classes else classes)
    return types


def temporary_name() -> str:
    """A new `.tmp-<place>-<pid>-<random>`: it says who writes, so that leftovers can be told."""
    return f"{TEMPORARY}{place()}-{os.getpid()}-{uuid.uuid4().hex}"


@cache
def place() -> str:
    """Where process ids mean the same as here: this host and, in it, the PID namespace."""
    host = re.sub(r"[^A-Za-z0-9_]", "_", platform.node())
    try:
        return f"{host}.{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return host


def _config_yaml(record: Record) -> str:
    impl = record.source if record.source.endswith(".py") else record.impl
    document = {"impls": [impl], **record.config}
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def _losses_csv(losses: list[float]) -> str:
    return "epoch,loss\n" + "".join(f"{i},{loss!r}\n" for i, loss in enumerate(losses))


def _write_synced(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
