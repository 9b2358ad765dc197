"""Trained systems as files that run without hitloom, each checked against the system it came from."""

from hitloom.export.main import FORMATS, export
from hitloom.export.parity import ParityError, compare

__all__ = ["FORMATS", "ParityError", "compare", "export"]
