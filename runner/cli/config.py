"""`twolayer config`: the settings of each implementation, and where each value came from."""

import json
from typing import Annotated

from typer import Option

from ..config import plan
from ..config.experiment import Assignment, json_schema
from ..output import emit, printable
from ..tables import exact
from .inputs import load_experiment
from .options import ConfigFile, Impls, with_settings


@with_settings("name", "timeout", "memory_limit")
def config(
    assignments: list[Assignment],
    impl: Impls = None,
    config: ConfigFile = "notebook",
    schema: Annotated[
        bool, Option("--schema", help="Print the JSON schema of a config, for editors.")
    ] = False,
) -> None:
    if schema:
        emit(json.dumps(json_schema(), indent=2))
        return
    experiment = load_experiment(config, assignments, impl)
    for run in plan.make(experiment):
        emit(f"{run.name}:")
        settings = experiment.settings(run.name)
        lines = {f"{name}: {exact(a.value)}": a.origin for name, a in settings.items()}
        width = max(map(len, lines))
        for line, origin in lines.items():
            emit(printable(f"  {line:<{width}}  # {origin}"))
