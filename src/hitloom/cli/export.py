"""``hitloom export``."""

from __future__ import annotations


def export() -> None:
    """Export a trained system."""
    raise NotImplementedError
