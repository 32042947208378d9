"""Conditions such as `lr < 1e-4 and outcome == "ok"`, parsed into a tree, never run as code.

The grammar is a part of Python's: comparisons (also chained, and `in` a list), and, or, not,
names, numbers, words in quotes, true, false and null.
"""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import UserError, nearest
from ..tables import shortened

Condition = Callable[[Mapping[str, Any]], bool]

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda value, values: value in values,
    ast.NotIn: lambda value, values: value not in values,
}
_WORDS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_LONGEST = 2000
_SHOWN = 200


def parse(text: str, known: list[str], option: str) -> Condition:
    """The condition that `text` states about the columns in `known`.

    Comparing what can't be compared (a word with a number, a missing value) is false. Raises
    UserError, naming the option, if the text is no condition or uses an unknown name.
    """
    if len(text) > _LONGEST:
        raise UserError(f"{option}: must be at most {_LONGEST} characters (got {len(text)})")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # `1or x` is no condition, and no matter for Python
            tree = ast.parse(text.strip(), mode="eval")
        return _Parser(option, known).condition(tree.body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        shown = shortened(repr(text), _SHOWN)
        raise UserError(f"{option} {shown}: is not a condition such as lr < 1e-4") from None


class _Parser:
    def __init__(self, option: str, known: list[str]) -> None:
        self.option = option
        self.known = known

    def refuse(self, node: ast.AST) -> UserError:
        shown = shortened(ast.unparse(node), _SHOWN)
        return UserError(
            f"{self.option}: can't use {shown!r}; conditions compare columns with values, "
            'as in lr < 1e-4 and outcome == "ok"'
        )

    def condition(self, node: ast.expr) -> Condition:
        if isinstance(node, ast.BoolOp):
            parts = [self.condition(value) for value in node.values]
            join = all if isinstance(node.op, ast.And) else any
            return lambda row: join(part(row) for part in parts)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            inner = self.condition(node.operand)
            return lambda row: not inner(row)
        if isinstance(node, ast.Compare):
            return self.comparison(node)
        if isinstance(node, ast.Name):
            value = self.value(node)
            return lambda row: value(row) is True
        raise self.refuse(node)

    def comparison(self, node: ast.Compare) -> Condition:
        values = [self.value(each) for each in (node.left, *node.comparators)]
        tests = [_COMPARISONS.get(type(op)) for op in node.ops]
        if None in tests:
            raise self.refuse(node)
        steps = list(zip(values, tests, values[1:], strict=False))
        return lambda row: all(
            _holds(test, left(row), right(row)) for left, test, right in steps if test
        )

    def value(self, node: ast.expr) -> Callable[[Mapping[str, Any]], Any]:
        if isinstance(node, ast.Name) and node.id not in _WORDS:
            return self.column(node.id)
        constant = self.constant(node)
        return lambda row: constant

    def column(self, name: str) -> Callable[[Mapping[str, Any]], Any]:
        if name not in self.known:
            hint = nearest(name, self.known) or f"; known are {', '.join(self.known)}"
            raise UserError(f"{self.option}: {name} is not a column{hint}")
        return lambda row: row.get(name)

    def constant(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Name) and node.id in _WORDS:
            return _WORDS[node.id]
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float | str | None):
            return node.value
        if isinstance(node, ast.List | ast.Tuple):
            return [self.constant(each) for each in node.elts]
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            value = self.constant(node.operand)
            if isinstance(value, int | float):
                return -value
        raise self.refuse(node)


def _holds(test: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
    try:
        return bool(test(left, right))
    except TypeError:
        return False
