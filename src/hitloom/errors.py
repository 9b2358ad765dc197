"""Errors that a user can act on: one line naming the place, what came, what was wanted and the mend."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HitloomError(Exception):
    """Base of every error that is the input's fault; the command line prints it and exits with code 2."""


class DataError(HitloomError):
    """A file, a column or an event is not what it should be."""


class ConfigError(HitloomError):
    """A configuration key or value is unknown or impossible."""


class CheckpointError(HitloomError):
    """A checkpoint is missing, damaged, or belongs to another system or version."""


class MissingDependencyError(HitloomError):
    """An optional package is needed and not installed."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the closest valid name, or the list of valid names.

    Examples
    --------
    >>> nearest("pos_", ["pos", "x"])
    " Did you mean 'pos'?"
    """
    names = sorted(valid)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f" Did you mean '{close[0]}'?"
    return f" Valid: {', '.join(names)}." if names else ""


def require_extra(module: str, extra: str) -> None:
    """Raise :class:`MissingDependencyError` naming the pip extra when ``module`` cannot be imported."""
    import importlib.util

    if importlib.util.find_spec(module) is None:
        raise MissingDependencyError(
            f"the package '{module}' is needed for this and not installed; mend: pip install 'hitloom[{extra}]'"
        )
