"""`twolayer export`: results as files for other tools."""

from pathlib import Path
from typing import Annotated, Literal

from typer import Option

from ..results.export import export as write
from ..results.store import find_stores
from .inputs import Where, condition, experiment_argument
from .options import Results
from .printing import say

To = Literal["csv", "jsonl", "parquet", "tensorboard", "mlflow"]


def export(
    experiment: Annotated[str, experiment_argument()],
    to: Annotated[To, Option("--to", help="The format.")],
    out: Annotated[Path, Option("--out", metavar="PATH", help="The file or folder to make.")],
    results: Results = Path("results"),
    where: Where = None,
) -> None:
    fits = condition(where)
    (store,) = find_stores(experiment, results)
    count = write(store, fits, to, out)
    say(f"{count} {'run is' if count == 1 else 'runs are'} in {out}")
