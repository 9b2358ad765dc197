"""Classical track finders that stand beside the learned systems: the same hits in, the same labels out.

>>> from hitloom.baselines import get_baseline
>>> baseline = get_baseline("ckf")
>>> baseline.config_class.__name__
'CKFConfig'

``baseline.run(events, baseline.config_class())`` yields one :class:`~hitloom.result.Result` per event.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

from hitloom.config import Config
from hitloom.errors import ConfigError, nearest

# name: module, function, class of its configuration
_BASELINES = {
    "ckf": ("hitloom.baselines.ckf", "run_ckf", "CKFConfig"),
    "helix-dbscan": ("hitloom.baselines.helix_dbscan", "run_helix_dbscan", "HelixDBSCANConfig"),
}


class Baseline(NamedTuple):
    """A track finder: ``run(events, config)`` yields results; ``config_class`` is the class of its settings."""

    run: Callable[..., Any]
    config_class: type[Config]


def baseline_names() -> list[str]:
    """Return the names of the track finders."""
    return sorted(_BASELINES)


def get_baseline(name: str) -> Baseline:
    """Return the track finder called ``name``; nothing heavy is imported before it runs.

    Raises
    ------
    ConfigError
        When there is none of this name; the message gives the nearest one.
    """
    if name not in _BASELINES:
        raise ConfigError(f"unknown baseline '{name}'.{nearest(name, _BASELINES)}")
    module_name, function, config_class = _BASELINES[name]
    module = importlib.import_module(module_name)
    return Baseline(getattr(module, function), getattr(module, config_class))
