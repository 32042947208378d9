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
from ..errors import listed
from ..output import emit, printable
from ..tables import exact
from .options import Load, switch, with_settings
from .printing import patience, say

FORMAT = Option("yaml", "--format", "-f", help="How to print.")
_MOST = 6  # values of an axis that are all shown

Settings = dict[str, dict[Any, Item]]
"""Every value of each setting: one, or those that a sweep gives it."""


@with_settings("notebook")
def config(
    load: Load,
    format: Literal["yaml", "json"] = FORMAT,
    schema: bool = switch("--schema", help="Print the JSON schema of a config, for editors."),
) -> None:
    if schema:
        emit(json.dumps(json_schema(), indent=2))
        return
    experiment = load(extra=SWEEP_KEYS)
    shown: dict[Implementation, Settings] = {}
    runs = set()
    with patience(f"going through every combination of {experiment.path.name} …", quiet=False):
        for implementation, settings in _combinations(experiment):
            runs.add(hash((implementation, *(item.value for item in settings.values()))))
            own = shown.setdefault(implementation, {})
            for name, item in settings.items():
                own.setdefault(name, {}).setdefault(item.value, item)
    for note in plan.notes(shown):
        say(f"note: {note}")
    if format == "json":
        whole = {i.name: {n: _data(v) for n, v in own.items()} for i, own in shown.items()}
        emit(json.dumps(whole, indent=1))
        return
    for implementation, own in shown.items():
        emit(f"{printable(implementation.name)}:")
        lines = dict(_line(*setting) for setting in own.items())
        width = max(map(len, lines))
        for line, origin in lines.items():
            emit(printable(f"  {line:<{width}}  # {origin}"))
    if experiment.extra:
        _say_size(experiment, len(runs), shown)


def _combinations(experiment: Experiment) -> Iterable[tuple[Implementation, dict[str, Item]]]:
    """Each implementation with its settings; in a sweep, with every combination of them."""
    if experiment.extra:
        from ..config.sweep import Sweep  # imports NumPy

        return Sweep(experiment).combinations()
    return [(r.implementation, experiment.settings(r.name)) for r in plan.make(experiment)]


def _data(values: dict[Any, Item]) -> dict[str, Any]:
    origin = next(iter(values.values())).origin
    what = {"values": [*values]} if len(values) > 1 else {"value": next(iter(values))}
    return what | {"origin": origin}


def _line(name: str, values: dict[Any, Item]) -> tuple[str, str]:
    """A setting as YAML, and where it comes from."""
    words, origin = list(map(exact, values)), next(iter(values.values())).origin
    if len(words) == 1:
        return f"{name}: {words[0]}", origin
    if len(words) > _MOST:
        words[_MOST // 2 : -1] = ["…"]
    return f"{name}: [{', '.join(words)}]", f"{len(values)} values, {origin}"


def _say_size(experiment: Experiment, runs: int, shown: dict[Implementation, Settings]) -> None:
    """How many runs a sweep has, and of what."""
    counts = {n: len(v) for own in shown.values() for n, v in own.items() if len(v) > 1}
    parts = [f"{len(shown)} implementation{'s' * (len(shown) > 1)}"]
    parts += [f"{count} values of {name}" for name, count in counts.items()]
    emit(f"# a sweep of {runs} runs: {listed(parts)}")
    ours = configs_folder() in experiment.path.resolve().parents
    file = experiment.path.stem if ours else shown_path(experiment.path)
    say(f"next: {shlex.join(['twolayer', 'sweep', file, '--plan'])}")
