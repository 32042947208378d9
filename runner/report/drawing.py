"""What all figures share: their style, their size, and files that are whole and always the same."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError, listed
from ..files import appearing
from .chart import Look

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")

DASHES = ("-", (0, (5, 1.5)), (0, (4, 1.2, 1, 1.2)), (0, (1.2, 1.2)), (0, (7, 1.2, 1, 1.2, 1, 1.2)))
"""Numbers into these are the `dash` of a look; `marker` is one into MARKERS."""

MARKERS = ("o", "s", "^", "D", "v", "P", "<", ">")

MARKED: dict[str, Any] = {"markevery": None, "markeredgecolor": "white", "markeredgewidth": 0.3}
"""What is added to `line` to show its marker at every point."""

INK = "#222222"
INCHES = {"in": 1.0, "cm": 1 / 2.54, "mm": 1 / 25.4, "pt": 1 / 72.27}
"""Units of lengths in inches; pt is TeX's, as in what \\the\\columnwidth prints."""


@dataclass(frozen=True)
class Size:
    """Width and height in inches (None: what the content needs); `type_size` in pt."""

    width: float
    height: float | None
    type_size: float

    @property
    def line_height(self) -> float:
        """Of a line of text, in inches."""
        return 1.3 * self.type_size / 72


SIZES = {"column": Size(3.5, None, 8), "page": Size(7.0, None, 8), "slide": Size(13.333, 7.5, 20)}
"""One column of a paper, its whole width, and a slide of 16:9."""


def length(text: str, option: str) -> float:
    """`84mm` in inches. Raises UserError, naming the option, if it is no length."""
    found = re.fullmatch(r"(\d+\.?\d*|\.\d+) ?(in|cm|mm|pt)", text.strip())
    inches = float(found[1]) * INCHES[found[2]] if found else 0.0
    if not 1 <= inches <= 50:
        raise UserError(f"{option} {text}: give a length from 1in to 50in, such as 84mm or 3.3in")
    return inches


def check_file(path: Path, option: str) -> None:
    """Find out before the work whether a figure can be written there. Raises UserError if not."""
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"{option} {path}: must end in {listed(SUFFIXES, 'or')}")
    if path.is_dir():
        raise UserError(f"{option} {path}: is a folder; give a file in it")
    if path.exists() and not path.is_file():
        raise UserError(f"{option} {path}: is not a regular file")
    if not path.parent.is_dir():
        raise UserError(f"{option} {path}: there is no folder {path.parent}; make it first")
    if find_spec("matplotlib") is None:
        raise UserError(f"{option} {path}: needs matplotlib; pip install 'twolayer[plot]'")


@contextlib.contextmanager
def style(type_size: float = 8.0) -> Iterator[None]:
    """Make and save figures in our style inside of this, whatever the user's own is."""
    from matplotlib import style as styles

    line = type_size / 8
    ours = {
        "font.size": type_size,
        "axes.titlesize": type_size,
        "axes.labelsize": type_size,
        "xtick.labelsize": 0.9 * type_size,
        "ytick.labelsize": 0.9 * type_size,
        "legend.fontsize": 0.9 * type_size,
        "legend.frameon": False,
        "lines.linewidth": 1.1 * line,
        "lines.markersize": 3.2 * line,
        "axes.linewidth": 0.6 * line,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#e6e6e6",
        "grid.linewidth": 0.5 * line,
        "savefig.dpi": 300 if type_size < 12 else 150,
        "svg.fonttype": "none",  # text stays text
        "svg.hashsalt": "twolayer",  # ids are random without one
        "pdf.fonttype": 42,
    }
    ours |= {f"{axis}tick.{k}.width": 0.6 * line for axis in "xy" for k in ("major", "minor")}
    ours |= {f"{axis}tick.major.size": 3.0 * line for axis in "xy"}
    ours |= {f"{axis}tick.minor.size": 1.5 * line for axis in "xy"}
    with styles.context(["default", ours]):
        yield


def line(look: Look) -> dict[str, Any]:
    """How a curve of that look is drawn, on white; its marker at no point."""
    dash, marker = DASHES[look.dash % len(DASHES)], MARKERS[look.marker % len(MARKERS)]
    return {"color": look.light, "linestyle": dash, "marker": marker, "markevery": []}


def words(text: str) -> str:
    """Text as it is: a dollar begins no formula."""
    return text.replace("$", r"\$")


@contextlib.contextmanager
def crowding() -> Iterator[None]:
    """Turn the warning that nothing but labels has found room into a UserError."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "constrained_layout not applied")
        try:
            yield
        except UserWarning:
            raise UserError(
                "the figure is too small for its labels; give a larger --size, --width or --height"
            ) from None


def save(figure: Figure, path: Path, option: str, title: str) -> None:
    """Write a figure, whole or not at all, and without the date, so that its bytes are the same.

    What is at the path is replaced. Raises UserError, naming the option, if it can't be written.
    """
    form = path.suffix.lower().removeprefix(".")
    dates: dict[str, dict[str, str | None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with appearing(path, f"{option} {path}") as temporary:
        figure.savefig(temporary, format=form, metadata={"Title": title} | dates.get(form, {}))
