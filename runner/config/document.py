"""YAML as people read it, with the line and column of everything in it.

PyYAML composes the nodes (its safe loader: nothing is ever constructed from a tag); scalars
follow YAML 1.2's core schema: `1e-6` is a number, `yes` and `on` are words.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, Mistake, UserError

if TYPE_CHECKING:
    import yaml

_WORDS: dict[str, float | bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}
_INT = re.compile(r"[-+]?[0-9][0-9_]*|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?")
_NO_SPACE = re.compile(r"\s*([A-Za-z_]\w*):([^\s:/\\]\S*)")
_MOST_DIGITS = 3500  # Python prints integers of up to 4300
_MOST_VALUES = 1_000_000  # an alias bomb unfolds to more; no real config comes near
_DEEPEST = 50


@dataclass(frozen=True)
class Item:
    """A plain value and where it comes from: `file:line:column`, an option or `default`.

    `parts` are the items of a list, by index, or of a mapping, by key; `size` counts all values
    within, aliases unfolded.
    """

    value: Any
    origin: str
    key_origin: str = ""
    parts: "dict[Any, Item]" = field(default_factory=dict)
    size: int = 1

    @property
    def members(self) -> "dict[str, Item]":
        """The values of a mapping; of anything else, none."""
        return self.parts if isinstance(self.value, dict) else {}

    @property
    def elements(self) -> "list[Item]":
        """The items of a list, or the one that is not in a list."""
        return list(self.parts.values()) if isinstance(self.value, list) else [self]


def scalar(text: str) -> int | float | bool | str | None:
    """The value of a plain YAML 1.2 scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        base = 0 if text[:2] in ("0o", "0x") else 10
        return int(text.replace("_", ""), base) if len(text) < _MOST_DIGITS else math.inf
    return float(text.replace("_", "")) if _FLOAT.fullmatch(text) else text


def spaced(text: object) -> str:
    """A hint for `lr:1e-3`, a key and its value run together; empty for other text."""
    match = _NO_SPACE.match(text) if isinstance(text, str) else None
    return f"; write `{match[1]}: {match[2]}`, with a space after the colon" if match else ""


def text_of(path: Path, name: str) -> str:
    """The text of a file. Raises UserError, or ConfigError with the place, if it has none."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode("utf-8", errors="replace")
        raise _refusal(_end_of(before, name), "is not UTF-8 text") from None
    except OSError as error:
        raise UserError(f"{name}: can't be read: {error.strerror}") from None


def parse(text: str, name: str) -> Item:
    """Read one YAML document; `name` is that of its file.

    Raises ConfigError, with every mistake and its place, if it is not YAML or has duplicate keys.
    """
    import yaml  # here, so that --help need not wait for it

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    reader = _Reader(name)
    try:
        reader.look(yaml.parse(text, Loader=loader))
        node = yaml.compose(text, Loader=loader)
        item = reader.item(node) if node else Item({}, f"{name}:1:1")
    except yaml.reader.ReaderError as error:
        place = _end_of(text[: error.position], name)
        raise _refusal(place, f"is not valid YAML: {error.reason}") from None
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(error, text, name) from None
    if item.size > _MOST_VALUES:
        raise _refusal(item.origin, f"must hold at most {_MOST_VALUES:,} values, aliases unfolded")
    if reader.mistakes:
        raise ConfigError(reader.mistakes)
    return item


def _refusal(place: str, message: str) -> ConfigError:
    return ConfigError([Mistake(place, "", message)])


def _mark(mark: "yaml.Mark | None", name: str) -> str:
    return f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name


def _end_of(text: str, name: str) -> str:
    *lines, last = text.split("\n")
    return f"{name}:{len(lines) + 1}:{len(last) + 1}"


def _not_yaml(error: "yaml.MarkedYAMLError", text: str, name: str) -> ConfigError:
    """Where YAML ends and why, in the words of its library unless the slip is known."""
    lines = dict(enumerate(text.split("\n"), start=1))
    marks = [mark for mark in (error.context_mark, error.problem_mark) if mark]
    for number in (mark.line + after for after in (1, 0) for mark in marks):
        line = lines.get(number, "")
        before, tab, _ = line[: len(line) - len(line.lstrip())].partition("\t")
        hint = ": indent with spaces, not with a tab" if tab else spaced(line)
        if hint:
            return _refusal(f"{name}:{number}:{len(before) + 1}", f"is not valid YAML{hint}")
    place = _mark(error.problem_mark or error.context_mark, name)
    return _refusal(place, f"is not valid YAML: {error.problem or error.context}")


class _Reader:
    """Makes an item of each node once, however often it is aliased."""

    def __init__(self, name: str) -> None:
        from yaml.constructor import SafeConstructor

        self.name = name
        self.mistakes: list[Mistake] = []
        self.items: dict[yaml.Node, Item | None] = {}
        self.merge = SafeConstructor().flatten_mapping  # puts what `<<` names before the rest

    def wrong(self, node: Any, key: str, message: str) -> None:
        self.mistakes.append(Mistake(_mark(node.start_mark, self.name), key, message))

    def look(self, events: Iterable[Any]) -> None:
        """Refuse tags, and depth before anything recurses into it."""
        depth = 0
        for event in events:
            kind = type(event).__name__
            depth += kind.endswith("StartEvent") - kind.endswith("EndEvent")
            if depth > _DEEPEST:
                raise _refusal(
                    _mark(event.start_mark, self.name), f"must be at most {_DEEPEST} levels deep"
                )
            if tag := getattr(event, "tag", None):
                tag = tag.replace("tag:yaml.org,2002:", "!!")
                self.wrong(event, "", f"must have no tag (got {tag})")

    def item(self, node: Any) -> Item:
        if node not in self.items:
            self.items[node] = None  # until it is made; what meets it before contains itself
            self.items[node] = self.make(node)
        if not (item := self.items[node]):
            place = _mark(node.start_mark, self.name)
            raise _refusal(place, "an alias can't contain itself")
        return item

    def make(self, node: Any) -> Item:
        place = _mark(node.start_mark, self.name)
        if node.id == "scalar":
            quoted = node.style in ("'", '"', "|", ">")
            return Item(node.value if quoted else scalar(node.value), place)
        listed = node.id == "sequence"
        parts = dict(enumerate(map(self.item, node.value))) if listed else self.mapping(node)
        value = {key: part.value for key, part in parts.items()}
        size = 1 + sum(part.size for part in parts.values())
        return Item(list(value.values()) if listed else value, place, "", parts, size)

    def mapping(self, node: Any) -> dict[str, Item]:
        places: dict[str, str] = {}
        for key, value in node.value:
            self.item(value)  # also what is merged, for its own mistakes
            place = _mark(key.start_mark, self.name)
            if key.id != "scalar":
                self.wrong(key, "", "a key must be a word")
            elif key.value != "<<" and places.setdefault(key.value, place) != place:
                first = places[key.value].removeprefix(f"{self.name}:")
                self.wrong(key, key.value, f"is set twice (first at {first}); keep one")
        self.merge(node)
        return {
            str(key.value): replace(self.item(value), key_origin=_mark(key.start_mark, self.name))
            for key, value in node.value
        }
