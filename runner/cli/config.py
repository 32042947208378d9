"""`twolayer config`: the settings of each implementation, and where each value came from."""

import json
import shlex
from collections.abc import Iterable
from typing import Any, Literal

from typer import Option

from ..config import plan
from ..config.catalogue import Implementation, configs_folder
from ..config.document import Item
from ..config.experiment import SWEEP_KEYS, Experiment, json_schema, shown_path
from ..config.settings import SHOWN_ONLY
from ..errors import listed
from ..output import emit, printable
from ..results.rows import counted
from ..tables import exact
from .options import Load, switch, with_settings
from .printing import patience, say, say_next

_MOST = 6  # values of an axis that are all shown


@with_settings("notebook")
def config(
    load: Load,
    format: Literal["yaml", "json"] = Option("yaml", "--format", "-f", help="How to print."),
    schema: bool = switch("--schema", help="Print the JSON schema of a config, for editors."),
) -> None:
    if schema:
        emit(json.dumps(json_schema(), indent=2))
        return
    experiment = load(extra=SWEEP_KEYS)
    origins: dict[Implementation, dict[str, dict[Any, str]]] = {}  # of each value of a setting
    runs = set()
    with patience(f"going through every combination of {experiment.path.name} …", quiet=False):
        for implementation, settings in _combinations(experiment):
            runs.add(
                hash(
                    (
                        implementation,
                        *(item.value for name, item in settings.items() if name not in SHOWN_ONLY),
                    )
                )
            )
            own = origins.setdefault(implementation, {})
            for name, item in settings.items():
                own.setdefault(name, {}).setdefault(item.value, item.origin)
    for note in plan.notes(origins):
        say(f"note: {note}")
    shown = {
        each.name: {name: _with_origin(values) for name, values in own.items()}
        for each, own in origins.items()
    }
    if format == "json":
        emit(json.dumps(shown, indent=1))
        return
    for impl, values in shown.items():
        lines = {f"{name}: {_yaml(v['value'])}": v["origin"] for name, v in values.items()}
        width = max(map(len, lines))
        emit("\n".join([f"{impl}:", *(f"  {line:<{width}}  # {lines[line]}" for line in lines)]))
    if experiment.extra:
        axes = {n: len(v) for own in origins.values() for n, v in own.items() if len(v) > 1}
        counts = (f"{count} values of {name}" for name, count in axes.items())
        names = counted(len(shown), "implementation", "implementations")
        emit(f"# a sweep of {len(runs)} runs: {listed([names, *counts])}")
        ours = configs_folder() in experiment.path.resolve().parents
        file = experiment.path.stem if ours else shown_path(experiment.path)
        say_next([shlex.join(["twolayer", "sweep", file, "--plan"])], quiet=False)


def _combinations(experiment: Experiment) -> Iterable[tuple[Implementation, dict[str, Item]]]:
    """Each implementation with its settings; in a sweep, with every combination of them."""
    if experiment.extra:
        from ..config.sweep import Sweep  # imports NumPy

        return Sweep(experiment).combinations()
    return [(r.implementation, experiment.settings(r.name)) for r in plan.make(experiment)]


def _with_origin(origins: dict[Any, str]) -> dict[str, Any]:
    """The value of a setting, or all values of an axis, and where they come from."""
    value, *others = origins
    whole = [value, *others] if others else value
    return {"value": whole, "origin": printable(origins[value])}


def _yaml(value: Any) -> str:
    if not isinstance(value, list):
        return exact(value)
    words = list(map(exact, value))
    if len(words) > _MOST:
        words[_MOST // 2 : -1] = ["…"]
    return f"[{', '.join(words)}]"
