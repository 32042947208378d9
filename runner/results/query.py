"""Conditions such as `lr < 1e-4 and outcome == "ok"`, parsed into a tree, never run as code.

The grammar is a part of Python's: comparisons (also chained, and `in` a list), and, or, not,
names, numbers, words in quotes, true, false and null.
"""

import ast
import operator
import re
import warnings
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from ..errors import UserError
from ..tables import shortened
from .rows import TYPES, check_column

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
_WORDS = {"true": True, "false": False, "null": None}
_LONGEST, _SHOWN = 2000, 200


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
            tree = ast.parse(text.strip(), mode="eval").body
        condition = _condition(tree)
    except _RefusedError as error:
        raise UserError(
            f"{option}: can't use {error}; conditions compare columns with values, "
            'as in lr < 1e-4 and outcome == "ok"'
        ) from None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        shown = shortened(repr(text), _SHOWN)
        hint = "; write == to compare" if re.search(r"[^=<>!]=[^=]", text) else ""
        message = f"is not a condition such as lr < 1e-4{hint}"
        raise UserError(f"{option} {shown}: {message}") from None
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            _check_quotes(node, known, option)
        if isinstance(node, ast.Name) and node.id not in _WORDS:
            check_column(node.id, option, known)
    return condition


def _check_quotes(comparison: ast.Compare, known: list[str], option: str) -> None:
    """Raise UserError where a column of words is compared with a word that is no column."""
    names = [node.id for node in ast.walk(comparison) if isinstance(node, ast.Name)]
    words = [name for name in names if name in known and TYPES[name] is str]
    for value in names:
        if words and value not in (*known, *_WORDS):
            what = f"{option}: {value!r} is not a column; if it is a value"
            raise UserError(f'{what}, write {words[0]} == "{value}"')


class _RefusedError(Exception):
    def __init__(self, node: ast.expr) -> None:
        super().__init__(repr(shortened(ast.unparse(node), _SHOWN)))


def _condition(node: ast.expr) -> Condition:
    match node:
        case ast.BoolOp(op=op, values=values):
            parts, join = list(map(_condition, values)), all if isinstance(op, ast.And) else any
            return lambda row: join(part(row) for part in parts)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            inner = _condition(operand)
            return lambda row: not inner(row)
        case ast.Compare(ops=ops) if _COMPARISONS.keys() >= {type(op) for op in ops}:
            sides = [_value(side) for side in (node.left, *node.comparators)]
            steps = [
                (_COMPARISONS[type(op)], *two) for op, two in zip(ops, pairwise(sides), strict=True)
            ]
            return lambda row: all(_holds(test, a(row), b(row)) for test, a, b in steps)
        case ast.Name():
            value = _value(node)
            return lambda row: value(row) is True
    raise _RefusedError(node)


def _value(node: ast.expr) -> Callable[[Mapping[str, Any]], Any]:
    match node:
        case ast.Name(id=name):
            return lambda row: _WORDS[name] if name in _WORDS else row.get(name)
        case ast.List(elts=items) | ast.Tuple(elts=items):
            values = list(map(_value, items))
            return lambda row: [value(row) for value in values]
        case ast.Constant(value=int() | float() | str() | None as constant):
            return lambda row: constant
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return lambda row: -number
    raise _RefusedError(node)


def _holds(test: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
    try:
        return bool(test(left, right))
    except TypeError:
        return False
