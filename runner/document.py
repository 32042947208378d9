"""YAML as people read it, with the line and column of everything in it.

PyYAML composes the nodes (its safe loader: nothing is ever constructed from a tag); the
scalars follow YAML 1.2's core schema, so `1e-6` is a number and `yes` and `on` are words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ConfigError, Mistake, UserError

if TYPE_CHECKING:
    import yaml

_NULL = re.compile(r"~|null|Null|NULL|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9][0-9_]*")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_MOST_NODES = 1_000_000  # an alias bomb unfolds to more; no real config comes near


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
        return int(text.replace("_", "")) if len(text) < 4000 else float("inf")
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
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: is not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise UserError(f"{name}: can't be read: {error.strerror}") from None
    return parse(text, name)


def parse(text: str, name: str) -> Item:
    """`read`, from a string."""
    import yaml  # here, so that --help need not wait for it

    try:
        node = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ConfigError([Mistake(_place(error, name), "", _problem(error))]) from None
    reader = _Reader(name)
    item = Item({}, f"{name}:1:1") if node is None else reader.item(node, ())
    if reader.mistakes:
        raise ConfigError(reader.mistakes)
    return item


def _place(error: yaml.YAMLError, name: str) -> str:
    mark = getattr(error, "problem_mark", None)
    return f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name


def _problem(error: yaml.YAMLError) -> str:
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or error
    return f"is not valid YAML: {str(problem).splitlines()[0]}"


class _Reader:
    def __init__(self, name: str) -> None:
        self.name = name
        self.mistakes: list[Mistake] = []
        self.nodes = 0

    def origin(self, node: yaml.Node) -> str:
        return f"{self.name}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"

    def item(self, node: Any, above: tuple[yaml.Node, ...]) -> Item:
        self.nodes += 1
        if any(node is parent for parent in above):
            raise ConfigError([Mistake(self.origin(node), "", "an alias can't contain itself")])
        if self.nodes > _MOST_NODES or len(above) > 50:
            raise ConfigError([Mistake(self.origin(node), "", "is too large or nested too deep")])
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
        if node.tag.startswith("!"):
            message = f"tags such as {node.tag} are not used here"
            self.mistakes.append(Mistake(self.origin(node), "", message))
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
            if key == "<<" and isinstance(item.value, dict):
                merged |= item.value
            elif key in values:
                first = values[key].key_origin.removeprefix(f"{self.name}:")
                message = f"is set twice (first at {first}); keep one"
                self.mistakes.append(Mistake(origin, key, message))
            else:
                values[key] = Item(item.value, item.origin, origin)
        return merged | values
