"""Results on disk: one folder a run, whole or not there at all, never written over.

    results/<experiment>/runs/<impl>-<hash10>/{config.yaml, result.json, losses.csv, log.txt}

A later run of the same settings and source lands beside the first as `<impl>-<hash10>.2`,
so nothing is ever replaced. Everything else under an experiment can be made again from here.
"""

import contextlib
import csv
import json
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from ..errors import UserError, nearest
from ..files import TEMPORARY, aside, put, remove, size, sync, write, writing
from ..output import printable
from ..tables import Table, exact
from .record import FINISHED, Record
from .rows import Row, newest

RUNS, BENCHES = "runs", "bench"
"""The folders of an experiment: one of runs, one of benches."""

_DAY_S = 24 * 3600  # after so long without a write, what is temporary is left over

_COLUMNS = (
    *("impl", "outcome", "final_loss", "epochs_done", "import_s", "setup_s", "train_s"),
    *("step_us_median", "peak_bytes", "device", "threads", "started_at"),
)


class Store:
    """The results of one experiment. Raises UserError where they can't be written."""

    def __init__(self, results: Path, experiment: str) -> None:
        self.folder = results / experiment
        self.runs = self.folder / RUNS

    def prepare(self) -> None:
        """Make the folder now, so that a run is not lost for want of it later."""
        with writing(self.runs):
            self.runs.mkdir(parents=True, exist_ok=True)
            with aside(self.runs) as probe:
                probe.mkdir()

    def write(self, record: Record) -> Path:
        """Save a record; when this returns, it is on disk under its final name."""
        import yaml

        impl = record.source if record.source.endswith(".py") else record.impl
        config = {"impls": [impl], **record.config}
        losses = (f"{epoch},{loss!r}\n" for epoch, loss in enumerate(record.losses))
        files = {
            "config.yaml": yaml.safe_dump(config, sort_keys=False, allow_unicode=True),
            "result.json": json.dumps(record.summary(), indent=1, allow_nan=False) + "\n",
            "losses.csv": f"epoch,loss\n{''.join(losses)}",
            "log.txt": record.log,
        }
        with writing(self.runs), aside(self.runs) as temporary:
            temporary.mkdir(parents=True)
            for name, text in files.items():
                put(temporary / name, text)
            sync(temporary)
            final = self._claim(temporary, record.key)
            sync(self.runs)
        return final

    def _claim(self, temporary: Path, key: str) -> Path:
        """Give a finished folder the first free name; a name once taken is never reused."""
        final, attempt = self.runs / key, 1
        while True:
            try:
                return temporary.rename(final)
            except OSError:
                if not final.exists():  # else the name is taken
                    raise
            attempt += 1
            final = self.runs / f"{key}.{attempt}"

    def folders(self) -> list[Path]:
        """The folders of finished runs, in the order of their names."""
        return sorted(self.runs.glob("[!.]*"), key=lambda folder: folder.name)

    def read(self) -> tuple[list[Record], int]:
        """The runs without losses, oldest first, and how many folders hold none."""
        folders = self.folders()
        runs = [record for folder in folders if (record := read_summary(folder))]
        return sorted(runs, key=lambda run: run.age), len(folders) - len(runs)

    def overview(self) -> tuple[Row, int]:
        """The experiment as a row, with a count of each outcome; how many folders hold no run."""
        runs, skipped = self.read()
        return {
            "experiment": self.folder.name,
            "runs": len(runs),
            "outcomes": dict(Counter(run.outcome for run in runs).most_common()),
            "latest": runs[-1].started_at if runs else None,
            "bytes": size(self.folder),
        }, skipped

    def keep_config(self, invocation: str, config: Path) -> None:
        """Copy the file that a call of twolayer ran; without it, runs are as good as with it."""
        copy = self._config_of(invocation)
        with contextlib.suppress(OSError):
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(config.read_bytes())

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
        rows = [[exact(getattr(record, name)) for name in _COLUMNS] for record in records]
        write(self.folder / "results.csv", Table(_COLUMNS, rows).csv() + "\n", self.folder)


def experiments(results: Path) -> list[str]:
    """The names of the experiments under a results folder: those with runs or a bench."""
    folders = (path for kind in (RUNS, BENCHES) for path in results.glob(f"*/{kind}"))
    return sorted({path.parent.name for path in folders if path.is_dir()})


def find_stores(name: str | None, results: Path) -> list[Store]:
    """The experiment of that name, or all. Raises UserError if there is none."""
    known = experiments(results)
    if not known:
        raise UserError(f"{results}: holds no experiments yet; `twolayer run` makes one")
    if name is not None and name not in known:
        hint = nearest(name, known) or f"; there are {', '.join(known)}"
        raise UserError(f"{results}: has no experiment {printable(name)}{hint}")
    return [Store(results, each) for each in (known if name is None else [name])]


def read_summary(folder: Path) -> Record | None:
    """A run without losses and log: all that lists need, from one file. None if it is not whole."""
    try:
        with open(f"{folder}/result.json", encoding="utf-8") as file:
            record = Record.parse(file.read())
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    record.folder = folder
    return record


def loaded(run: Record) -> Record | None:
    """A stored run with its losses and log; None if they can't be read."""
    with contextlib.suppress(OSError, ValueError, IndexError, csv.Error):
        log = (run.folder / "log.txt").read_text(encoding="utf-8")
        with open(run.folder / "losses.csv", encoding="utf-8", newline="") as file:
            lines = csv.reader(file)
            column = next(lines, []).index("loss")
            return replace(run, log=log, losses=[float(line[column]) for line in lines if line])
    return None


def whole(run: Record) -> Record:
    """A stored run with its losses and log; without, if they can't be read any more."""
    return loaded(run) or run


# --- what may be deleted


def deletable(store: Store) -> tuple[list[Row], list[Path]]:
    """What may be deleted (path, reason, bytes), and what commands may still be writing."""
    left: list[Path] = []
    kept: list[Path] = []
    for folder in (store.folder, store.runs, store.folder / BENCHES):
        for path in sorted(folder.glob(f"{TEMPORARY}*")):
            with contextlib.suppress(FileNotFoundError):  # finished just now
                old = time.time() - path.lstat().st_mtime > _DAY_S
                (left if old else kept).append(path)
    waste = [(path, "left by a killed command") for path in left]
    runs, _ = store.read()
    counts = {run.key: run for run in newest(runs, lambda run: run.key)}
    for run in runs:
        newer = counts[run.key]
        superseded = newer.outcome in FINISHED and run.age < newer.age
        if superseded and not run.folder.is_symlink():
            waste.append((run.folder, f"made again as {newer.folder.name}"))
    return [{"path": str(path), "reason": why, "bytes": size(path)} for path, why in waste], kept


def delete(waste: Iterable[Row]) -> None:
    """Delete for good. Raises UserError, naming the first that can't be deleted."""
    for path in (Path(row["path"]) for row in waste):
        try:
            with aside(path.parent) as temporary:
                path.rename(temporary)  # first, so that at no moment half of a run is read
                remove(temporary)
        except FileNotFoundError:
            continue  # another process was faster
        except OSError as error:
            raise UserError(f"{path}: can't be deleted: {error.strerror}") from None
