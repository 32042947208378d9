"""How series are drawn: the hue tells the framework; shade, dash and marker the variant."""

from __future__ import annotations

from collections.abc import Mapping

from ..config import catalogue
from .chart import Look

Shades = tuple[tuple[str, str], ...]

HUES: dict[str, Shades] = {
    "numpy": (("#00457c", "#9ad2fb"), ("#2a72b5", "#4f9fd6")),
    "torch": (("#c25400", "#ff8f3f"), ("#7a3500", "#ffc79c")),
    "tensorflow": (("#1b8354", "#2bb183"), ("#00472c", "#a5ecd0")),
    "jax": (("#b83f96", "#d66fbb"), ("#6d1f58", "#f6c6e6")),
    "python": (("#3a3f44", "#e4e2dc"), ("#6b7178", "#9aa2aa")),
}
"""Shades of each framework, for a light and a dark background.

Hues near Okabe and Ito's, with lightness to tell them apart where an eye sees no hue. Each
stands out from its background as text has to, at least 4.5 to 1.
"""

OTHERS: tuple[Shades, ...] = (
    (("#806200", "#e9c33a"), ("#4a3900", "#f5e3a1")),
    (("#6a51c8", "#b3a2ff"), ("#3b2c80", "#dcd4ff")),
)
"""Those of frameworks that we don't know, in the order in which they come."""

DASHES = 5
MARKERS = 8


def looks(frameworks: Mapping[str, str]) -> dict[str, Look]:
    """A look for each series, given by name with its framework; 40 of a framework all differ.

    A built-in implementation looks the same in every chart; other names take the places
    that are left in their framework.
    """
    places = _places(frameworks)
    unknown = [name for name in dict.fromkeys(frameworks.values()) if name not in HUES]
    return {
        name: _look(_shades(framework, unknown), places[name])
        for name, framework in frameworks.items()
    }


def _shades(framework: str, unknown: list[str]) -> Shades:
    return HUES.get(framework) or OTHERS[unknown.index(framework) % len(OTHERS)]


def _look(shades: Shades, place: int) -> Look:
    light, dark = shades[place % len(shades)]
    return Look(light, dark, place % DASHES, place % MARKERS)


def _places(frameworks: Mapping[str, str]) -> dict[str, int]:
    """Which of its framework's variants each name is."""
    built_in = _built_in_places()
    places = {name: built_in[name] for name in frameworks if name in built_in}
    taken = {(frameworks[name], place) for name, place in places.items()}
    for name, framework in frameworks.items():
        if name not in places:
            places[name] = next(i for i in range(len(taken) + 1) if (framework, i) not in taken)
            taken.add((framework, places[name]))
    return places


def _built_in_places() -> dict[str, int]:
    counts: dict[str, int] = {}
    places = {}
    for each in catalogue.installed():
        if each.origin == "built in":
            places[each.name] = counts.get(each.framework, 0)
            counts[each.framework] = places[each.name] + 1
    return places
