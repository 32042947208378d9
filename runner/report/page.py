"""An experiment as one HTML file: it opens from disk, fetches nothing, and can be sent on.

Its Content-Security-Policy allows the two scripts in it, known by their hashes, and nothing
from anywhere else, so that a name or a log can't do harm even if it were not escaped.
"""

import base64
import hashlib
import os
import re
from contextlib import suppress
from dataclasses import replace
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from .. import __version__, files
from ..errors import UserError
from ..output import MOODS
from ..results import rows as results
from ..results import tables as record_tables
from ..results.store import whole
from ..tables import Table
from . import facts
from .chart import Chart
from .data import charts
from .material import Material
from .plot import check_file
from .spec import DARK, Frame, Spec, standalone, views

MOST_RUNS = 40  # up to so many runs are listed with all that is known of them
TYPE_SIZE = 12
LABEL, ROW, CELL, HEIGHT = 16, 28, 30, 360
"""Heights in pixels: of a line of a label, a row, a cell, and of other plots at least."""


def write_report(material: Material, path: Path) -> Path:
    """Write the report; it appears whole or not at all.

    Raises UserError if there is nothing to report, or where it can't be written.
    """
    check_file(path, path)
    files.write(path, page(material).encode(errors="replace"))
    return path


def page(material: Material) -> str:
    """The report. Raises UserError if there is nothing to report."""
    if not material.runs and not material.bench:
        raise UserError(f"{material.store.folder}: holds no finished run and no bench")
    import vl_convert
    from jinja2 import Environment, StrictUndefined

    drawn = charts(material)
    order = sorted(drawn.items(), key=lambda item: item[0] != "sweep")
    sections = [(key, chart, _specs(chart)) for key, chart in order]
    figures = [vl_convert.vegalite_to_vega(spec) for *_, specs in sections for spec in specs]
    dark = DARK | {s.look.light: s.look.dark for each in drawn.values() for s in each.series}
    scripts = [_vega(), _resource("js")]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    environment.filters["prose"] = _prose
    html = environment.from_string(_resource("html")).render(
        material=material,
        facts=facts,
        sections=sections,
        figures={"figures": figures, "dark": dark},
        runs=_runs_table(material),
        scripts=scripts,
        hashes=[f"'sha256-{base64.b64encode(_digest(script)).decode()}'" for script in scripts],
        style=_resource("css"),
        version=__version__,
        moods=MOODS,
    )
    return str(html)


def _prose(text: str) -> Any:
    """Text in which `words` are code, as HTML."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"`(.*?)`", r"<code>\1</code>", str(escape(text))))


def _resource(kind: str) -> str:
    return resources.files(__package__).joinpath(f"page.{kind}").read_text(encoding="utf-8")


def _digest(script: str) -> bytes:
    return hashlib.sha256(script.encode()).digest()


def _vega() -> str:
    """The libraries that draw in a browser, kept for next time: to bundle them takes seconds."""
    import vl_convert

    with suppress(OSError, RuntimeError, ValueError):
        digest, _, content = _kept().read_bytes().partition(b"\n")
        script = content.decode()
        if digest.decode() == _digest(script).hex():
            return script
    script = str(vl_convert.javascript_bundle())  # type: ignore[call-arg]  # it has a default
    with suppress(OSError, RuntimeError, UserError):
        _kept().parent.mkdir(parents=True, exist_ok=True)
        files.write(_kept(), f"{_digest(script).hex()}\n{script}")
    return script


def _kept() -> Path:
    """The file of these. Raises RuntimeError if there is no home."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    folder = (cache if cache.is_absolute() else Path.home() / ".cache") / "twolayer"
    return folder / f"vega-{metadata.version('vl-convert-python')}.js"


def _specs(chart: Chart) -> list[Spec]:
    """The figures of a chart, whose width is that of the window."""
    height = max(HEIGHT, LABEL * sum(2 + bool(each.ending) for each in chart.series))
    if chart.kind == "intervals":
        height = ROW * len(chart.series)
    elif chart.kind == "heat":
        height = CELL * max(len(grid.rows) for grid in chart.grids)
    frame = Frame(600, height, TYPE_SIZE, page=True)
    fit = {"autosize": {"type": "fit-x", "contains": "padding"}}
    return [standalone(view | fit, frame) for view in views(chart, frame)]


def _runs_table(material: Material) -> Table:
    if len(material.runs) > MOST_RUNS:
        return results.table(material.rows, results.default_columns(material.rows))
    runs = [replace(whole(run), impl=material.label(run)) for run in material.runs]
    return record_tables.summary(runs, verbose=True)
