"""The working point of scored edges: which cut holds for which energy, and where it was found.

Shape letters: E edges.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hitloom.grouping.edge_linking import Thresholds

Cuts = tuple[tuple[float, float], ...]
DEFAULT_CUTS: Cuts = Thresholds.named("05_08").cuts


class WorkingPoint(NamedTuple):
    """Pairs (E_max, cut) with rising E_max, the last one infinite, and the words for where they come from."""

    cuts: Cuts
    source: str

    def passed(self, probability: NDArray[Any], energy: NDArray[Any]) -> NDArray[np.bool_]:
        """Return which edges (E,) join their ends; ``energy`` (E,) is the larger raw energy of the two in GeV.

        Examples
        --------
        >>> WorkingPoint(DEFAULT_CUTS, "").passed(np.array([0.6, 0.6]), np.array([10.0, 50.0])).tolist()
        [True, False]
        """
        cut = Thresholds(cuts=self.cuts).cut_of(np.asarray(energy))
        # Both sides as float32, which is what a network compares in.
        return np.asarray(probability, dtype=np.float32) > cut.astype(np.float32)

    def at(self, energy: float) -> float:
        """Return the cut for one energy in GeV."""
        return next(cut for limit, cut in self.cuts if energy < limit)

    def describe(self) -> str:
        """Return the cuts in words.

        Examples
        --------
        >>> WorkingPoint(((float("inf"), 0.6),), "").describe()
        'probability > 0.6'
        >>> WorkingPoint(DEFAULT_CUTS, "").describe()
        'probability > 0.5 below 50 GeV, > 0.8 from there on (larger raw energy of the two ends)'
        """
        if len(self.cuts) == 1:
            return f"probability > {self.cuts[0][1]:g}"
        below = ", ".join(f"> {cut:g} below {limit:g} GeV" for limit, cut in self.cuts[:-1])
        return f"probability {below}, > {self.cuts[-1][1]:g} from there on (larger raw energy of the two ends)"


def working_point_of(meta: Mapping[str, Any], wanted: Cuts | None) -> WorkingPoint:
    """Return the working point: as wanted, else as the results record under ``grouping``, else the default.

    Examples
    --------
    >>> working_point_of({"grouping": {"threshold": 0.35, "energy_cuts": None}}, None).describe()
    'probability > 0.35'
    """
    if wanted is not None:
        return WorkingPoint(wanted, "settings of the evaluation")
    recorded = meta.get("grouping")
    if isinstance(recorded, Mapping):
        if recorded.get("energy_cuts"):
            cuts = tuple((float(limit), float(cut)) for limit, cut in recorded["energy_cuts"])
            return WorkingPoint(cuts, "recorded with the results")
        if recorded.get("threshold") is not None:
            return WorkingPoint(((math.inf, float(recorded["threshold"])),), "recorded with the results")
    return WorkingPoint(DEFAULT_CUTS, "default: the results record none")
