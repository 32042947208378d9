"""How values become places on an axis: what range to show, and where its ticks are."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from ..results.rows import shown
from .chart import Series

HEADROOM = 0.15  # how far above the others a diverging curve is followed, as a part of the axis
PLAIN = 5  # numbers of up to so many characters are written without an exponent


@dataclass(frozen=True)
class Scale:
    """An axis from `low` to `high`; neither is negative or 0 if it is logarithmic."""

    low: float
    high: float
    log: bool = False

    def place(self, value: float) -> float:
        """0 at the low end, 1 at the high end; what lies beyond is beyond."""
        low, high, at = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return (at - low) / (high - low)

    def value(self, place: float) -> float:
        """What lies there: the inverse of `place`."""
        if self.log:
            power = (1 - place) * math.log10(self.low) + place * math.log10(self.high)
            return float(10 ** min(max(power, -307), 308))
        return self.low + place * (self.high - self.low)

    def ticks(self, count: int) -> list[float]:
        """At most about `count` round values: powers of ten where there are enough of them."""
        if self.log:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            step = max(1, math.ceil((last - first + 1) / count))
            if last > first:
                first += -first % step  # so that 1e0 is one of them where it is in sight
                return [10.0**power for power in range(first, last + 1, step)]
        rough = (self.high - self.low) / count
        power = 10.0 ** math.floor(math.log10(rough))
        size = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
        first, last = math.ceil(self.low / size - 1e-9), math.floor(self.high / size + 1e-9)
        return [size * number for number in range(first, last + 1)]

    def beyond(self, low: float, high: float) -> "Scale":
        """The same from a little below to a little above, in parts of its length."""
        return Scale(self.value(-low), self.value(1 + high), self.log)


def wide(values: Iterable[float | None]) -> bool:
    """Whether numbers ask for a logarithmic axis."""
    numbers = [value for value in values if value is not None]
    return bool(numbers) and min(numbers) > 0 and max(numbers) / min(numbers) >= 10


def around(values: Iterable[float | None], log: bool) -> Scale:
    """The scale from the lowest to the highest; a little around it if they are the same."""
    numbers = [float(v) for v in values if v is not None and (v > 0 or not log)]
    low, high = min(numbers, default=1.0), max(numbers, default=10.0)
    if low < high:
        return Scale(low, high, log)
    return Scale(low / 2, high * 2, log) if log else Scale(low - 0.5, high + 0.5)


def axes(series: Sequence[Series], log_x: bool, log_y: bool) -> tuple[Scale, Scale]:
    """What the curves fit on, but only the beginning of the way to infinity of some.

    A curve that diverges reaches 1e38 or 1e308 and would leave the others a line at the bottom.
    """
    heights = [[*(y for _, y in each.points), *chain(*each.bars.values())] for each in series]
    x, whole = around((x for each in series for x in each.x), log_x), around(chain(*heights), log_y)
    if not log_y:
        return x, whole
    ends = [1 if "diverged" in each.ending else None for each in series]
    calm = chain(*(own[:end] for own, end in zip(heights, ends, strict=True)))
    high = around(calm, log_y).high
    top = high * 10 ** max(1.0, HEADROOM * math.log10(high / whole.low))
    return x, Scale(whole.low, min(whole.high, top), log_y)


def distinct_texts(name: str, values: Sequence[Any]) -> list[str]:
    """Values with as few digits as tell them apart."""
    if not all(isinstance(value, float) for value in values):
        return [shown(name, value) for value in values]
    tries = ([brief(value, digits) for value in values] for digits in range(2, 17))
    distinct = (texts for texts in tries if len(set(texts)) == len(values))
    return next(distinct, list(map(str, values)))


def brief(value: float, digits: int = 2) -> str:
    """`4.6e-6`: so many significant digits, and no more characters than they need."""
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    form = f".{max(6, digits)}g"
    plain = f"{float(f'{mantissa}e{exponent}'):{form}}"
    if len(plain) <= max(PLAIN, digits + 1) and "e" not in plain:
        return plain
    return f"{float(mantissa):{form}}e{int(exponent)}"
