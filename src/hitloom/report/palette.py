"""Colours shared by plots, report and event display; told apart by colour-blind readers, legible on light and dark."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

SERIES = ("#2f6fde", "#e0742f", "#1b9e89", "#9c5fb8", "#b58a00", "#7a5c45")
"""One colour a model, in the order models are given: this result first."""

STATUS = {
    "matched": "#1b9e89",
    "partial": "#e0a22f",
    "fake": "#d6455d",
    "short": "#8d99a6",
    "found": "#5b8def",
    "missed": "#b5379b",
    "other": "#8d99a6",
}
"""Colour of a track or particle by how it fared."""

GREY = "#8d99a6"


@dataclass(frozen=True, kw_only=True)
class Theme:
    """Ink of one colour scheme: text, muted text, grid lines; the background stays transparent."""

    name: str
    text: str
    muted: str
    grid: str
    background: str


LIGHT = Theme(name="light", text="#1d2733", muted="#5b6b7b", grid="#e2e7ed", background="#ffffff")
DARK = Theme(name="dark", text="#e6ebf1", muted="#9aa8b7", grid="#2c3744", background="#161d26")


def candidate_colour(index: int) -> str:
    """Return the colour of candidate ``index``: hues a golden angle apart, so neighbours differ.

    Examples
    --------
    >>> candidate_colour(0) != candidate_colour(1)
    True
    """
    hue = (index * 0.61803398875 + 0.07) % 1.0
    lightness = (0.50, 0.60, 0.42)[index % 3]
    red, green, blue = colorsys.hls_to_rgb(hue, lightness, 0.68)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"
