"""An experiment as one HTML file: it opens from disk, fetches nothing, and can be sent on.

Its Content-Security-Policy allows the two scripts in it, known by their hashes, and nothing
from anywhere else, so that a name or a log can't do harm even if it were not escaped.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from .. import __version__
from ..bench.measurement import latest
from ..errors import UserError
from ..results import rows as results
from ..results import tables as record_tables
from ..results.store import Store, temporary_name
from ..tables import Table, number
from . import facts as report_facts
from . import figures as report_figures
from .chart import Chart, Series
from .data import others
from .material import Material, gather, whole
from .parity import Held, drawn, judged

OPEN_ROWS = 16
"""Tables of up to so many rows stand open."""

MOST_RUNS = 40
"""Up to so many runs are listed with all that is known of them."""


@dataclass(frozen=True)
class Section:
    """A chart on the page: its figures by number, and what can be switched off in it."""

    chart: Chart
    figures: list[int]
    keys: list[Series]
    legend: dict[str, str] | None = None

    @property
    def open(self) -> bool:
        return len(self.chart.table.rows) <= OPEN_ROWS


def write(store: Store, path: Path | None = None) -> Path:
    """Write the report of an experiment to `report.html` in its folder, or to `path`.

    It appears whole or not at all. Raises UserError if there is nothing to report, if what
    draws it is not installed, or where it can't be written.
    """
    path = path or store.folder / "report.html"
    if path.exists() and not path.is_file():  # /dev/null would be a file from then on
        raise UserError(f"{path}: can't be written: it is not a regular file")
    text = page(gather(store, latest(store.folder)))
    temporary = path.parent / temporary_name()
    try:
        temporary.write_bytes(text.encode(errors="replace"))
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise UserError(f"{path}: can't be written: {error.strerror}") from None
    return path


def page(material: Material) -> str:
    """The report. Raises UserError if there is nothing to report."""
    if not material.runs and not material.bench:
        raise UserError(f"{material.store.folder}: holds no finished run and no bench")
    template = _template()
    held = judged(material)
    sections, figures = _sections(_charts(material, held))
    scripts = {"plotly": report_figures.plotly_js(), "page": _resource("js")}
    troubles, troubled = report_facts.troubles(material)
    html = template.render(
        material=material,
        verdict=report_facts.verdict(material, held),
        sections=sections,
        figures=_embedded(figures),
        runs=_runs(material),
        troubles=troubles,
        troubled=troubled,
        environment=report_facts.environment(material),
        commands=report_facts.commands(material),
        scripts=scripts,
        hashes=[_hash(script) for script in scripts.values()],
        style=_resource("css"),
        version=__version__,
        marks=MARKS,
        dashes=DASHES,
    )
    return str(html)


def _template() -> Any:
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError:
        raise UserError("report: needs jinja2; pip install 'twolayer[report]'") from None
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["prose"] = _prose
    return environment.from_string(_resource("html"))


def _prose(text: str) -> Any:
    """Text in which `words` are code, as HTML."""
    from markupsafe import Markup, escape

    parts = text.split("`")
    marked = (f"<code>{escape(p)}</code>" if i % 2 else escape(p) for i, p in enumerate(parts))
    return Markup("").join(map(Markup, marked))


def _resource(kind: str) -> str:
    return files(__package__).joinpath(f"page.{kind}").read_text(encoding="utf-8")


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _embedded(value: object) -> str:
    """JSON that can stand in a <script>: nothing in it ends that, or a line of JavaScript."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


# --- its parts


def _charts(material: Material, held: Held) -> list[Chart]:
    """The charts, that of a sweep first."""
    found = {chart.key: chart for chart in others(material)}
    if parity := drawn(material, held):
        found["parity"] = parity
    order = ("sweep", "losses", "parity", "steps", "scale")
    return [found[key] for key in order if key in found]


def _sections(charts: Sequence[Chart]) -> tuple[list[Section], list[dict[str, Any]]]:
    """The sections, and the figures that they refer to."""
    sections: list[Section] = []
    figures: list[dict[str, Any]] = []
    for chart in charts:
        made = report_figures.figures(chart)
        numbers = list(range(len(figures), len(figures) + len(made)))
        figures += [figure | {"kind": chart.kind, "yLabel": chart.y_label} for figure in made]
        keys = chart.series if chart.kind in ("lines", "parallel") and len(chart.series) > 1 else []
        sections.append(Section(chart, numbers, keys, _legend(chart)))
    return sections, figures


def _legend(chart: Chart) -> dict[str, str] | None:
    """The scale of colours that heat maps share."""
    limits = report_figures.heat_limits(chart) if chart.kind == "heat" else None
    if limits is None:
        return None
    low, high = (number(limit, 1) for limit in limits)
    return {"low": low, "high": high, "stops": ", ".join(report_figures.STOPS)}


def _runs(material: Material) -> Table:
    if len(material.runs) > MOST_RUNS:
        return results.table(material.rows, results.default_columns(material.rows))
    return record_tables.summary([replace(whole(r), impl=material.label(r)) for r in material.runs])


DASHES = ("", "7 4", "2 3", "7 3 2 3", "12 4")
"""The dashes of curves, for the keys that switch them."""

MARKS = (
    "M19 8a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z",
    "M19.5 5h6v6h-6z",
    "M22.5 3.5l4.5 4.5l-4.5 4.5l-4.5 -4.5z",
    "M22.5 3.8l4.2 7.2h-8.4z",
    "M21 4h3v2.5h2.5v3h-2.5v2.5h-3v-2.5h-2.5v-3h2.5z",
    "M22.5 12.2l4.2 -7.2h-8.4z",
    "M22.5 3l1.5 3.5l3.7 .3l-2.8 2.4l.9 3.7l-3.3 -2l-3.3 2l.9 -3.7l-2.8 -2.4l3.7 -.3z",
    "M20.5 4.5h4l2 3.5l-2 3.5h-4l-2 -3.5z",
)
"""The markers of curves, for the same, in a box of 45 by 16."""
