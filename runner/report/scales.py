"""How values become places on an axis: what range to show, and where its ticks are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .chart import Series

HEADROOM = 0.15
"""How far above the others a diverging curve is followed, as a part of the axis."""


@dataclass(frozen=True)
class Scale:
    """An axis from `low` to `high`; neither is negative or 0 if it is logarithmic."""

    low: float
    high: float
    log: bool = False

    def place(self, value: float) -> float:
        """0 at the low end, 1 at the high end; what lies beyond is beyond."""
        low, high, at = (self._bent(v) for v in (self.low, self.high, value))
        return (at - low) / (high - low)

    def value(self, place: float) -> float:
        """What lies there: the inverse of `place`."""
        low, high = self._bent(self.low), self._bent(self.high)
        at = low + place * (high - low)
        return 10.0**at if self.log else at

    def _bent(self, value: float) -> float:
        return math.log10(value) if self.log else value

    def ticks(self, count: int) -> list[float]:
        """At most about `count` round values: powers of ten where there are enough of them."""
        if self.log:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            step = max(1, math.ceil((last - first + 1) / max(1, count)))
            if last > first:
                first += -first % step  # so that 1e0 is one of them where it is in sight
                return [10.0**power for power in range(first, last + 1, step)]
        return self._even(count)

    def _even(self, count: int) -> list[float]:
        """Multiples of 1, 2 or 5 times a power of ten."""
        rough = (self.high - self.low) / max(1, count)
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [step * number for number in range(first, last + 1)]


def drawable(series: Series, log_y: bool) -> list[tuple[float, float]]:
    """The points of a curve that have a place: finite and, for a logarithm, above 0."""
    return [
        (x, y)
        for x, y in zip(series.x, series.y, strict=True)
        if y is not None and math.isfinite(y) and (y > 0 or not log_y)
    ]


def across(all_series: Sequence[Series], log_x: bool) -> Scale:
    """The x axis that all of them fit on."""
    return _around((x for each in all_series for x in each.x), log_x)


def up(all_series: Sequence[Series], log_y: bool) -> Scale:
    """The y axis: all of the curves, but only the beginning of the way to infinity of some.

    A curve that diverges reaches 1e38 or 1e308 and would leave the others a line at the bottom.
    """
    heights = [(each, _heights(each, log_y)) for each in all_series]
    calm = [y for each, ys in heights for y in (ys[:1] if "diverged" in each.ending else ys)]
    whole = _around((y for _, ys in heights for y in ys), log_y)
    if not calm:
        return whole
    shown = Scale(whole.low, _around(calm, log_y).high, log_y)
    return Scale(whole.low, min(whole.high, _above(shown)), log_y) if log_y else whole


def _heights(series: Series, log_y: bool) -> list[float]:
    """Where a curve and the ends of its intervals are, in the order of x."""
    there = {x for x, _ in drawable(series, log_y)}
    ends = zip(series.x, series.low, series.high, strict=False)
    intervals = [end for x, low, high in ends if x in there for end in (low, high)]
    return [*(y for _, y in drawable(series, log_y)), *intervals]


def _above(scale: Scale) -> float:
    decades = math.log10(scale.high / scale.low)
    return float(scale.high * 10 ** max(1.0, HEADROOM * decades))


def _around(values: Iterable[float], log: bool) -> Scale:
    """The scale from the lowest to the highest; a little around it if they are the same."""
    found = [value for value in values if math.isfinite(value) and (value > 0 or not log)]
    low, high = (min(found), max(found)) if found else (1.0, 10.0)
    if low < high:
        return Scale(low, high, log)
    return Scale(low / 2, high * 2, log) if log else Scale(low - 0.5, high + 0.5)
