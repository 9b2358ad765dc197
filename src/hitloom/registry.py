"""Names to classes, resolved lazily: importing hitloom imports no system.

A system of another package plugs in by the entry point group ``hitloom.systems``::

    [project.entry-points."hitloom.systems"]
    mysystem = "mypackage.mysystem:MySystem"
"""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points
from typing import Any

from hitloom.errors import ConfigError, nearest

ENTRY_POINT_GROUP = "hitloom.systems"

SYSTEMS: dict[str, str] = {
    "eggnet": "hitloom.systems.eggnet:EggNet",
    "exatrkx": "hitloom.systems.exatrkx:ExaTrkX",
    "exatrkx-embedding": "hitloom.systems.exatrkx:MetricLearning",
    "exatrkx-filter": "hitloom.systems.exatrkx:EdgeFilter",
    "exatrkx-module-map": "hitloom.systems.exatrkx:ModuleMapStage",
    "exatrkx-gnn": "hitloom.systems.exatrkx:EdgeGNN",
    "linking": "hitloom.systems.linking:Linking",
    "linking-tokens": "hitloom.systems.linking.tokens:LinkingTokens",
    "pruning": "hitloom.systems.pruning:Pruning",
    "showers": "hitloom.systems.showers:Showers",
}


def system_names() -> list[str]:
    """Return the names of all known systems, built in or plugged in."""
    return sorted({*SYSTEMS, *(point.name for point in entry_points(group=ENTRY_POINT_GROUP))})


def get_system(name: str) -> Any:
    """Return the class of the system called ``name``.

    Raises
    ------
    ConfigError
        When no system has this name; the message gives the nearest one.
    """
    if name in SYSTEMS:
        module, _, attribute = SYSTEMS[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if point.name == name:
            return point.load()
    raise ConfigError(f"unknown system '{name}'.{nearest(name, system_names())}")
