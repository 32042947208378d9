"""`twolayer export`: results as files for other tools."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..results.export import export as write
from ..results.rows import named
from .inputs import Where, condition, experiment_argument
from .options import Results
from .printing import say


class To(StrEnum):
    """What results can be exported to."""

    csv = "csv"
    jsonl = "jsonl"
    parquet = "parquet"
    tensorboard = "tensorboard"
    mlflow = "mlflow"


def export(
    experiment: Annotated[str, experiment_argument()],
    to: Annotated[To, typer.Option("--to", help="The format.")],
    out: Annotated[Path, typer.Option("--out", metavar="PATH", help="The file or folder to make.")],
    results: Results = Path("results"),
    where: Where = None,
) -> None:
    fits = condition(where)
    count = write(named(results, experiment), fits, to.value, out)
    say(f"{count} {'run is' if count == 1 else 'runs are'} in {out}", quiet=False)
