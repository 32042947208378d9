"""What is kept of one run: the fields of result.json, and the losses beside it."""

import json
import math
from dataclasses import dataclass, field, is_dataclass
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Self, get_args, get_origin, get_type_hints

from ..errors import one_line
from ..output import MOODS

SCHEMA = 1
FAILURES = tuple(outcome for outcome, mood in MOODS.items() if mood == "bad")
FINISHED = ("ok", "diverged")  # outcomes of runs that came to their end by themselves


@dataclass
class Record:
    """One run, finished one way or another. Times in seconds, sizes in bytes."""

    impl: str
    outcome: str  # ok, diverged, failed, timeout, crashed, out_of_memory or interrupted
    config: dict[str, Any]  # the resolved settings
    error: dict[str, Any] | None = None  # type, message, traceback and signal
    epochs_done: int = 0  # steps whose loss was finite
    final_loss: float | None = None  # the last finite loss, taken before that step's update
    import_s: float | None = None  # of its frameworks and of its own file
    setup_s: float | None = None  # from the call of train(cfg) to its first step
    train_s: float | None = None  # from the first step until the final weights are on the host
    step_us: dict[str, float] | None = None  # median, p10 and p90; None if no step was timed
    peak_bytes: int | None = None  # most memory resident at once
    start_bytes: int | None = None  # of it before train(cfg)
    device: str | None = None
    threads: int | None = None
    computed_dtype: str | None = None  # the type it computed in, if it is not that in `config`
    notes: list[str] = field(default_factory=list)  # sentences to show beside the numbers above
    gpu: dict[str, str] | None = None
    framework: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    git: dict[str, Any] | None = None
    source: str = ""
    source_sha256: dict[str, str] = field(default_factory=dict)  # of local files that it executes
    also_loaded: dict[str, str] = field(default_factory=dict)  # of others, that no import shows
    key: str = ""
    neighbours: int | None = None  # other runs under way: times with and without don't compare
    invocation: str = ""  # which call of twolayer it was part of
    command: str = ""  # that call, as a line for a shell
    config_file: str = ""  # the file it ran, as given; empty if it comes with twolayer
    started_at: str = ""
    schema: int = SCHEMA
    losses: list[float] = field(default_factory=list)  # one per epoch; the last may not be finite
    log: str = ""  # what it printed (its beginning and end, if that was much)
    folder: Path = Path()  # where it is stored

    def summary(self) -> dict[str, Any]:
        """The fields of result.json."""
        values = {"schema": self.schema} | vars(self)
        beside = ("losses", "log", "folder")
        return {name: value for name, value in values.items() if name not in beside}

    def full(self) -> dict[str, Any]:
        """The fields of result.json and the losses; one that is not finite is None."""
        losses = [loss if math.isfinite(loss) else None for loss in self.losses]
        return self.summary() | {"losses": losses}

    @classmethod
    def parse(cls, text: str) -> Self:
        """The record in the text of a result.json. Raises ValueError or TypeError if there is none.

        Fields that are missing have their defaults; unknown ones are left out.
        """
        values = json.loads(text, parse_float=_number, parse_int=_number, parse_constant=_number)
        if isinstance(values, dict) and isinstance(sha256 := values.get("source_sha256"), str):
            values["source_sha256"] = {f"{values.get('impl')}.py": sha256}  # as it once was
        record: Self = checked(cls, values)
        if record.error and not record.error.keys() >= {"type", "message", "traceback"}:
            raise ValueError(record.error)
        return record

    @property
    def age(self) -> tuple[str, int, str]:
        """Sorts attempts from the oldest to the newest."""
        name = self.folder.name
        return self.started_at, len(name), name

    @property
    def step_us_median(self) -> float | None:
        return (self.step_us or {}).get("median")

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


def _number(text: str) -> float:
    """A number of a result.json, none of which is infinite or beyond a float64."""
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text} is not finite")
    return int(text) if text.lstrip("-").isdigit() else number


@cache
def _form(kind: Any) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """A type without its arguments, these, and the fields of a dataclass."""
    fields = get_type_hints(kind) if is_dataclass(kind) else {}
    return get_origin(kind) or kind, get_args(kind), fields


def checked(kind: Any, value: Any) -> Any:
    """A value of JSON as an annotated type. Raises ValueError or TypeError if it is none."""
    origin, parts, fields = _form(kind)
    if origin is UnionType:  # that of something and None
        return None if value is None else checked(parts[0], value)
    if fields and isinstance(value, dict):
        return kind(**{n: checked(fields[n], each) for n, each in value.items() if n in fields})
    if origin is list and isinstance(value, list):
        return [checked(parts[0], each) for each in value]
    if origin is tuple and isinstance(value, list):
        return tuple(checked(part, each) for part, each in zip(parts, value, strict=True))
    number = isinstance(value, int | float) and math.isfinite(value)
    if not (number if origin is float else isinstance(value, origin)):
        raise ValueError(value)
    return value
