"""`twolayer export`: results as files for other tools."""

from pathlib import Path
from typing import Literal

from typer import Option

from ..results.export import export as write
from ..results.store import find_stores
from .inputs import condition
from .options import RESULTS, WHERE, experiment_argument
from .printing import say


def export(
    experiment: str = experiment_argument(),
    to: Literal["csv", "jsonl", "parquet", "tensorboard", "mlflow"] = Option(help="The format."),
    out: Path = Option(metavar="PATH", help="The file or folder to make."),
    results: Path = RESULTS,
    where: str | None = WHERE,
) -> None:
    fits = condition(where)
    (store,) = find_stores(experiment, results)
    count = write(store, fits, to, out)
    say(f"{count} {'run is' if count == 1 else 'runs are'} in {out}")
