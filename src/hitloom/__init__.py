"""hitloom: learned reconstruction in particle detectors. Detector hits in, particles out."""

from typing import TYPE_CHECKING, Any

from hitloom._version import __version__

if TYPE_CHECKING:
    from hitloom.api import evaluate, infer, load, read_events, train

__all__ = ["__version__", "evaluate", "infer", "load", "read_events", "train"]


def __getattr__(name: str) -> Any:
    """Find the functions of :mod:`hitloom.api` when they are first used: ``import hitloom`` stays light."""
    if name in __all__:
        from hitloom import api

        return getattr(api, name)
    raise AttributeError(f"module 'hitloom' has no attribute '{name}'")
