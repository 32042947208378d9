"""What a value may be: checked, in words for people, and in JSON schema for editors."""

import math
import operator
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

from ..errors import listed

Value = int | float | bool | str
LARGEST = 2**63 - 1
"""The largest whole number: what frameworks and files can hold."""


@dataclass(frozen=True)
class Rule:
    """`check` returns a value in its final type, or raises ValueError("must be …")."""

    metavar: str
    schema: dict[str, Any]
    check: Callable[[object], Any]


_LIMITS: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "minimum": ("{:g} or more", operator.ge),
    "exclusiveMinimum": ("greater than {:g}", operator.gt),
    "maximum": ("at most {:g}", operator.le),
    "exclusiveMaximum": ("less than {:g}", operator.lt),
}


def numeric(kind: type[int] | type[float], **limits: float) -> Rule:
    """A finite number within limits, named as in JSON schema; `1e3` counts as a whole number."""
    words = " and ".join(_LIMITS[name][0].format(limit) for name, limit in limits.items())
    if limits.keys() == {"minimum", "maximum"}:
        words = f"between {limits['minimum']} and {limits['maximum']}"
    noun = "whole" if kind is int else "finite"

    def check(value: Any) -> float:
        number = isinstance(value, Real) and not isinstance(value, bool)
        finite = number and abs(value) <= sys.float_info.max  # also of integers beyond floats
        if not finite or (kind is int and value != int(value)):
            raise ValueError(f"must be a {noun} number, {words}")
        if not all(_LIMITS[name][1](value, limit) for name, limit in limits.items()):
            raise ValueError(f"must be {words}")
        if kind is int and value > LARGEST:
            raise ValueError(f"must be at most {LARGEST}")
        return kind(value)

    schema = {"type": "integer" if kind is int else "number"} | limits
    return Rule("INTEGER" if kind is int else "NUMBER", schema, check)


def matching(metavar: str, pattern: str, allowed: str) -> Rule:
    """A string that a pattern matches whole."""

    def check(value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError(f"must be {allowed}")
        return value

    return Rule(metavar, {"type": "string", "pattern": f"^({pattern})$"}, check)


def choice(*words: str) -> Rule:
    """One of a few words; an `N` in one stands for a whole number."""
    metavar = "|".join(words)
    rule = matching(metavar, metavar.replace("N", r"\d+"), listed(words, "or"))
    return rule if "N" in metavar else replace(rule, schema={"enum": list(words)})


def auto_or(rule: Rule) -> Rule:
    """The word `auto`, or what another rule allows."""

    def check(value: object) -> Any:
        try:
            return value if value == "auto" else rule.check(value)
        except ValueError as error:
            raise ValueError(f"{error}, or auto") from None

    return Rule(f"auto|{rule.metavar}", {"anyOf": [{"const": "auto"}, rule.schema]}, check)


def quantity(noun: str, base: str, units: Mapping[str, float], example: str, most: str) -> Rule:
    """A number greater than 0, perhaps with a unit, such as `90`, `5m` or `2GiB`."""
    digits = r"[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?"

    def check(value: object) -> float:
        match = re.fullmatch(rf"({digits})\s*([a-zA-Z]*)", str(value).strip())
        number = float(match[1]) * units.get(match[2].lower(), math.nan) if match else math.nan
        if not number > 0:
            raise ValueError(f"must be a {noun} greater than 0, in {base} or like {example}")
        if number > float(most):
            raise ValueError(f"must be at most {most} {base}")
        return number

    either = "|".join("".join(f"[{c}{c.upper()}]" for c in unit) for unit in units)
    written = {"type": "string", "pattern": rf"^{digits}\s*({either})$"}
    number = {"type": "number", "exclusiveMinimum": 0, "maximum": float(most)}
    return Rule(noun.upper(), {"anyOf": [number, written]}, check)


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


_POWERS = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_BYTES = {letter + end: size for letter, size in _POWERS.items() for end in ("", "b", "ib")}

SWITCH = Rule("true|false", {"type": "boolean"}, _switch)
DURATION = quantity(
    "time", "seconds", {"": 1, "s": 1, "m": 60, "h": 3600}, "90s, 5m or 1h", most="1e9"
)
SIZE = quantity("size", "bytes", {"": 1, "b": 1, **_BYTES}, "500M or 2G", most="1e18")
NAME = matching(
    "NAME", "[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", "a name of letters, digits, _, - and . (100 at most)"
)
