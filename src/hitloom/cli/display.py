"""``hitloom display``."""

from __future__ import annotations


def display() -> None:
    """Draw events and their results in 3D."""
    raise NotImplementedError
