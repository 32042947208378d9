"""YAML as people read it, with the line and column of everything in it.

PyYAML composes the nodes (its safe loader: nothing is ever constructed from a tag); the
scalars follow YAML 1.2's core schema, so `1e-6` is a number and `yes` and `on` are words.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, Mistake, UserError

if TYPE_CHECKING:
    import yaml

_NULL = re.compile(r"~|null|Null|NULL|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9][0-9_]*")
_OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_NO_SPACE = re.compile(r"\s*([A-Za-z_]\w*):([^\s:/\\]\S*)")
_MOST_DIGITS = 3500  # Python prints integers of up to 4300
_MOST_NODES = 1_000_000  # an alias bomb unfolds to more; no real config comes near
_DEEPEST = 50


@dataclass(frozen=True)
class Item:
    """A value and where it stands: `origin` is `file:line:column`.

    `value` is a scalar, a list of Items, or a dict from key to Item whose `key_origin`
    says where the key stands.
    """

    value: Any
    origin: str
    key_origin: str = ""

    def plain(self) -> Any:
        """The value without origins."""
        if isinstance(self.value, dict):
            return {key: item.plain() for key, item in self.value.items()}
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        return self.value


def scalar(text: str) -> int | float | bool | str | None:
    """The value of a plain YAML 1.2 scalar."""
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text):
        return True
    if _FALSE.fullmatch(text):
        return False
    if _INT.fullmatch(text):
        return int(text.replace("_", "")) if len(text) < _MOST_DIGITS else math.inf
    if _OTHER_BASE.fullmatch(text):
        return int(text, 0) if len(text) < _MOST_DIGITS else math.inf
    if _FLOAT.fullmatch(text):
        return float(text.replace("_", ""))
    if special := _SPECIAL.fullmatch(text):
        return float("nan") if special[3] else float(f"{special[1]}inf")
    return text


def read(path: Path, shown: str | None = None) -> Item:
    """Read one YAML document.

    Raises UserError if the file can't be read and ConfigError, with every mistake and its
    place, if it is not YAML or has duplicate keys. `shown` names the file in messages.
    """
    name = shown or str(path)
    return parse(text_of(path, name), name)


def text_of(path: Path, name: str) -> str:
    """The text of a file. Raises UserError, or ConfigError with the place, if it has none."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode("utf-8", errors="replace")
        raise ConfigError([Mistake(_at(before, name), "", "is not UTF-8 text")]) from None
    except OSError as error:
        raise UserError(f"{name}: can't be read: {error.strerror}") from None


def parse(text: str, name: str) -> Item:
    """`read`, from a string."""
    import yaml  # here, so that --help need not wait for it

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    reader = _Reader(name)
    try:
        for event in yaml.parse(text, Loader=loader):
            reader.look(event)
        node = yaml.compose(text, Loader=loader)
    except yaml.reader.ReaderError as error:
        place = _at(text[: error.position], name)
        raise ConfigError([Mistake(place, "", f"is not valid YAML: {error.reason}")]) from None
    except yaml.MarkedYAMLError as error:
        raise ConfigError([_not_yaml(error, text, reader)]) from None
    item = Item({}, f"{name}:1:1") if node is None else reader.item(node, ())
    if reader.mistakes:
        raise ConfigError(dict.fromkeys(reader.mistakes))
    return item


def _not_yaml(error: yaml.MarkedYAMLError, text: str, reader: _Reader) -> Mistake:
    """What to say where YAML ends, in the words of its library unless the slip is known."""
    lines = dict(enumerate(text.split("\n"), start=1))
    marks = [mark for mark in (error.context_mark, error.problem_mark) if mark]
    for number in (mark.line + after for after in (1, 0) for mark in marks):
        line = lines.get(number, "")
        indent = line[: len(line) - len(line.lstrip())]
        if "\t" in indent:
            place = f"{reader.name}:{number}:{1 + indent.index(chr(9))}"
            return Mistake(place, "", "is not valid YAML: indent with spaces, not with a tab")
        if hint := spaced(line):
            place = f"{reader.name}:{number}:{len(indent) + 1}"
            return Mistake(place, "", f"is not valid YAML{hint}")
    place = reader.place(error.problem_mark or error.context_mark)
    return Mistake(place, "", f"is not valid YAML: {error.problem or error.context}")


