"""An experiment as one HTML file: it opens from disk, fetches nothing, and can be sent on.

Its Content-Security-Policy allows the two scripts in it, known by their hashes, and nothing
from anywhere else, so that a name or a log can't do harm even if it were not escaped.
"""

import base64
import hashlib
import json
import re
from dataclasses import replace
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .. import __version__, files
from ..bench.measurement import latest
from ..errors import UserError
from ..output import MOODS
from ..results import rows as results
from ..results import tables as record_tables
from ..results.store import Store, whole
from ..tables import Table
from . import facts
from .chart import DASHES, MARKERS, Chart
from .data import charts
from .material import Material, gather
from .spec import DARK, Frame, standalone, views

MOST_RUNS = 40
"""Up to so many runs are listed with all that is known of them."""

TYPE_SIZE = 12
LABEL, ROW, CELL, HEIGHT = 16, 28, 30, 360
"""Heights in pixels: of a line of a label, a row, a cell, and of other plots at least."""


def write(store: Store, path: Path | None = None) -> Path:
    """Write the report of an experiment to `report.html` in its folder, or to `path`.

    It appears whole or not at all. Raises UserError if there is nothing to report, if what
    draws it is not installed, or where it can't be written.
    """
    path = path or store.folder / "report.html"
    if path.exists() and not path.is_file():  # /dev/null would be a file from then on
        raise UserError(f"{path}: can't be written: it is not a regular file")
    if not path.parent.is_dir():  # said before the work, not after
        raise UserError(f"{path}: there is no folder {path.parent}; make it first")
    text = page(gather(store, latest(store.folder)))
    files.write(path, text.encode(errors="replace"))
    return path


def page(material: Material) -> str:
    """The report. Raises UserError if there is nothing to report."""
    if not material.runs and not material.bench:
        raise UserError(f"{material.store.folder}: holds no finished run and no bench")
    template, vl_convert = _libraries()
    drawn = charts(material)
    order = sorted(drawn, key=lambda key: key != "sweep")
    sections = [(key, drawn[key], _specs(drawn[key])) for key in order]
    figures = [vl_convert.vegalite_to_vega(spec) for *_, specs in sections for spec in specs]
    dark = DARK | {s.look.light: s.look.dark for each in drawn.values() for s in each.series}
    scripts = [_vega(vl_convert), _resource("js")]
    mood, sentences = facts.verdict(material)
    troubles, troubled = facts.troubles(material)
    html = template.render(
        material=material,
        mood=mood,
        sentences=sentences,
        sections=sections,
        figures=_embedded({"figures": figures, "dark": dark}),
        runs=_runs_table(material),
        troubles=troubles,
        troubled=troubled,
        environment=facts.environment(material),
        commands=facts.commands(material),
        scripts=scripts,
        hashes=map(_hash, scripts),
        style=_resource("css"),
        version=__version__,
        dashes=[" ".join(f"{2 * part:g}" for part in dash) for dash in DASHES],
        markers=MARKERS,
        moods=MOODS,
    )
    return str(html)


def _libraries() -> tuple[Any, Any]:
    """The template and vl-convert. Raises UserError where what they need is not installed."""
    for module, package in (("jinja2", "jinja2"), ("vl_convert", "vl-convert")):
        if find_spec(module) is None:
            raise UserError(f"report: needs {package}; pip install 'twolayer[report]'")
    import vl_convert
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["prose"] = _prose
    return environment.from_string(_resource("html")), vl_convert


def _prose(text: str) -> Any:
    """Text in which `words` are code, as HTML."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"`(.*?)`", r"<code>\1</code>", str(escape(text))))


def _resource(kind: str) -> str:
    return resources.files(__package__).joinpath(f"page.{kind}").read_text(encoding="utf-8")


def _vega(vl_convert: Any) -> str:
    """The libraries that draw in a browser, as vl-convert puts them into its own pages."""
    html = vl_convert.vega_to_html({}, bundle=True)
    match = re.search(r"<script[^>]*>(.*?)</script>", html, re.DOTALL)
    assert match
    return match[1].replace("\r\n", "\n")


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _embedded(value: object) -> str:
    """JSON that can stand in a <script>: nothing in it ends that, or a line of JavaScript."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _specs(chart: Chart) -> list[dict[str, Any]]:
    """The figures of a chart, whose width is that of the window."""
    heights = {
        "intervals": ROW * len(chart.series),
        "heat": CELL * max((len(grid.rows) for grid in chart.grids), default=0),
    }
    lines = max(HEIGHT, LABEL * sum(2 + bool(s.ending) for s in chart.series))
    frame = Frame(600, heights.get(chart.kind, lines), TYPE_SIZE, page=True)
    fit = {"autosize": {"type": "fit-x", "contains": "padding"}}
    return [standalone(view | fit, frame) for view in views(chart, frame)]


def _runs_table(material: Material) -> Table:
    if len(material.runs) > MOST_RUNS:
        return results.table(material.rows, results.default_columns(material.rows))
    runs = [replace(whole(run), impl=material.label(run)) for run in material.runs]
    return record_tables.summary(runs)
