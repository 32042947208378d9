"""`twolayer list`: the implementations, and what each can honour."""

import sys

from .. import packages
from ..config import catalogue, frameworks
from ..config.catalogue import Implementation
from ..config.settings import OPTIONAL
from ..errors import UserError
from ..output import emit


def list() -> None:  # noqa: A001 (a command's function has its name)
    rows, unreadable = [], [f"{problem}; it is left out" for problem in catalogue.problems()]
    for item in catalogue.installed():
        try:
            rows.append(_described(item))
        except UserError as error:
            unreadable.append(f"{item.name}: {error}")
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        emit("  ".join(map(str.ljust, row, widths)).rstrip())
    for reason in unreadable:
        emit(reason, sys.stderr)


def _described(item: Implementation) -> tuple[str, ...]:
    hints = "; ".join(map(frameworks.install_hint, item.missing()))
    version = hints or f"{item.framework} {packages.version(item.framework)}"
    honoured = ", ".join(name for name in OPTIONAL if item.honours(name))
    return item.name, version, "/".join(item.devices), honoured or "-", item.title
