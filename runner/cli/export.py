"""`twolayer export`: take results to where others look at theirs."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from .common import complete_experiments, say
from .options import Results


class To(StrEnum):
    """What results can be exported to."""

    csv = "csv"
    jsonl = "jsonl"
    parquet = "parquet"
    tensorboard = "tensorboard"
    mlflow = "mlflow"


def export(
    experiment: Annotated[
        str,
        typer.Argument(
            help="Name of the experiment, as under results/.", autocompletion=complete_experiments
        ),
    ],
    to: Annotated[To, typer.Option("--to", help="The format.")],
    out: Annotated[
        Path,
        typer.Option("--out", metavar="PATH", help="The file or folder to make."),
    ],
    results: Results = Path("results"),
    where: Annotated[
        str | None,
        typer.Option(
            "--where", metavar="CONDITION", help="Only runs such as 'lr<1e-4 and outcome==\"ok\"'."
        ),
    ] = None,
) -> None:
    from ..results import export, query
    from ..results.rows import COLUMNS, named

    condition = None if where is None else query.parse(where, list(COLUMNS), "--where")
    count = export.export(named(results, experiment), condition, to.value, out)
    say(f"{count} {'run is' if count == 1 else 'runs are'} in {out}", quiet=False)
