"""What is kept of one run: the fields of result.json, and the losses beside it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from functools import cache
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from ..errors import one_line

SCHEMA = 1
FAILURES = ("failed", "crashed", "timeout", "out_of_memory")
ERROR = {"type", "message", "traceback"}


@dataclass
class Record:
    """One run, finished one way or another. Times in seconds, sizes in bytes.

    Attributes:
        outcome: ok, diverged, failed, timeout, crashed, out_of_memory or interrupted.
        error: None, or type, message, traceback and signal.
        config: the resolved settings.
        epochs_done: steps whose loss was finite.
        final_loss: the last finite loss, taken before that step's update.
        import_s: import of its frameworks and of its own file.
        setup_s: from the call of train(cfg) to its first step.
        train_s: from the first step until the final weights are on the host.
        step_us: median, p10 and p90 of the time of a step, in µs; None if no step was timed.
        computed_dtype: the type that it computed in, if that is not the one in `config`.
        notes: sentences to be shown beside the numbers above.
        peak_bytes: most memory resident at once; start_bytes of it before train(cfg).
        source_sha256: the hash of each local file that it executes, by its path from the first.
        also_loaded: the same of files that it loaded although its source does not show it.
        neighbours: how many other runs were under way; times with and without don't compare.
        invocation: which call of twolayer it was part of.
        command: that call, as a line for a shell.
        config_file: the file that it ran, as it was given; empty if it comes with twolayer.
        losses: one per epoch; a diverged run's end with the one that is not finite.
        log: what it printed (its beginning and end, if that was much).
    """

    impl: str
    outcome: str
    config: dict[str, Any]
    error: dict[str, Any] | None = None
    epochs_done: int = 0
    final_loss: float | None = None
    import_s: float | None = None
    setup_s: float | None = None
    train_s: float | None = None
    step_us: dict[str, float] | None = None
    peak_bytes: int | None = None
    start_bytes: int | None = None
    device: str | None = None
    threads: int | None = None
    computed_dtype: str | None = None
    notes: list[str] = field(default_factory=list)
    gpu: dict[str, str] | None = None
    framework: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    git: dict[str, Any] | None = None
    source: str = ""
    source_sha256: dict[str, str] = field(default_factory=dict)
    also_loaded: dict[str, str] = field(default_factory=dict)
    key: str = ""
    neighbours: int | None = None
    invocation: str = ""
    command: str = ""
    config_file: str = ""
    started_at: str = ""
    schema: int = SCHEMA
    losses: list[float] = field(default_factory=list)
    log: str = ""

    def summary(self) -> dict[str, Any]:
        """The fields of result.json."""
        values = {name: getattr(self, name) for name in _types()}
        return {"schema": values.pop("schema"), **values}

    def full(self) -> dict[str, Any]:
        """The fields of result.json and the losses; one that is not finite is None."""
        losses = [loss if math.isfinite(loss) else None for loss in self.losses]
        return self.summary() | {"losses": losses}

    @classmethod
    def parse(cls, text: str) -> Record:
        """The record in the text of a result.json. Raises ValueError if there is none.

        Fields that are missing have their defaults; unknown ones are left out.
        """
        values = json.loads(text, parse_float=_number, parse_int=_number, parse_constant=_number)
        if not isinstance(values, dict) or not {"impl", "outcome", "config"} <= values.keys():
            raise ValueError("is not a record")
        if isinstance(sha256 := values.get("source_sha256"), str):  # of one file, as it once was
            values["source_sha256"] = {f"{values['impl']}.py": sha256}
        known = {name: values[name] for name in _types() if name in values}
        typed = all(isinstance(value, _types()[name]) for name, value in known.items())
        if not typed or (known.get("error") and not known["error"].keys() >= ERROR):
            raise ValueError("is not a record")
        return cls(**known)

    @property
    def fell(self) -> bool:
        """Whether the last loss is below the first."""
        return len(self.losses) > 1 and self.losses[-1] < self.losses[0]

    @property
    def reason(self) -> str:
        """Why the run did not end as ok, in one line."""
        if self.error:
            return one_line(self.error)
        return "" if self.outcome == "ok" else f"stopped at epoch {self.epochs_done}"


@cache
def _types() -> dict[str, tuple[type, ...]]:
    """The fields of result.json and their classes; a whole number serves as a float."""
    types = {}
    for name, hint in get_type_hints(Record).items():
        parts = get_args(hint) if isinstance(hint, UnionType) else (hint,)
        classes = {get_origin(part) or part for part in parts}
        types[name] = tuple(classes | {int} if float in classes else classes)
    del types["losses"], types["log"]
    return types


def _number(text: str) -> float:
    """A number of a result.json, none of which is infinite or beyond a float64."""
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text} is not finite")
    return int(text) if text.lstrip("-").isdigit() else number