def spaced(text: object) -> str:
    """What to say of `lr:1e-3`, a key and its value run together; of other text nothing."""
    found = _NO_SPACE.match(text) if isinstance(text, str) else None
    return f"; write `{found[1]}: {found[2]}`, with a space after the colon" if found else ""


def _at(before: str, name: str) -> str:
    """The place behind some text, as `file:line:column`."""
    *lines, last = before.split("\n")
    return f"{name}:{len(lines) + 1}:{len(last) + 1}"


class _Reader:
    def __init__(self, name: str) -> None:
        self.name = name
        self.mistakes: list[Mistake] = []
        self.nodes = 0
        self.depth = 0

    def place(self, mark: Any) -> str:
        return f"{self.name}:{mark.line + 1}:{mark.column + 1}" if mark else self.name

    def origin(self, node: yaml.Node) -> str:
        return self.place(node.start_mark)

    def look(self, event: Any) -> None:
        """Refuse tags, and depth before anything recurses into it."""
        kind = type(event).__name__
        self.depth += kind.endswith("StartEvent") - kind.endswith("EndEvent")
        if self.depth > _DEEPEST:
            raise ConfigError([Mistake(self.place(event.start_mark), "", "is nested too deep")])
        if tag := getattr(event, "tag", None):
            shown = tag.replace("tag:yaml.org,2002:", "!!")
            message = f"tags such as {shown} are not used here"
            self.mistakes.append(Mistake(self.place(event.start_mark), "", message))

    def item(self, node: Any, above: tuple[yaml.Node, ...]) -> Item:
        self.nodes += 1
        if any(node is parent for parent in above):
            raise ConfigError([Mistake(self.origin(node), "", "an alias can't contain itself")])
        if self.nodes > _MOST_NODES:
            raise ConfigError([Mistake(self.origin(node), "", "is too large")])
        within = (*above, node)
        value: Any
        if node.id == "mapping":
            value = self.mapping(node, within)
        elif node.id == "scalar":
            value = self.scalar(node)
        else:
            value = [self.item(child, within) for child in node.value]
        return Item(value, self.origin(node))

    def scalar(self, node: Any) -> Any:
        if node.style in ("'", '"', "|", ">"):
            return node.value
        return scalar(node.value)

    def mapping(self, node: Any, within: tuple[yaml.Node, ...]) -> dict[str, Item]:
        values: dict[str, Item] = {}
        merged: dict[str, Item] = {}
        for key_node, value_node in node.value:
            key, origin = str(key_node.value), self.origin(key_node)
            if key_node.id != "scalar":
                self.mistakes.append(Mistake(origin, "", "a key must be a word"))
                continue
            item = self.item(value_node, within)
            if key == "<<":
                merged = self.merge(item) | merged
            elif key in values:
                first = values[key].key_origin.removeprefix(f"{self.name}:")
                message = f"is set twice (first at {first}); keep one"
                self.mistakes.append(Mistake(origin, key, message))
            else:
                values[key] = Item(item.value, item.origin, origin)
        return merged | values

    def merge(self, item: Item) -> dict[str, Item]:
        """What `<<` brings in: a mapping, or a list of them of which the first wins."""
        found: dict[str, Item] = {}
        for each in item.value if isinstance(item.value, list) else [item]:
            if isinstance(each.value, dict):
                found = each.value | found
            else:
                message = "must be an alias of a mapping, or a list of them"
                self.mistakes.append(Mistake(each.origin, "<<", message))
        return found
