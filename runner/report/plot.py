"""Charts as figures for papers and slides: PNG, SVG or PDF by vl-convert (the extra `plot`)."""

import re
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from ..errors import UserError, listed
from ..files import write
from .chart import Chart
from .spec import TOO_SMALL, Frame, Spec, legend_shape, standalone, views

SUFFIXES = (".png", ".svg", ".pdf")
INCHES = {"in": 1.0, "cm": 1 / 2.54, "mm": 1 / 25.4, "pt": 1 / 72.27}  # pt as in \the\columnwidth
PANEL = 2.3  # the least width of a panel of a heat map, in inches
FEWEST = 9, 3  # a plot is at least this many times as wide and as high as its type


@dataclass(frozen=True)
class Size:
    """Width and height in inches (None: what the content needs); `type_size` in pt."""

    width: float
    height: float | None
    type_size: float
    legend: bool = False  # below the plot, in place of names at the ends of curves


SIZES = {"column": Size(3.5, None, 8), "page": Size(7.0, None, 8), "slide": Size(13.333, 7.5, 20)}
"""One column of a paper, its whole width, and a slide of 16:9."""


def length(text: str, option: str) -> float:
    """`84mm` in inches. Raises UserError, naming the option, if it is no length."""
    match = re.fullmatch(r"(\d+\.?\d*|\.\d+) ?(in|cm|mm|pt)", text.strip())
    inches = float(match[1]) * INCHES[match[2]] if match else 0.0
    if not 1 <= inches <= 50:
        raise UserError(f"{option} {text}: give a length from 1in to 50in, such as 84mm or 3.3in")
    return inches


def check_figure(path: Path, name: str) -> None:
    """Find out before the work whether a figure can be written there. Raises UserError if not."""
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"{name}: must end in {listed(SUFFIXES, 'or')}")
    check_file(path, name)
    check_installed("plot", name, "vl_convert")


def check_file(path: Path, name: object) -> None:
    """The same of any file, whatever it is called. Raises UserError."""
    if path.is_dir():
        raise UserError(f"{name}: is a folder; give a file in it")
    if path.exists() and not path.is_file():  # /dev/null would be a file from then on
        raise UserError(f"{name}: is not a regular file")
    if not path.parent.is_dir():
        raise UserError(f"{name}: there is no folder {path.parent}; make it first")


def check_installed(extra: str, name: str, *modules: str) -> None:
    """Raise UserError where one of the modules, which come with an extra, is not installed."""
    for module in modules:
        if find_spec(module) is None:
            package = module.replace("_", "-")
            raise UserError(f"{name}: needs {package}; pip install 'twolayer[{extra}]'")


def save_figure(chart: Chart, path: Path, size: Size) -> tuple[float, float]:
    """Write a chart to a file ending in .png, .svg or .pdf; returns its width and height in inches.

    What is at the path is replaced, by a whole file or not at all. Raises UserError if it can't
    be written, or if the labels leave no room for the chart.
    """
    if size.legend and chart.kind != "lines":
        raise UserError(f"--legend: {chart.title} has no curves to name; leave it out")
    if chart.kind == "lines" and not any(each.points for each in chart.series):
        raise UserError(f"{chart.title}: there is no value to draw")
    across = max(1, min(len(chart.grids), int(size.width // PANEL)))
    down = max(1, -(-len(chart.grids) // across))
    height = size.height or _height(chart, size, down)
    content = _rendered(_fitted(chart, size, height, across, down), path.suffix.lower(), size)
    write(path, content, f"--out {path}")
    return size.width, height


def _height(chart: Chart, size: Size, down: int) -> float:
    """What the content needs, in inches, with so many grids one below the other."""
    line = 1.3 * size.type_size / 72
    if chart.kind == "heat":
        rows = max(len(grid.rows) for grid in chart.grids)
        return max(down * (1.9 * rows + 5) * line, 0.3 * size.width)
    if chart.kind == "intervals":
        return (1.25 * len(chart.series) + 4.5) * line
    if size.legend:
        rows = legend_shape(chart, 0.8 * 72 * size.width, size.type_size)[1]
        return 0.6 * min(size.width, 5.0) + (rows + 1) * line
    lines = sum(1 + bool(each.ending) for each in chart.series)
    return max(0.68 * min(size.width, 5.0), (lines + 4) * line)


def _fitted(chart: Chart, size: Size, height: float, across: int, down: int) -> Spec:
    """The chart at that size: what is beside the plot is measured, and the plot gets the rest."""
    import vl_convert

    width, height = 72 * size.width, 72 * height
    frame = Frame(0.6 * width / across, 0.8 * height / down, size.type_size, legend=size.legend)
    for _ in range(3):
        parts = views(chart, frame)
        whole = parts[0] if len(parts) == 1 else {"concat": parts, "columns": across}
        spec = standalone(whole, frame)
        measured = vl_convert.vegalite_to_scenegraph(spec)
        wider, higher = width - measured["width"], height - measured["height"]
        if max(abs(wider), abs(higher)) < 0.1:
            break
        wide, high = frame.width + wider / across, frame.height + higher / down
        if min(wide / FEWEST[0], high / FEWEST[1]) < size.type_size:
            raise UserError(TOO_SMALL)
        frame = replace(frame, width=wide, height=high)
    return spec


def _rendered(spec: Spec, suffix: str, size: Size) -> bytes:
    import vl_convert

    if suffix == ".png":
        return vl_convert.vegalite_to_png(spec, ppi=300 if size.type_size < 12 else 150)
    if suffix == ".pdf":
        return vl_convert.vegalite_to_pdf(spec)
    svg = vl_convert.vegalite_to_svg(spec)
    return re.sub(r'(<svg[^>]*? width="[\d.]+)(" height="[\d.]+)"', r'\1pt\2pt"', svg).encode()
