"""What a value may be, said once: checked, described to people, and written as JSON schema."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from numbers import Real
from typing import Any, TypeGuard

Value = int | float | bool | str


class Rule:
    """What a setting may be. `check` returns the value as it will be used."""

    metavar = "VALUE"

    def check(self, value: object) -> Value:
        """Return `value` in its final type, or raise ValueError("must be …")."""
        raise NotImplementedError

    def schema(self) -> dict[str, Any]:
        """Return the rule in JSON schema."""
        raise NotImplementedError


def _is_finite(value: object) -> TypeGuard[int | float]:
    try:
        return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer that is larger than any float
        return False


class Whole(Rule):
    """A whole number from `minimum` up to `maximum`, if there is one; `1e3` counts as 1000.

    None is larger than a 64-bit integer, which is what frameworks and files can hold.
    """

    metavar = "INTEGER"
    largest = 2**63 - 1

    def __init__(self, minimum: int, maximum: int | None = None) -> None:
        self.minimum, self.maximum = minimum, maximum

    def check(self, value: object) -> int:
        limits = f"{self.minimum} or more"
        if self.maximum is not None:
            limits = f"between {self.minimum} and {self.maximum}"
        if not _is_finite(value) or value != int(value):
            raise ValueError(f"must be a whole number, {limits}")
        number = int(value)
        if number < self.minimum or (self.maximum is not None and number > self.maximum):
            raise ValueError(f"must be {limits}")
        if number > self.largest:
            raise ValueError(f"must be at most {self.largest}")
        return number

    def schema(self) -> dict[str, Any]:
        schema = {"type": "integer", "minimum": self.minimum}
        return schema if self.maximum is None else schema | {"maximum": self.maximum}


class Number(Rule):
    """A finite number, greater than `above` or at least `minimum`, and less than `below`."""

    metavar = "NUMBER"

    def __init__(
        self,
        above: float | None = None,
        minimum: float | None = None,
        below: float | None = None,
    ) -> None:
        self.above, self.minimum, self.below = above, minimum, below

    def _limits(self) -> str:
        limits = []
        if self.above is not None:
            limits.append(f"greater than {self.above:g}")
        if self.minimum is not None:
            limits.append(f"{self.minimum:g} or more")
        if self.below is not None:
            limits.append(f"less than {self.below:g}")
        return " and ".join(limits)

    def check(self, value: object) -> float:
        if not _is_finite(value):
            raise ValueError(f"must be a finite number, {self._limits()}")
        number = float(value)
        inside = (
            (self.above is None or number > self.above)
            and (self.minimum is None or number >= self.minimum)
            and (self.below is None or number < self.below)
        )
        if not inside:
            raise ValueError(f"must be {self._limits()}")
        return number

    def schema(self) -> dict[str, Any]:
        limits = {
            "exclusiveMinimum": self.above,
            "minimum": self.minimum,
            "exclusiveMaximum": self.below,
        }
        return {"type": "number"} | {k: v for k, v in limits.items() if v is not None}


class Switch(Rule):
    """true or false."""

    metavar = "true|false"

    def check(self, value: object) -> bool:
        if not isinstance(value, bool):
            raise ValueError("must be true or false")
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


class Choice(Rule):
    """One of a few words, or a word of the form `pattern` (shown to people as `form`)."""

    def __init__(self, *words: str, pattern: str = "", form: str = "") -> None:
        self.words, self.pattern = words, pattern
        self.shown = [*words, form] if form else [*words]
        self.metavar = "|".join(self.shown)

    def check(self, value: object) -> str:
        word = isinstance(value, str) and (
            value in self.words or bool(self.pattern and re.fullmatch(self.pattern, value))
        )
        if not word:
            *most, last = self.shown
            raise ValueError(f"must be {', '.join(most)} or {last}")
        return str(value)

    def schema(self) -> dict[str, Any]:
        if not self.pattern:
            return {"enum": list(self.words)}
        return {"type": "string", "pattern": f"^({'|'.join(self.words)}|{self.pattern})$"}


class AutoOr(Rule):
    """The word `auto`, or what another rule allows."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.metavar = f"auto|{rule.metavar}"

    def check(self, value: object) -> Value:
        if value == "auto":
            return "auto"
        try:
            return self.rule.check(value)
        except ValueError as error:
            raise ValueError(f"{error}, or auto") from None

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [{"const": "auto"}, self.rule.schema()]}


class Quantity(Rule):
    """A number greater than 0 with an optional unit, such as `90`, `5m` or `2GiB`."""

    metavar = "QUANTITY"
    number = r"[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?"

    def __init__(self, units: Mapping[str, float], example: str) -> None:
        self.units, self.example = units, example

    def check(self, value: object) -> float:
        text = str(value).strip()
        match = re.fullmatch(rf"({self.number})\s*([a-zA-Z]*)", text)
        unit = self.units.get(match[2].lower()) if match else None
        number = float(match[1]) * unit if match and unit else math.nan
        if isinstance(value, bool) or not 0 < number < math.inf:
            raise ValueError(f"must be greater than 0, {self.example}")
        return number

    def schema(self) -> dict[str, Any]:
        either = ("".join(f"[{c}{c.upper()}]" for c in unit) for unit in self.units if unit)
        number = {"type": "number", "exclusiveMinimum": 0}
        text = {"type": "string", "pattern": f"^{self.number}\\s*({'|'.join(either)})?$"}
        return {"anyOf": [number, text]}


DURATION = Quantity({"": 1, "s": 1, "m": 60, "h": 3600}, "in seconds or like 90s, 5m or 1h")
_POWERS = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
SIZE = Quantity(
    {"": 1, "b": 1}
    | {letter + end: size for letter, size in _POWERS.items() for end in ("", "b", "ib")},
    "in bytes or like 500M or 2G",
)


class Name(Rule):
    """A name that can be a folder."""

    metavar = "NAME"

    def check(self, value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(
            r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", value
        ):
            raise ValueError("must be a name of letters, digits, _, - and . (100 at most)")
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"}
