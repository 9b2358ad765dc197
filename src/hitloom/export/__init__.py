"""Trained systems as files that run without hitloom, each checked against the system it came from."""

from hitloom.export.chain import acts_form, export_chain, stage_signature
from hitloom.export.main import FORMATS, describe_check, export
from hitloom.export.parity import ParityError, compare

__all__ = [
    "FORMATS",
    "ParityError",
    "acts_form",
    "compare",
    "describe_check",
    "export",
    "export_chain",
    "stage_signature",
]
