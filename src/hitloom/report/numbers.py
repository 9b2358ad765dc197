"""Numbers as a reader wants them: percentages with the digits that the sample supports, undefined as a dash."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

UNDEFINED = "–"


def percent(value: float | None, trials: float | None = None) -> str:
    """Return a fraction in percent: one decimal, two from a thousand trials, three from a hundred thousand.

    Examples
    --------
    >>> percent(0.92543, 228), percent(0.92543, 5000), percent(None)
    ('92.5 %', '92.54 %', '–')
    """
    if value is None or not math.isfinite(value):
        return UNDEFINED
    return f"{100 * value:.{_decimals(trials)}f} %"


def percent_range(interval: Sequence[float | None] | None, trials: float | None = None) -> str:
    """Return both ends of an interval in percent.

    Examples
    --------
    >>> percent_range([0.9038, 0.9428], 228)
    '90.4 to 94.3 %'
    """
    if interval is None or interval[0] is None or interval[1] is None:
        return UNDEFINED
    low, high = (f"{100 * float(end):.{_decimals(trials)}f}" for end in interval)  # type: ignore[arg-type]
    return f"{low} to {high} %"


def count(value: float | None) -> str:
    """Return a count with thousands apart; sums of fractions get two decimals.

    Examples
    --------
    >>> count(12345), count(207.4388)
    ('12,345', '207.44')
    """
    if value is None or not math.isfinite(value):
        return UNDEFINED
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"


def of(entry: Mapping[str, Any]) -> str:
    """Return ``"211 of 228"`` for an entry of the metrics."""
    return f"{count(entry['numerator'])} of {count(entry['denominator'])}"


def seconds(value: float | None) -> str:
    """Return a time with three digits in a readable unit.

    Examples
    --------
    >>> seconds(0.0771), seconds(2.5), seconds(None)
    ('77.1 ms', '2.5 s', '–')
    """
    if value is None or not math.isfinite(value):
        return UNDEFINED
    return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.3g} s"


def points(entry: Mapping[str, Any] | None) -> str:
    """Return a difference in percentage points with its paired interval; empty where there is none.

    Examples
    --------
    >>> points({"difference": 0.0125, "interval": [0.01, 0.02]})
    '+1.25 (+1.00 to +2.00)'
    """
    if entry is None or entry["difference"] is None:
        return ""
    text = f"{100 * entry['difference']:+.2f}"
    if entry["interval"]:
        text += f" ({100 * entry['interval'][0]:+.2f} to {100 * entry['interval'][1]:+.2f})"
    return text


def aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Return the rows of a table of texts as lines, columns as wide as their longest text.

    Examples
    --------
    >>> aligned([["a", "b"], ["long", "c"]])
    ['a     b', 'long  c']
    """
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in table]


def _decimals(trials: float | None) -> int:
    if trials is None or trials < 1000:
        return 1
    return 2 if trials < 100_000 else 3
