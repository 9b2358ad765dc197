"""Settings of pruning by rules, chosen on labelled tracksters: a rule stands beside a network at its best.

Shape letters: M layer clusters of all tracksters. Label 1 = prune.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hitloom.errors import DataError
from hitloom.event import Event

Value = TypeVar("Value")


def labelled(events: Iterable[Event], name: str) -> tuple[list[Event], NDArray[np.bool_]]:
    """Return the events and their labels (M,) bool, once it is known that the rule ``name`` can be tuned on them.

    Raises
    ------
    DataError
        When an event has no labels, or none of the layer clusters is to be pruned.
    """
    chosen = list(events)
    for event in chosen:
        if "point_y" not in event:
            raise DataError(f"{event.describe()}: field 'point_y' is needed to tune '{name}' and not in the event")
    prune = np.concatenate([np.zeros(0, bool), *(event.point_y.numpy() > 0.5 for event in chosen)])
    if not prune.any():
        raise DataError(f"{name}: none of {len(chosen)} tracksters has a layer cluster to prune, so it cannot be tuned")
    return chosen, prune


def best_by_coordinates(
    value: Callable[[Mapping[str, Value]], float], start: Mapping[str, Value], grids: Mapping[str, Sequence[Value]]
) -> dict[str, Value]:
    """Return the settings at which ``value`` is largest, one setting after the other, until none of them gains.

    Settings that must change together to gain are not found.

    Examples
    --------
    >>> best_by_coordinates(lambda s: -abs(s["a"] - 1) - s["b"], {"a": 2, "b": 2}, {"a": range(3), "b": range(3)})
    {'a': 1, 'b': 0}
    """
    best, reached = dict(start), value(start)
    gained = True
    while gained:
        gained = False
        for name, grid in grids.items():
            for choice in grid:
                tried = {**best, name: choice}
                found = value(tried)
                if found > reached + 1e-12:
                    best, reached, gained = tried, found, True
    return best
