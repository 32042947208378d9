"""`twolayer export`: results as files for other tools."""

import shlex
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Literal

from typer import Option

from ..output import emit
from ..results.export import export as write
from ..results.export import lines
from ..results.record import Record
from ..results.rows import counted
from ..results.store import find_stores
from .inputs import condition
from .options import RESULTS, WHERE, experiment_argument
from .printing import patience
from .progress import stoppable, watcher

PATIENCE_S = 1.0  # an export that takes longer shows how far it is

READERS = {
    "csv": "pandas.read_csv({0!r})",
    "jsonl": "pandas.read_json({0!r}, lines=True)",
    "parquet": "pandas.read_parquet({0!r})",
    "tensorboard": "tensorboard --logdir {1}",
    "mlflow": "mlflow ui --backend-store-uri sqlite:///{1}/mlflow.db",
}


def export(
    experiment: str = experiment_argument(),
    to: Literal["csv", "jsonl", "parquet", "tensorboard", "mlflow"] = Option(help="The format."),
    out: Path = Option(metavar="PATH", help="The file or folder to make; - is standard output."),
    results: Path = RESULTS,
    where: str | None = WHERE,
) -> None:
    fits = condition(where)
    (store,) = find_stores(experiment, results)
    with stoppable(), ExitStack() as preparing:
        preparing.enter_context(patience(f"preparing {to} …", quiet=False))
        watch = partial(_watched, preparing)
        if str(out) == "-":
            for text in lines(store, fits, to, watch):
                emit(text.removesuffix("\n"))
            return
        try:
            count = write(store, fits, to, out, watch)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"{out} is not written") from None
    reader = READERS[to].format(str(out), shlex.quote(str(out)))
    emit(f"{counted(count, 'run is', 'runs are')} in {out}; to read: {reader}")


def _watched(preparing: ExitStack, runs: list[Record]) -> Iterator[Record]:
    """The runs, with a view of how many are written if that takes long."""
    preparing.close()
    begun, progress, total = time.monotonic(), None, len(runs)
    with ExitStack() as stack:
        for done, run in enumerate(runs):
            if not progress and time.monotonic() - begun > PATIENCE_S:
                progress = stack.enter_context(watcher(total=total))
                progress.begun = begun
            if progress:
                tenth = f"{done * 10 // total * 10}% of {total:,} runs"
                progress.step(done, total, f"{done:,} of {total:,} runs", tenth)
            yield run
