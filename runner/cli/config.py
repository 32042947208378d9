"""`twolayer config`: the settings of each implementation, and where each value came from."""

import json

from ..config import plan
from ..config.experiment import json_schema
from ..output import emit, printable
from ..tables import exact
from .options import Load, switch, with_settings


@with_settings("notebook")
def config(
    load: Load,
    schema: bool = switch("--schema", help="Print the JSON schema of a config, for editors."),
) -> None:
    if schema:
        emit(json.dumps(json_schema(), indent=2))
        return
    experiment = load()
    for run in plan.make(experiment):
        emit(f"{run.name}:")
        settings = experiment.settings(run.name)
        lines = {f"{name}: {exact(a.value)}": a.origin for name, a in settings.items()}
        width = max(map(len, lines))
        for line, origin in lines.items():
            emit(printable(f"  {line:<{width}}  # {origin}"))
